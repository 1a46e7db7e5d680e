"""A model's tables read in place: what one answer needs of them, and no more."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import POOL, STARTS, NotInPlace, Problem, Sums
from cprtools.baselines.rows import Rows
from cprtools.errors import DataError, SchemaError
from cprtools.tables import columns as c
from cprtools.tables.folders import Folder
from cprtools.tables.mapped import MappedTable

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[Any]

SUMS, RANGES = "sums", "ranges"


class Stored:
    """The members of a model folder as arrays that lie in their files."""

    def __init__(self, folder: Folder):
        self.folder = folder
        self._opened: dict[str, MappedTable] = {}

    def has(self, member: str) -> bool:
        """Whether the folder holds that member."""
        return self.folder.has(member)

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
        """A number column of a member, (rows,) or (rows, length), as `MappedTable.numbers`."""
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

    def pooled(self, member: str, column: str) -> npt.NDArray[Any]:
        """A column whose rows are candidates, of the pool alone."""
        narrow = member + POOL
        values = self.numbers(narrow if self.has(narrow) else member, column)
        # a page starts at any byte: one copy here in place of one in every product
        return np.require(np.asarray(values), requirements="A")

    @cached_property
    def pool(self) -> IntArray:
        """Candidates that may be returned: their indices, ascending."""
        codes = self.table("codes")
        if "is_candidate" not in codes.names:
            return np.arange(codes.num_rows, dtype=np.int64)
        return np.flatnonzero(codes.numbers("is_candidate"))


def open_problem(stored: Stored, num_queries: int, num_types: int, *, is_square: bool) -> Problem:
    """The stored problem in place. Raises as `Stored` does."""
    codes = stored.table("codes")
    n = codes.num_rows
    if is_square or not n:
        raise NotInPlace("a model of complements")
    pairs = stored.rows("co_purchases", (n, n)) if stored.has("co_purchases") else None
    problem: Callable[..., Problem] = Problem
    return problem(
        matrix=stored.rows("interactions", (num_queries, n)),
        types=codes.numbers("type_idx"),
        num_types=num_types,
        vectors=_vectors(stored, n),
        words=stored.rows("words") if stored.has("words") else None,
        attributes=_named(codes, "attribute_"),
        prices=codes.numbers(c.PRICE) if c.PRICE in codes.names else None,
        is_candidate=codes.numbers("is_candidate") if "is_candidate" in codes.names else None,
        co_purchases=pairs,
        is_square=False,
        sums=Sums(
            stored.numbers(SUMS, "weight"), stored.numbers(SUMS, "number"), _ranges(stored, codes)
        ),
    )


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
