"""Item-knn: candidates whose columns resemble those of the query's items."""

from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.baselines.contract import FloatArray, IntArray, Problem, ReadTable, Recommender
from cprtools.baselines.options import check_choice, check_least, refuse_unknown
from cprtools.baselines.sparse import (
    WEIGHTINGS,
    WEIGHTINGS_BY_STRENGTH,
    canonical,
    column_neighbours,
    matrix_table,
    reweight,
    table_matrix,
)

_SIMILARITY = "item_knn_similarity"
_SETTINGS = "item_knn_settings"


class ItemKnn(Recommender):
    """Scores c for q by the sum over q's items i of w(q,i) cos(i,c), i among c's neighbours.

    For complements the items of q are those bought with it, so c completes q where it is bought
    with the same products as q's known complements are.
    Source: Deshpande and Karypis, TOIS 2004, section 4 (cosine), summed with the weights w(q,i).
    """

    method: ClassVar[str] = "item-knn"
    search = (
        ("weighting", WEIGHTINGS_BY_STRENGTH),
        ("shrinkage", [0.0, 1.0, 3.0, 10.0, 30.0]),
        ("neighbours", [50, 100, 200, 400, 800]),
    )

    def __init__(self, matrix: csr_matrix, similarity: csr_matrix, weighting: str):
        self._matrix = matrix
        self._similarity = similarity
        self._weighting = weighting

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        neighbours: int = 200,
        shrinkage: float = 0.0,
        weighting: str = "raw",
        **options: Any,
    ) -> Self:
        """Compute the neighbours of every column; nothing is random.

        neighbours: kept per candidate; shrinkage: added to the product of the norms; weighting:
        `raw`, `log` or `binary`. Raises UsageError for values out of range.
        """
        refuse_unknown(cls.method, options, ["neighbours", "shrinkage", "weighting"])
        check_least(cls.method, "neighbours", neighbours, 1)
        check_least(cls.method, "shrinkage", shrinkage, 0)
        check_choice(cls.method, "weighting", weighting, WEIGHTINGS)
        matrix = reweight(problem.wide, weighting)
        # every candidate keeps its own neighbours: kept per item of the query instead, popular
        # products crowd out the rest
        similarity = column_neighbours(matrix, neighbours, shrinkage)[: problem.num_candidates]
        similarity = similarity.T.tocsr()
        return cls(matrix, canonical(similarity), weighting)

    def score(self, query_idx: IntArray) -> FloatArray:
        """Row of the query times the similarities: (len(query_idx), num_candidates) float32."""
        return np.asarray((self._matrix[query_idx] @ self._similarity).toarray(), dtype=np.float32)

    def tables(self) -> dict[str, pa.Table]:
        """The similarities, and how the weights of the query's items are read."""
        return {
            _SIMILARITY: matrix_table(self._similarity),
            _SETTINGS: pa.table({"weighting": [self._weighting]}),
        }

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """Stored similarities over the problem's rows. Raises SchemaError where they do not fit."""
        wide = problem.wide
        size = problem.num_candidates
        weighting = read(_SETTINGS).column("weighting")[0].as_py()
        similarity = table_matrix(read(_SIMILARITY), (wide.shape[1], size), _SIMILARITY)
        return cls(reweight(wide, weighting), canonical(similarity), weighting)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return int(self._similarity.shape[1])
