"""Checks of the options that `fit` takes by name."""

from collections.abc import Collection, Mapping
from typing import Any

from cprtools.baselines.contract import Problem
from cprtools.errors import SchemaError, UsageError, list_names


def refuse_unknown(method: str, options: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Raise UsageError for an option that the method does not have."""
    if options:
        allowed = f"there are {list_names(list(known))}" if known else "it has none"
        raise UsageError(f"{method}: no option {sorted(options)[0]!r}; {allowed}")


def check_choice(method: str, name: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, if it is one of `allowed`. Raises UsageError that lists them."""
    if value not in allowed:
        raise UsageError(f"{method}: {name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def check_least(method: str, name: str, value: float, least: float) -> None:
    """Raise UsageError where the value is below `least`."""
    if not value >= least:
        raise UsageError(f"{method}: {name} must be at least {least}, got {value}")


def require_square(method: str, problem: Problem) -> None:
    """Raise SchemaError unless queries and candidates are the same products."""
    if not problem.is_square:
        raise SchemaError(f"{method} answers products, not sellers; choose another --method")


def require_sellers(method: str, problem: Problem) -> None:
    """Raise SchemaError where queries are products."""
    if problem.is_square:
        raise SchemaError(f"{method} answers sellers, not products; choose another --method")


def require_types(method: str, problem: Problem) -> None:
    """Raise SchemaError where no product has a type."""
    if not (problem.types >= 0).any():
        raise SchemaError(
            f"{method} needs --products with product_type or category, or --vectors; found neither"
        )
