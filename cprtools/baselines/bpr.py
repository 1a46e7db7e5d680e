"""BPR: matrix factorisation that learns from pairs of a listed and an unlisted product."""

from typing import Any, ClassVar, Self

import numpy as np

from cprtools.baselines.contract import Problem
from cprtools.baselines.factors import FactorModel
from cprtools.baselines.options import check_least, refuse_unknown, require_sellers
from cprtools.baselines.sparse import reweight


class Bpr(FactorModel):
    """Scores by the product of a seller's and a product's factors, the product's bias among them.

    Source: Rendle et al., BPR, UAI 2009, by stochastic gradient descent in the package implicit.
    It differs from the paper in one point: negatives are drawn by their number of listings, so a
    product without listings keeps zero factors.
    """

    method: ClassVar[str] = "bpr"
    search = (
        ("regularisation", [0.001, 0.003, 0.01, 0.03, 0.1]),
        ("learning_rate", [0.01, 0.02, 0.05, 0.1]),
        ("iterations", [100, 200, 400, 800]),
        ("factors", [32, 64, 128]),
        ("regularisation", [0.001, 0.003, 0.01, 0.03, 0.1]),
    )

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        factors: int = 64,
        learning_rate: float = 0.05,
        regularisation: float = 0.01,
        iterations: int = 400,
        **options: Any,
    ) -> Self:
        """Descend on one thread, so that a seed says everything.

        Raises SchemaError for products, UsageError for values out of range.
        """
        known = ["factors", "learning_rate", "regularisation", "iterations"]
        refuse_unknown(cls.method, options, known)
        for name, value in (("factors", factors), ("iterations", iterations)):
            check_least(cls.method, name, value, 1)
        check_least(cls.method, "learning_rate", learning_rate, 1e-9)
        check_least(cls.method, "regularisation", regularisation, 0)
        require_sellers(cls.method, problem)
        if not problem.matrix.nnz:
            return cls(*(np.zeros((n, factors), np.float32) for n in problem.matrix.shape))
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        model = BayesianPersonalizedRanking(
            factors=factors,
            learning_rate=learning_rate,
            regularization=regularisation,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        model.fit(reweight(problem.matrix, "binary"), show_progress=False)
        return cls(np.asarray(model.user_factors), np.asarray(model.item_factors))
