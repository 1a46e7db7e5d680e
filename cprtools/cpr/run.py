"""How a training run is carried out: what it shows, where it computes, what it keeps on disk.

Nothing here decides a number: the same problem and config give the same model.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cprtools.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cprtools.cpr.checkpoint import Checkpoints
    from cprtools.cpr.config import CprConfig

Progress = Callable[[Iterable[int], str, int | None], Iterator[int]]
T = TypeVar("T")
DEVICES = ("cpu", "cuda")

_FLOAT = 4
# a weight, its gradient, the two moments of Adam, and the copy of the best epoch
_COPIES = 5
# what backward keeps of every number of a batch, and the few scores a query in validation
_KEPT = 6
_VALIDATION_ROWS = 128 * 4
_LARGEST_UNITS = 1e9


@dataclass(frozen=True)
class Run:
    """What surrounds the training loop."""

    progress: Progress | None = None
    """Wraps the epochs: (steps, label, total) to the same steps."""
    say: Callable[[str], None] = lambda _: None
    device: str = "cpu"
    checkpoints: "Checkpoints | None" = None

    def steps(self, start: int, stop: int, label: str) -> Iterator[int]:
        """The numbers from start to stop, shown on the way."""
        numbers = range(start, stop)
        yield from numbers if self.progress is None else self.progress(numbers, label, len(numbers))


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
    """A tensor, or a (named) tuple or dataclass of such, on that device."""
    moved: Any = part
    if hasattr(part, "to"):
        moved = part.to(device)
    elif isinstance(part, tuple):
        values = [on_device(value, device) for value in part]
        moved = type(part)(*values) if hasattr(part, "_fields") else type(part)(values)
    elif is_dataclass(part) and not isinstance(part, type):
        names = [field.name for field in fields(part)]
        moved = replace(part, **{name: on_device(getattr(part, name), device) for name in names})
    return moved  # type: ignore[no-any-return]


def memory_note(network: "nn.Module", config: "CprConfig", num_products: int) -> str:
    """One line that says what training will take, beside the tables already read."""
    weights = sum(parameter.numel() for parameter in network.parameters())
    buffers: list[Tensor] = list(network.buffers())
    held = sum(buffer.numel() * buffer.element_size() for buffer in buffers)
    rows, scores = _batch_size(config, num_products)
    # source, target and the history that makes the source, twice while they are copied
    closed_form = 6 * num_products * config.embedding_dim
    batch = _KEPT * (scores + rows * (config.hidden_dim + 4 * config.embedding_dim))
    entries = _COPIES * weights + batch + closed_form + _VALIDATION_ROWS * num_products
    need = _FLOAT * entries + held
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    note = f"training takes about {need / _LARGEST_UNITS:.2g} GB of memory"
    if need > present:
        note += f", more than the {present / _LARGEST_UNITS:.3g} GB that there is"
    return f"{note} ({weights:,} weights)"


def _batch_size(config: "CprConfig", num_products: int) -> tuple[int, int]:
    """Products that a batch embeds, and pairs that it scores."""
    if config.preset == "default":
        candidates = min(config.num_negatives + config.batch_size, num_products)
        return config.batch_size + candidates, config.batch_size * candidates
    pairs = config.batch_size * (1 + config.num_negatives)
    return config.batch_size + pairs, pairs
