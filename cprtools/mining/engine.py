"""What both engines offer to the code they share: queries over tables by name."""

from typing import Any, Protocol


class Engine(Protocol):
    """Runs statements that DuckDB and Spark understand alike.

    `$name` in a statement stands for one of `values`.
    """

    values: dict[str, Any]

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query of few."""
        ...
