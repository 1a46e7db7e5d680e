"""A recommender whose candidates come from an approximate index in place of all products."""

import numpy as np

from cprtools.baselines import Recommender
from cprtools.baselines.contract import FloatArray, IntArray, Wrapped
from cprtools.retrieval.approximate import HnswIndex

# far more than a list holds, since filters take candidates away afterwards
_WIDTH = 1000
_ABSENT = np.float32(-1e30)


class ApproximateScores(Wrapped):
    """The scores of a model's vectors at the candidates an index finds, very low elsewhere.

    Filters still find enough: what the index missed keeps its place at the end of the list.
    """

    def __init__(self, model: Recommender, queries: FloatArray, candidates: FloatArray):
        super().__init__(model)
        self._queries = queries
        self._index = HnswIndex(candidates)

    def score(self, query_idx: IntArray) -> FloatArray:
        """(len(query_idx), num_candidates) float32."""
        found, values = self._index.search(self._queries[query_idx], _WIDTH)
        scores = np.full((len(query_idx), self.num_candidates), _ABSENT, dtype=np.float32)
        np.put_along_axis(scores, found, values, axis=1)
        return scores

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return self._model.num_candidates
