"""Options of the graph model's training, with the defaults that validated best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from cprtools.baselines.options import check_choice, check_least, refuse_unknown
from cprtools.errors import UsageError
from cprtools.graph.homogeneous import SAMPLERS, SAMPLINGS

INITS = ("vectors", "random")
PRECISIONS = ("float32", "bfloat16")
_AT_LEAST_ONE = (
    "embedding_dim",
    "num_layers",
    "epochs",
    "batch_size",
    "patience",
    "networks",
    "threads",
)


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; every field is an option of `fit`."""

    embedding_dim: int = 128
    num_layers: int = 4
    fanout: int | str | Sequence[int] = 3
    epochs: int = 12
    learning_rate: float = 2e-3
    batch_size: int = 1024
    num_negatives: int = 512
    dropout: float = 0.1
    sampling: str = "stratified"
    sampler: str = "torch"
    init: str = "vectors"
    validation: float = 0.1
    """Share of the listings to stop early by; 0: train all epochs on everything."""
    patience: int = 4
    """Epochs without a better validation after which training stops."""
    networks: int = 1
    """Trained one after the other, each from a seed of its own; a score is their mean."""
    precision: str = "float32"
    """Of what maps multiply in training, and of each product; the rest stays float32."""
    threads: int = 1
    """Threads of torch: with one the result is the same on any machine of its kind."""

    @classmethod
    def checked(cls, options: Mapping[str, Any]) -> Self:
        """Options from keywords. Raises UsageError for unknown ones and values out of range."""
        known = [field.name for field in fields(cls)]
        unknown = {name: value for name, value in options.items() if name not in known}
        refuse_unknown("gnn", unknown, known)
        result = cls(**options)
        for name in _AT_LEAST_ONE:
            check_least("gnn", name, getattr(result, name), 1)
        for name, least in (("num_negatives", 0), ("learning_rate", 1e-9), ("dropout", 0)):
            check_least("gnn", name, getattr(result, name), least)
        for name in ("dropout", "validation"):
            if not 0 <= getattr(result, name) < 1:
                value = getattr(result, name)
                raise UsageError(f"gnn: {name} must be from 0 to below 1, got {value}")
        check_choice("gnn", "sampling", result.sampling, SAMPLINGS)
        check_choice("gnn", "sampler", result.sampler, SAMPLERS)
        check_choice("gnn", "init", result.init, INITS)
        check_choice("gnn", "precision", result.precision, PRECISIONS)
        result.fanouts()
        return result

    def fanouts(self) -> list[int]:
        """Neighbours per layer. Raises UsageError unless there is one positive number for each."""
        given = self.fanout.split(",") if isinstance(self.fanout, str) else self.fanout
        try:
            parts = [given] if isinstance(given, int) else [int(part) for part in given]
        except ValueError:
            raise UsageError(f"gnn: fanout must be numbers, got {self.fanout!r}") from None
        counts = parts * self.num_layers if len(parts) == 1 else parts
        if len(counts) != self.num_layers or min(counts) < 1:
            raise UsageError(
                f"gnn: fanout must be 1 or {self.num_layers} positive numbers, got {self.fanout!r}"
            )
        return counts
