"""What methods share that score a candidate by the query's items, through a matrix of items."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from cprtools.baselines.contract import (
    STARTS,
    FloatArray,
    IntArray,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.rows import Rows, product
from cprtools.baselines.sparse import (
    canonical,
    matrix_table,
    reweight,
    row_starts,
    table_matrix,
    weigh,
    widen,
)

if TYPE_CHECKING:
    from cprtools.baselines.rows import Sparse
    from cprtools.baselines.stored import Stored


class ItemToItem(Recommender):
    """Scores c for q by the sum over q's items i of f(w(q,i)) M(i,c), f the weighting."""

    def __init__(self, matrix: Sparse, items: Sparse, weighting: str):
        self._matrix = (
            matrix if isinstance(matrix, Rows) else canonical(reweight(matrix, weighting))
        )
        """(num_queries, num_items) float32 f(w): candidates, then what is context for them."""
        self._items = items if isinstance(items, Rows) else canonical(items)
        """(num_items, num_candidates) float32 M."""
        self._weighting = weighting

    def score(self, query_idx: IntArray) -> FloatArray:
        """Row of the query times M: (len(query_idx), num_candidates) float32."""
        rows = self._matrix[query_idx]
        if isinstance(rows, Rows):
            rows.data = weigh(rows.data, self._weighting)
        return product(rows, self._items)

    def tables(self) -> dict[str, pa.Table]:
        """M, and how the weights of the query's items are read."""
        items, settings = self._members()
        return {
            items: matrix_table(self._items),
            items + STARTS: row_starts(self._items),
            settings: pa.table({"weighting": [self._weighting]}),
        }

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored M over the problem's rows. Raises SchemaError where they do not fit."""
        items, settings = cls._members()
        weighting = read(settings).column("weighting")[0].as_py()
        shape = problem.wide.shape[1], problem.num_candidates
        return cls(problem.wide, table_matrix(read(items), shape, items), weighting)

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Recommender:
        """The rows of the query's items alone."""
        items, settings = cls._members()
        weighting = stored.read(settings).column("weighting")[0].as_py()
        shape = problem.wide.shape[1], problem.num_candidates
        model = cls(problem.wide, stored.rows(items, shape), weighting)
        return model if problem.is_candidate is None else model.restricted(stored.pool)

    @classmethod
    def _members(cls) -> tuple[str, str]:
        start = cls.method.replace("-", "_")
        return f"{start}_items", f"{start}_settings"

    def restricted(self, pool: IntArray) -> Self:
        """The columns of the pool alone."""
        if isinstance(self._items, Rows):
            return super().restricted(pool)  # type: ignore[return-value]
        narrow = copy(self)
        narrow._items = self._items[:, pool]
        return narrow

    def extended(self, problem: Problem) -> Self:
        """Products without pairs score 0, both ways."""
        known, n = self.num_candidates, problem.num_candidates
        # the rows of what is context come after the products, old and new
        shape = (self._items.shape[0] + n - known, n)
        return type(self)(problem.wide, widen(self._items, shape, after=known), self._weighting)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return int(self._items.shape[1])
