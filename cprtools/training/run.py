"""How a training run is carried out: what it shows, where it computes, what it keeps on disk.

Nothing here decides a number: the same problem and config give the same model.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cprtools.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from cprtools.tables import Footer
    from cprtools.training.checkpoint import Checkpoints

Progress = Callable[[Iterable[int], str, int | None], Iterator[int]]
T = TypeVar("T")
DEVICES = ("cpu", "cuda")

FLOAT_BYTES = 4
COPIES = 5
"""Of a weight: itself, its gradient, the two moments of Adam, and the copy of the best epoch."""
KEPT = 6
"""Numbers that backward keeps for every number of a batch."""
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Run:
    """What surrounds the training loop."""

    progress: Progress | None = None
    """Wraps the epochs: (steps, label, total) to the same steps."""
    say: Callable[[str], None] = lambda _: None
    device: str = "cpu"
    checkpoints: "Checkpoints | None" = None

    def steps(self, start: int, stop: int, label: str) -> Generator[int, None, None]:
        """The numbers from start to stop, shown on the way."""
        numbers = range(start, stop)
        yield from numbers if self.progress is None else self.progress(numbers, label, len(numbers))

    def one_of(self, number: int, count: int) -> "Run":
        """What surrounds one of several fits that are alike: its number is shown, notes come once.

        number: from 0 to count - 1.
        """
        if count == 1:
            return self
        show = self.progress

        def numbered(steps: Iterable[int], label: str, total: int | None) -> Iterator[int]:
            return iter(steps) if show is None else show(steps, f"{label} {number + 1}", total)

        return replace(self, progress=numbered, say=self.say if number == 0 else lambda _: None)


def make_run(
    trained: str,
    method: str,
    device: str,
    checkpoint: str | None,
    resume: bool,
    footer: "Footer",
    *,
    progress: Progress | None,
    say: Callable[[str], None],
) -> Run | None:
    """What surrounds the training of the method `trained`, None for methods without such a thing.

    Raises UsageError where the options do not belong together, DataError and SchemaError where
    `checkpoint` cannot be used.
    """
    if resume and checkpoint is None:
        raise UsageError("--resume needs --checkpoint FOLDER: where the state of training is")
    if method != trained:
        if checkpoint is not None or device != "cpu":
            raise UsageError(f"--checkpoint and --device are for {trained}, not for {method}")
        return None
    check_device(device)
    if checkpoint is None:
        return Run(progress, say, device)
    from cprtools.training.checkpoint import Checkpoints

    return Run(progress, say, device, Checkpoints(checkpoint, footer, resume=resume))


def check_device(device: str) -> str:
    """The device, if it can be used. Raises UsageError where it is unknown or not there."""
    if device not in DEVICES:
        raise UsageError(f"--device must be one of {', '.join(DEVICES)}, got {device!r}")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UsageError("--device cuda: no CUDA device was found; leave --device out")
    return device


def on_device(part: T, device: Any) -> T:
    """A tensor, or a list, (named) tuple or dataclass of such, on that device."""
    moved: Any = part
    if hasattr(part, "to"):
        moved = part.to(device)
    elif isinstance(part, tuple | list):
        values = [on_device(value, device) for value in part]
        moved = type(part)(*values) if hasattr(part, "_fields") else type(part)(values)
    elif is_dataclass(part) and not isinstance(part, type):
        names = [field.name for field in fields(part)]
        moved = replace(part, **{name: on_device(getattr(part, name), device) for name in names})
    return moved  # type: ignore[no-any-return]


def num_weights(*modules: "nn.Module") -> int:
    """Entries of all parameters."""
    return sum(weight.numel() for module in modules for weight in module.parameters())


def memory_line(need: float, weights: int) -> str:
    """One line that says how many bytes training will take, beside the tables already read."""
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    note = f"training takes about {need / _GIGABYTE:.2g} GB of memory"
    if need > present:
        note += f", more than the {present / _GIGABYTE:.3g} GB that there is"
    return f"{note} ({weights:,} weights)"
