"""What methods share that score a candidate by the query's items, through a matrix of items."""

from copy import copy
from typing import Self

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.baselines.contract import FloatArray, IntArray, Problem, ReadTable, Recommender
from cprtools.baselines.sparse import canonical, matrix_table, reweight, table_matrix, widen


class ItemToItem(Recommender):
    """Scores c for q by the sum over q's items i of f(w(q,i)) M(i,c), f the weighting."""

    def __init__(self, matrix: csr_matrix, items: csr_matrix, weighting: str):
        self._matrix = canonical(reweight(matrix, weighting))
        """(num_queries, num_items) float32 f(w): candidates, then what is context for them."""
        self._items = canonical(items)
        """(num_items, num_candidates) float32 M."""
        self._weighting = weighting

    def score(self, query_idx: IntArray) -> FloatArray:
        """Row of the query times M: (len(query_idx), num_candidates) float32."""
        return np.asarray((self._matrix[query_idx] @ self._items).toarray(), dtype=np.float32)

    def tables(self) -> dict[str, pa.Table]:
        """M, and how the weights of the query's items are read."""
        items, settings = self._members()
        return {
            items: matrix_table(self._items),
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
    def _members(cls) -> tuple[str, str]:
        start = cls.method.replace("-", "_")
        return f"{start}_items", f"{start}_settings"

    def restricted(self, pool: IntArray) -> Self:
        """The columns of the pool alone."""
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
