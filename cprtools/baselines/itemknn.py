"""Item-knn: candidates whose columns resemble those of the query's items."""

from typing import Any, ClassVar, Self

import numpy as np

from cprtools.baselines.contract import Problem
from cprtools.baselines.items import ItemToItem
from cprtools.baselines.options import check_choice, check_least, refuse_unknown
from cprtools.baselines.sparse import (
    WEIGHTINGS,
    WEIGHTINGS_BY_STRENGTH,
    column_neighbours,
    reweight,
)


class ItemKnn(ItemToItem):
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
        columns = None if problem.is_candidate is None else np.flatnonzero(problem.is_candidate)
        similarity = column_neighbours(matrix, neighbours, shrinkage, columns)
        similarity = similarity[: problem.num_candidates]
        return cls(problem.wide, similarity.T.tocsr(), weighting)
