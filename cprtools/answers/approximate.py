"""A recommender whose candidates come from an approximate index in place of all products."""

from typing import Any, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines import Problem, Recommender
from cprtools.baselines.contract import FloatArray, IntArray, ReadTable
from cprtools.retrieval.approximate import HnswIndex

# far more than a list holds, since filters take candidates away afterwards
_WIDTH = 1000
_ABSENT = np.float32(-1e30)


class ApproximateScores(Recommender):
    """The scores of a model's vectors at the candidates an index finds, very low elsewhere.

    Filters still find enough: what the index missed keeps its place at the end of the list.
    """

    def __init__(self, model: Recommender, queries: FloatArray, candidates: FloatArray):
        self.method = model.method  # type: ignore[misc]
        self._model = model
        self._queries = queries
        self._index = HnswIndex(candidates)

    @classmethod
    def fit(cls, problem: Problem, *, seed: int = 0, **options: Any) -> Self:
        """Not fitted itself: it wraps a fitted model. Raises ValueError."""
        raise ValueError("an approximate search wraps a fitted model")

    def score(self, query_idx: IntArray) -> FloatArray:
        """(len(query_idx), num_candidates) float32."""
        found, values = self._index.search(self._queries[query_idx], _WIDTH)
        scores = np.full((len(query_idx), self.num_candidates), _ABSENT, dtype=np.float32)
        np.put_along_axis(scores, found, values, axis=1)
        return scores

    def type_scores(self, query_idx: IntArray) -> FloatArray | None:
        """Those of the model."""
        return self._model.type_scores(query_idx)

    def tables(self) -> dict[str, pa.Table]:
        """Those of the model."""
        return self._model.tables()

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """Not stored itself. Raises ValueError."""
        raise ValueError("an approximate search wraps a loaded model")

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return self._model.num_candidates
