"""Popularity: the same order for every query."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import FloatArray, IntArray, Problem, ReadTable, Recommender
from cprtools.baselines.extension import append_rows
from cprtools.baselines.options import refuse_unknown
from cprtools.baselines.sparse import column_sums

if TYPE_CHECKING:
    from cprtools.baselines.stored import Stored


class Popularity(Recommender):
    """Scores a candidate by the summed weight of its pairs, whatever the query."""

    method: ClassVar[str] = "popularity"

    def __init__(self, counts: FloatArray):
        self._counts = counts

    @classmethod
    def fit(cls, problem: Problem, *, seed: int = 0, **options: Any) -> Self:
        """Sum the columns; nothing is random. Raises UsageError for options: there are none."""
        refuse_unknown(cls.method, options)
        return cls(column_sums(problem.matrix).astype(np.float32))

    def score(self, query_idx: IntArray) -> FloatArray:
        """The column sums, once for each query: (len(query_idx), num_candidates) float32."""
        return np.tile(self._counts, (len(query_idx), 1))

    def tables(self) -> dict[str, pa.Table]:
        """The column sums."""
        return {"popularity_counts": pa.table({"count": self._counts})}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The counts as stored."""
        return cls(read("popularity_counts").column("count").to_numpy().astype(np.float32))

    @classmethod
    def opened(cls, problem: Problem, stored: "Stored") -> Recommender:
        """The counts of the pool."""
        return cls(stored.numbers("popularity_counts", "count")[stored.pool].astype(np.float32))

    def restricted(self, pool: IntArray) -> Self:
        """The counts of the pool alone."""
        return type(self)(self._counts[pool])

    def extended(self, problem: Problem) -> Self:
        """Products without pairs count 0."""
        return type(self)(append_rows(self._counts, problem.num_candidates - len(self._counts)))

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._counts)
