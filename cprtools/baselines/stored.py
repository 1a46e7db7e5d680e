"""A model's tables read in place: what one answer needs of them, and no more."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.baselines.contract import POOL, STARTS, NotInPlace, Problem, Sums
from cprtools.baselines.rows import Rows
from cprtools.errors import DataError, SchemaError
from cprtools.tables import columns as c
from cprtools.tables import to_matrix
from cprtools.tables.folders import Folder
from cprtools.tables.mapped import MappedTable, MatrixInFile

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[Any]

SUMS, RANGES = "sums", "ranges"
TYPE_SUMS, BACKWARD = "type_sums", "backward"


class Stored:
    """The members of a model folder as arrays that lie in their files."""

    def __init__(self, folder: Folder):
        self.folder = folder
        self._opened: dict[str, MappedTable] = {}

    def under(self, prefix: str) -> "Stored":
        """The members whose names start with the prefix, by what follows it."""
        return _Under(self, prefix)

    def has(self, member: str) -> bool:
        """Whether the folder holds that member."""
        return self.folder.has(member)

    def read(self, member: str) -> pa.Table:
        """A small member as a whole. Raises DataError as `Folder.table` does."""
        return self.folder.table(member)

    def table(self, member: str) -> MappedTable:
        """One member. Raises NotInPlace where the folder lacks it or it has another layout."""
        if member not in self._opened:
            if not self.has(member):
                raise NotInPlace(member)
            try:
                self._opened[member] = self.folder.mapped(member)
            except DataError as error:
                raise NotInPlace(member) from error
        return self._opened[member]

    def numbers(self, member: str, column: str) -> Any:
        """A number column of a member, as `MappedTable.numbers`."""
        return self.table(member).numbers(column)

    def rows(self, member: str, shape: tuple[int, int] | None = None) -> Rows:
        """The sparse matrix that `matrix_table` and `row_starts` stored.

        Raises SchemaError where they do not fit together or are not of the shape.
        """
        table = self.table(member)
        starts = self.numbers(member + STARTS, "start")
        entries = table.num_rows
        if shape is None:
            # what a column stands for is not needed: rows are only compared with each other
            shape = len(starts) - 1, np.iinfo(np.int32).max
        if len(starts) != shape[0] + 1 or (starts[0], starts[-1]) != (0, entries):
            raise SchemaError(f"the model's tables do not fit together; {member} has other rows")
        if not entries:
            return Rows(starts, np.zeros(0, np.int32), np.zeros(0, np.float32), shape)
        indices, weights = table.numbers("candidate_idx"), table.numbers("weight")
        return Rows(starts, indices, weights, shape)

    def pooled(self, member: str, column: str) -> Any:
        """A column whose rows are candidates, of the pool alone."""
        narrow = member + POOL
        return self.numbers(narrow if self.has(narrow) else member, column)

    @cached_property
    def pool(self) -> IntArray:
        """Candidates that may be returned: their indices, ascending."""
        codes = self.table("codes")
        if "is_candidate" not in codes.names:
            return np.arange(codes.num_rows, dtype=np.int64)
        return np.flatnonzero(codes.numbers("is_candidate"))


class Held(Stored):
    """The same for many queries: matrices that are asked for are read into memory."""

    def numbers(self, member: str, column: str) -> Any:
        """As that of `Stored`. Raises SchemaError as `to_matrix`."""
        found = super().numbers(member, column)
        if isinstance(found, MatrixInFile):
            return to_matrix(self.read(member).column(column), member)
        return found


class _Under(Stored):
    def __init__(self, stored: Stored, prefix: str):
        super().__init__(stored.folder)
        self._stored, self._prefix = stored, prefix

    def has(self, member: str) -> bool:
        return self._stored.has(self._prefix + member)

    def read(self, member: str) -> pa.Table:
        return self._stored.read(self._prefix + member)

    def table(self, member: str) -> MappedTable:
        return self._stored.table(self._prefix + member)

    @cached_property
    def pool(self) -> IntArray:
        return self._stored.pool


def open_problem(stored: Stored, num_queries: int, num_types: int, *, is_square: bool) -> Problem:
    """The stored problem in place. Raises as `Stored` does."""
    codes = stored.table("codes")
    n = codes.num_rows
    if not n:
        raise NotInPlace("codes")
    types = codes.numbers("type_idx")
    if types.max() >= num_types or types.min() < -1:
        raise SchemaError("the model's tables do not fit together; a type is out of range")
    problem: Callable[..., Problem] = Problem
    return problem(
        matrix=stored.rows("interactions", (num_queries, n)),
        types=types,
        num_types=num_types,
        vectors=_vectors(stored, n),
        words=stored.rows("words") if stored.has("words") else None,
        attributes=_named(codes, "attribute_"),
        prices=codes.numbers(c.PRICE) if c.PRICE in codes.names else None,
        is_candidate=codes.numbers("is_candidate") if "is_candidate" in codes.names else None,
        is_square=is_square,
        **(_of_complements(stored, n, num_types) if is_square else _of_sellers(stored, codes)),
    )


def _of_sellers(stored: Stored, codes: MappedTable) -> dict[str, Any]:
    n = codes.num_rows
    weight, number = _columns(stored, SUMS, n, "weight", "number")
    return {
        "co_purchases": stored.rows("co_purchases", (n, n)) if stored.has("co_purchases") else None,
        "sums": Sums(weight, number, _ranges(stored, codes)),
    }


def _of_complements(stored: Stored, n: int, num_types: int) -> dict[str, Any]:
    width = len(stored.numbers(BACKWARD + STARTS, "start")) - 1
    found: dict[str, Any] = {
        name: stored.rows(name, (n, n)) if stored.has(name) else None
        for name in ("similar", "co_views", "recent")
    }
    weight, number, towards, given = _columns(
        stored, SUMS, n, "weight", "number", "towards", "given"
    )
    recent = _columns(stored, SUMS, n, "recent")[0] if found["recent"] is not None else None
    # a table without rows has no columns in place
    pairs = _columns(stored, TYPE_SUMS, num_types, "pairs")[0] if num_types else np.zeros(0)
    return found | {
        "backward": stored.rows(BACKWARD, (width, n)),
        "context": stored.rows("context", (n, width - n)) if stored.has("context") else None,
        "sums": Sums(weight, number, towards=towards, given=given, recent=recent, type_pairs=pairs),
    }


def _columns(stored: Stored, member: str, rows: int, *names: str) -> list[npt.NDArray[Any]]:
    found = [stored.numbers(member, name) for name in names]
    if any(len(values) != rows for values in found):
        raise SchemaError(f"the model's tables do not fit together; {member} has other rows")
    return found


def _vectors(stored: Stored, n: int) -> FloatArray | None:
    if not stored.has("text_vectors"):
        return None
    vectors: FloatArray = stored.numbers("text_vectors", c.VECTOR)
    if len(vectors) != n:
        raise SchemaError("the model's tables do not fit together; text_vectors has other rows")
    return vectors


def _named(codes: MappedTable, prefix: str) -> dict[str, IntArray]:
    names = [name for name in codes.names if name.startswith(prefix)]
    return {name.removeprefix(prefix): codes.numbers(name) for name in names}


def _ranges(stored: Stored, codes: MappedTable) -> dict[str, IntArray]:
    names = ["type", *_named(codes, "attribute_")]
    bounds = stored.numbers(RANGES, "end")
    counts = stored.numbers(RANGES + "_counts", "count")
    if len(bounds) != len(names):
        raise SchemaError("the model's tables do not fit together; ranges has other rows")
    return dict(zip(names, np.split(counts, bounds[:-1]), strict=True))
