"""Triplet: a directed two-tower network on the products' features, the usual neural baseline."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.catalogue import unit_rows
from cprtools.baselines.contract import FEATURES, FloatArray, Problem, ReadTable
from cprtools.baselines.directed import DirectedVectors
from cprtools.baselines.options import check_choice, check_least, refuse_unknown, require_square
from cprtools.baselines.sparse import WEIGHTINGS
from cprtools.cpr.cold import FeatureWeights, embed, product2vec_shapes
from cprtools.errors import SchemaError

TOWERS = ("query", "candidate")
SIZES: Mapping[str, Any] = {"hidden_dim": 128, "attribute_dim": 16}


class Triplet(DirectedVectors):
    """Scores by the cosine of one tower's vector of the query and the other's of the candidate.

    Features alone: a new product is embedded as any other. Trained by a triplet loss with
    negatives drawn for a batch by popularity to the `power`; docs/methods/baselines.md.
    """

    method: ClassVar[str] = "triplet"
    knows_by: ClassVar[str] = FEATURES
    search = (
        ("margin", [0.05, 0.1, 0.2, 0.4]),
        ("power", [0.0, 0.5, 1.0]),
        ("epochs", [5, 10, 20, 40]),
        ("embedding_dim", [32, 64, 128]),
        ("weighting", ["binary", "log", "raw"]),
    )

    def __init__(
        self, source: FloatArray, target: FloatArray, features: Callable[[], FeatureWeights]
    ):
        super().__init__(source, target)
        # only new products need the towers themselves: until then they are not read
        self._features = cache(features)

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
        source, target, features = train(problem, config)
        return cls(source, target, lambda: features)

    def tables(self) -> dict[str, pa.Table]:
        """Source and target vector of every product, and the towers."""
        return {**super().tables(), **self._features().tables(self.method)}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored vectors. Raises SchemaError where they are not of the problem's products."""
        source, target = cls._stored(problem, read)
        return cls(source, target, lambda: FeatureWeights.load(read, cls.method))

    def extended(self, problem: Problem) -> Self:
        """New products through both towers."""
        features, settings = self._features(), {**SIZES, "embedding_dim": self._queries.shape[1]}
        for tower in TOWERS:
            shapes = product2vec_shapes(tower, features.encoding, problem, settings)
            features.check(shapes, self.method)
        inputs = features.encode(problem, start=self.num_candidates)
        new = [unit_rows(embed(features.weights, tower, inputs)) for tower in TOWERS]
        sides = zip(self.factors(), new, strict=True)
        source, target = (np.concatenate(side) for side in sides)
        return type(self)(source, target, self._features)
