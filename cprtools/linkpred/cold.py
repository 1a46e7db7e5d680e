"""Vectors of products that are in no graph, by the trained networks in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import FloatArray
from cprtools.baselines.weights import load_weights, weights_table
from cprtools.errors import SchemaError


@dataclass(frozen=True)
class ColdEncoder:
    """The trained networks for a product without neighbours, in numpy: new products need no torch.

    networks: of each its weights by their name in GraphEncoder's state, with `rms`, the scale of
    initial vectors; that is 0 where nodes started from learned vectors: such a network knows
    nothing of a new product.
    """

    networks: tuple[dict[str, FloatArray], ...]

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Unit vectors of products that are in no graph: (rows, networks x embedding_dim) float32.

        vectors: (rows, feature_dim) float32. Rows of zeros stay zero: nothing is known of them.
        Raises SchemaError where the model was trained on vectors of another length.
        """
        return joined([_encode_alone(weights, vectors) for weights in self.networks])

    def table(self) -> pa.Table:
        """All weights, named after their network where there are several."""
        several = len(self.networks) > 1
        return weights_table(
            {
                (f"{number}.{name}" if several else name): values
                for number, weights in enumerate(self.networks)
                for name, values in weights.items()
            }
        )

    @classmethod
    def load(cls, table: pa.Table, label: str) -> Self:
        """What `table` gave. Raises SchemaError where it holds no such weights."""
        networks: dict[str, dict[str, FloatArray]] = {}
        for name, values in load_weights(table, label).items():
            number, _, rest = name.partition(".")
            # of a single network, and in models of earlier versions, there is no number
            network, own = (number, rest) if number.isdigit() else ("0", name)
            networks.setdefault(network, {})[own] = values
        return cls(tuple(networks[number] for number in sorted(networks, key=int)))


def _encode_alone(w: dict[str, FloatArray], vectors: FloatArray) -> FloatArray:
    """Unit vectors by one network: (rows, embedding_dim) float32."""
    if w["rms"].any() and vectors.shape[1] != w["project.weight"].shape[1]:
        raise SchemaError(
            f"the model was trained on vectors of length {w['project.weight'].shape[1]}; "
            f"found {vectors.shape[1]}"
        )
    if not w["rms"].any():
        return np.zeros((len(vectors), w["output.weight"].shape[0]), dtype=np.float32)
    first = _unit(vectors) * w["rms"][0, 0] * vectors.shape[1] ** 0.5
    state = first @ w["project.weight"].T + w["project.bias"] + w["node_type.weight"][1]
    for layer in range(sum(name.endswith("own.weight") for name in w)):
        at = f"layers.{layer}."
        change = state @ w[at + "own.weight"].T + w[at + "own.bias"]
        state = _layer_norm(state + np.maximum(change, 0))
        state = state * w[at + "norm.weight"] + w[at + "norm.bias"]
    out = state @ w["output.weight"].T + w["output.bias"] + first @ w["shortcut.weight"].T
    known = (vectors != 0).any(axis=1, keepdims=True)
    return np.asarray(_unit(out) * known, dtype=np.float32)


def joined(parts: Sequence[FloatArray]) -> FloatArray:
    """Unit rows side by side, at length 1 again; of one part these rows themselves."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis=1) / np.float32(len(parts) ** 0.5)


def _unit(rows: FloatArray) -> FloatArray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)


def _layer_norm(rows: FloatArray) -> FloatArray:
    # as in torch: the variance is over all entries, 1e-5 keeps it from 0
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5))
