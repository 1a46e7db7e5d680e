"""How the room tells a caller how far it is, without printing."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Passes steps through, one by one, and may show their label and number."""

    def __call__(self, steps: Iterable[T], label: str, total: int | None = None, /) -> Iterator[T]:
        """The steps, one by one."""
        ...


def silent(steps: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The steps, and nothing shown."""
    yield from steps
