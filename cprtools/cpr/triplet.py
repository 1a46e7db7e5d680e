"""Triplet: a directed two-tower network on the products' features, the usual neural baseline."""

from typing import Any, ClassVar, Self

from cprtools.baselines.contract import Problem
from cprtools.baselines.directed import DirectedVectors
from cprtools.baselines.options import check_choice, check_least, refuse_unknown, require_square
from cprtools.baselines.sparse import WEIGHTINGS
from cprtools.errors import SchemaError


class Triplet(DirectedVectors):
    """Scores by the cosine of one tower's vector of the query and the other's of the candidate.

    Features alone: a new product is embedded as any other. Trained by a triplet loss with
    negatives drawn for a batch by popularity to the `power`; docs/methods/baselines.md.
    """

    method: ClassVar[str] = "triplet"
    search = (
        ("margin", [0.05, 0.1, 0.2, 0.4]),
        ("power", [0.0, 0.5, 1.0]),
        ("epochs", [5, 10, 20, 40]),
        ("embedding_dim", [32, 64, 128]),
        ("weighting", ["binary", "log", "raw"]),
    )

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        embedding_dim: int = 64,
        epochs: int = 10,
        margin: float = 0.2,
        power: float = 0.5,
        weighting: str = "log",
        learning_rate: float = 0.003,
        **options: Any,
    ) -> Self:
        """Train both towers; pairs are drawn in proportion to their weight.

        Raises SchemaError for sellers and for a problem without pairs, UsageError for values out of
        range.
        """
        known = ["embedding_dim", "epochs", "margin", "power", "weighting", "learning_rate"]
        refuse_unknown(cls.method, options, known)
        check_least(cls.method, "embedding_dim", embedding_dim, 1)
        check_least(cls.method, "epochs", epochs, 1)
        check_least(cls.method, "margin", margin, 0)
        check_choice(cls.method, "weighting", weighting, WEIGHTINGS)
        require_square(cls.method, problem)
        if not problem.matrix.nnz:
            raise SchemaError("triplet needs complement pairs; found none; check the mining report")
        from cprtools.cpr.triplet_training import TripletConfig, train

        config = TripletConfig(
            embedding_dim, epochs, margin, power, weighting, learning_rate, seed=seed
        )
        return cls(*train(problem, config))
