"""Hyper-parameters of the complement model, and the presets."""

from dataclasses import dataclass, fields
from typing import Any

from cprtools.baselines.options import check_choice, check_least, refuse_unknown
from cprtools.errors import UsageError

METHOD = "p-companion"
PRESETS = ("default", "paper", "article")

_AT_LEAST_ONE = (
    "embedding_dim", "type_dim", "hidden_dim", "attribute_dim", "epochs", "batch_size",
    "num_negatives", "max_steps", "total_steps", "patience", "max_neighbours", "num_outputs",
)  # fmt: skip
_SHARES = ("alpha", "dropout", "identity_dropout", "history_dropout", "validation_fraction")
_NOT_NEGATIVE = (
    "margin", "slack", "type_margin", "type_slack", "learning_rate", "identity_learning_rate",
    "weight_decay", "identity_decay", "type_weight", "similar_weight", "pretrain_epochs",
)  # fmt: skip


@dataclass(frozen=True)
class CprConfig:
    """What can be chosen; docs/methods/complements.md says what each does and why this value."""

    preset: str = "default"
    embedding_dim: int = 128
    type_dim: int = 64
    hidden_dim: int = 256
    attribute_dim: int = 32
    margin: float = 10.0
    slack: float = 1.0
    type_margin: float = 10.0
    type_slack: float = 1.0
    alpha: float = 0.8
    type_weight: float = 1.0
    similar_weight: float = 0.05
    learning_rate: float = 0.003
    identity_learning_rate: float = 0.008
    weight_decay: float = 1e-4
    identity_decay: float = 0.3
    epochs: int = 20
    patience: int = 8
    pretrain_epochs: int = 0
    batch_size: int = 256
    num_negatives: int = 2048
    max_steps: int = 10_000
    total_steps: int = 2000
    max_neighbours: int = 10
    num_outputs: int = 3
    dropout: float = 0.2
    identity_dropout: float = 0.3
    history_dropout: float = 0.5
    validation_fraction: float = 0.05
    seed: int = 0


_PAPER: dict[str, Any] = {
    "learning_rate": 0.001,
    "weight_decay": 0.0,
    "epochs": 30,
    "pretrain_epochs": 5,
    "batch_size": 1024,
    "num_negatives": 5,
    "max_steps": 100,
    "total_steps": 3000,
}


# the items alone are judged, and they alone decide
_ARTICLE: dict[str, Any] = {**_PAPER, "alpha": 1.0, "type_weight": 0.0}
_PRESET_VALUES: dict[str, dict[str, Any]] = {"default": {}, "paper": _PAPER, "article": _ARTICLE}


def make_config(options: dict[str, Any], seed: int) -> CprConfig:
    """The preset with these options in place of its own values.

    Raises UsageError for an unknown option, an unknown preset or a value out of range.
    """
    known = [field.name for field in fields(CprConfig) if field.name != "seed"]
    refuse_unknown(METHOD, {k: v for k, v in options.items() if k not in known}, known)
    preset = check_choice(METHOD, "preset", options.get("preset", "default"), PRESETS)
    chosen = {**_PRESET_VALUES[preset], **options}
    for name in _AT_LEAST_ONE:
        check_least(METHOD, name, chosen.get(name, 1), 1)
    for name in _NOT_NEGATIVE:
        check_least(METHOD, name, chosen.get(name, 0), 0)
    for name in _SHARES:
        if not 0 <= chosen.get(name, 0) <= 1:
            raise UsageError(f"{METHOD}: {name} must be between 0 and 1, got {chosen[name]}")
    return CprConfig(**chosen, seed=seed)
