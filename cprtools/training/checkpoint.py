"""Training that can go on where it was cut off: the loop's whole state as Parquet tables."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from cprtools import __version__
from cprtools.baselines.contract import Problem
from cprtools.errors import SchemaError
from cprtools.tables import Footer, check_folder_writable, open_folder, write_folder
from cprtools.training.loop import Loop

KIND = "checkpoint"
_EVERY_SECONDS = 30.0


class Checkpoints:
    """A folder that holds the state of every fit of one command, in the order of the fits."""

    def __init__(
        self,
        place: str,
        footer: Footer,
        *,
        resume: bool = False,
        every_seconds: float = _EVERY_SECONDS,
    ):
        """Name the folder; with `resume` what it holds, if it is there, is gone on with.

        Raises DataError and SchemaError as `tables.open_folder` does.
        """
        self.place, self.every_seconds = place, every_seconds
        # the digests of the inputs are for what is kept; the fits tell theirs by fingerprint
        self._footer = replace(footer, inputs=[])
        self._members: dict[str, pa.Table] = {}
        self._fits = 0
        if resume and Path(place).exists():
            folder = open_folder(place, (KIND,))
            self._members = {name: folder.table(name) for name in folder.manifest["members"]}
        check_folder_writable(place, KIND)

    def next_fit(self, identity: str) -> "Checkpoint":
        """The place of the fit that begins now; identity: its `fingerprint`.

        Raises SchemaError where the folder holds a fit of other data or settings.
        """
        self._fits += 1
        names = f"tensors_{self._fits}", f"state_{self._fits}"
        return Checkpoint(self, names, identity)

    def read(self, names: tuple[str, str]) -> tuple[pa.Table, dict[str, Any]] | None:
        """The tensors and the state of a fit, None where it was not reached."""
        if names[1] not in self._members:
            return None
        state = json.loads(self._members[names[1]].column("json")[0].as_py())
        return self._members[names[0]], state

    def write(self, names: tuple[str, str], tensors: pa.Table, state: Mapping[str, Any]) -> None:
        """Replace the state of one fit. Raises DataError where the folder cannot be written."""
        self._members[names[0]] = tensors
        self._members[names[1]] = pa.table({"json": [json.dumps(state, sort_keys=True)]})
        write_folder(self._members, self.place, KIND, self._footer)


class Checkpoint:
    """The state of one fit, on disk."""

    def __init__(self, owner: Checkpoints, names: tuple[str, str], identity: str):
        self._owner, self._names, self._identity = owner, names, identity
        self._written = time.monotonic()
        stored = owner.read(names)
        if stored is not None and stored[1]["identity"] != identity:
            raise SchemaError(
                f"{owner.place}: a checkpoint of other data, settings or version; "
                "leave --resume out to begin anew"
            )
        self._stored = stored

    @property
    def holds_epochs(self) -> bool:
        """Whether there is anything to go on with."""
        return self._stored is not None

    def restore(self, loop: Loop) -> None:
        """Bring the loop, and torch's random state, to where the stored one was."""
        if self._stored is None:
            return
        table, state = self._stored
        tensors = _read_tensors(table)
        loop.epoch, loop.hits = int(state["epoch"]), [float(hit) for hit in state["hits"]]
        loop.is_finished = bool(state["is_finished"])
        loop.network.load_state_dict(_group(tensors, "network"))
        loop.best = _group(tensors, "best") or None
        if loop.is_finished:
            return
        loop.optimiser.load_state_dict(
            {"state": _optimiser_state(tensors), "param_groups": state["groups"]}
        )
        # its place alone: the shape of the rate is the loop's own
        vars(loop.schedule).update(state["schedule"])
        if loop.random is not None:
            loop.random.bit_generator.state = state["random"]
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])

    def save(self, loop: Loop) -> None:
        """Store the loop if it is finished, or some time after the last storing."""
        now = time.monotonic()
        if not loop.is_finished and now - self._written < self._owner.every_seconds:
            return
        state: dict[str, Any] = {
            "identity": self._identity,
            "epoch": loop.epoch,
            "hits": loop.hits,
            "is_finished": loop.is_finished,
        }
        tensors = {f"network.{name}": x for name, x in loop.network.state_dict().items()}
        if not loop.is_finished:
            tensors |= {f"best.{name}": x for name, x in (loop.best or {}).items()}
            tensors |= _random_states()
            inner = loop.optimiser.state_dict()
            for number, slots in inner["state"].items():
                tensors |= {f"optimiser.{number}.{name}": x for name, x in slots.items()}
            schedule = loop.schedule.state_dict()
            state |= {
                "groups": inner["param_groups"],
                "schedule": {name: schedule[name] for name in ("last_epoch", "_step_count")},
                "random": None if loop.random is None else loop.random.bit_generator.state,
            }
        self._owner.write(self._names, _tensor_table(tensors), state)
        self._written = time.monotonic()


def fingerprint(settings: Mapping[str, Any], problem: Problem, **others: Any) -> str:
    """A digest of everything that decides the numbers of a fit.

    settings: JSON values; others: data beside the problem, arrays or sparse matrices.
    """
    # every field, whatever a later version adds
    data = {each.name: getattr(problem, each.name) for each in fields(problem)} | others
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(f"{__version__} {torch.__version__}".encode())
    for name, values in _flat(data):
        digest.update(name.encode())
        parts = (
            (values.indptr, values.indices, values.data)
            if isinstance(values, csr_matrix)
            else (values,)
        )
        for part in parts:
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arrays, matrices and plain values among these, those of inner tables one by one."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat({f"{name}.{inner}": part for inner, part in value.items()})
        elif value is not None:
            yield name, value


def _random_states() -> dict[str, Tensor]:
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def _tensor_table(tensors: Mapping[str, Tensor]) -> pa.Table:
    arrays = [np.ascontiguousarray(tensor.detach().cpu().numpy()) for tensor in tensors.values()]
    columns = {
        "name": pa.array(list(tensors), pa.string()),
        "dtype": pa.array([str(array.dtype) for array in arrays], pa.string()),
        # ascontiguousarray gives a number without a shape the shape (1,)
        "shape": pa.array([list(x.shape) for x in tensors.values()], pa.list_(pa.int64())),
        "data": pa.array([array.tobytes() for array in arrays], pa.large_binary()),
    }
    return pa.table(columns)


def _read_tensors(table: pa.Table) -> dict[str, Tensor]:
    tensors = {}
    for row in table.to_pylist():
        array = np.frombuffer(row["data"], dtype=np.dtype(row["dtype"])).reshape(row["shape"])
        tensors[row["name"]] = torch.from_numpy(array.copy())
    return tensors


def _group(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    size = len(start) + 1
    return {name[size:]: x for name, x in tensors.items() if name.startswith(f"{start}.")}


def _optimiser_state(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _group(tensors, "optimiser").items():
        number, _, slot = name.partition(".")
        state.setdefault(int(number), {})[slot] = tensor
    return state
