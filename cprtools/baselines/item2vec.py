"""Item2vec: source and target vectors by skip-gram with negative sampling over the pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cprtools.baselines.contract import FloatArray, IntArray, Problem
from cprtools.baselines.directed import DirectedVectors
from cprtools.baselines.options import check_choice, check_least, refuse_unknown, require_square
from cprtools.baselines.sparse import (
    WEIGHTINGS,
    WEIGHTINGS_BY_STRENGTH,
    canonical,
    column_sums,
    reweight,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_BATCH = 2048
# negatives are drawn once for a batch and stand for `negatives` of each pair
_SHARED = 512
_LEAST_STEPS = 20


class Item2Vec(DirectedVectors):
    """Scores by the product of the query's source vector and the candidate's target vector.

    The loss of a pair is -log s(u_q v_c) - sum over n negatives of log s(-u_q v_n), negatives drawn
    by popularity to the `power`. Source: Barkan and Koenigstein, Item2Vec, 2016, after Mikolov et
    al., NIPS 2013. Departures: pairs are directed, so both tables are kept, and negatives are
    shared by a batch. A product without pairs has zero vectors.
    """

    method: ClassVar[str] = "item2vec"
    search = (
        ("epochs", [5, 10, 20, 30, 40]),
        ("power", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("negatives", [1, 2, 5, 20]),
        ("embedding_dim", [32, 64, 128]),
        ("weighting", WEIGHTINGS_BY_STRENGTH),
    )

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        embedding_dim: int = 64,
        epochs: int = 20,
        negatives: int = 5,
        power: float = 0.25,
        weighting: str = "log",
        learning_rate: float = 0.01,
        **options: Any,
    ) -> Self:
        """Train both tables by Adam; pairs are drawn in proportion to their weight.

        Raises SchemaError for sellers, UsageError for values out of range.
        """
        known = ["embedding_dim", "epochs", "negatives", "power", "weighting", "learning_rate"]
        refuse_unknown(cls.method, options, known)
        for name, value in (("embedding_dim", embedding_dim), ("epochs", epochs)):
            check_least(cls.method, name, value, 1)
        check_least(cls.method, "negatives", negatives, 1)
        check_choice(cls.method, "weighting", weighting, WEIGHTINGS)
        require_square(cls.method, problem)
        pairs = PairDraws(reweight(problem.matrix, weighting), power, seed)
        if not pairs.num_pairs:
            empty = np.zeros((problem.num_candidates, embedding_dim), dtype=np.float32)
            return cls(empty, empty)
        return cls(*_train(pairs, embedding_dim, epochs, negatives, learning_rate, seed))


class PairDraws:
    """Pairs in proportion to their weight, negatives by popularity to a power."""

    def __init__(self, matrix: csr_matrix, power: float, seed: int):
        entries = canonical(matrix).tocoo()
        self.num_pairs = entries.nnz
        self.num_products = matrix.shape[1]
        self.queries = entries.row.astype(np.int64)
        self.candidates = entries.col.astype(np.int64)
        self._random = np.random.default_rng([seed, 4])
        if self.num_pairs:
            self._pair_ends = np.cumsum(entries.data.astype(np.float64))
            popularity = column_sums(matrix)
            drawn = np.where(popularity > 0, np.maximum(popularity, 1e-9) ** power, 0.0)
            self._product_ends = np.cumsum(drawn)

    def pairs(self, size: int) -> tuple[IntArray, IntArray]:
        """Query and candidate of `size` pairs."""
        chosen = self._draw(self._pair_ends, size)
        return self.queries[chosen], self.candidates[chosen]

    def negatives(self, size: int) -> IntArray:
        """Products that are some query's candidate: (size,) int64."""
        return self._draw(self._product_ends, size)

    def _draw(self, ends: FloatArray, size: int) -> IntArray:
        places = np.searchsorted(ends, self._random.random(size) * ends[-1], side="right")
        return np.asarray(np.minimum(places, len(ends) - 1), dtype=np.int64)


def _train(
    draws: PairDraws, dim: int, epochs: int, negatives: int, learning_rate: float, seed: int
) -> tuple[FloatArray, FloatArray]:
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(seed)
    source = (torch.rand((draws.num_products, dim), generator=generator) - 0.5) / dim
    # a source never trained would point anywhere
    source[np.setdiff1d(np.arange(draws.num_products), draws.queries)] = 0
    source.requires_grad_()
    target = torch.zeros_like(source, requires_grad=True)
    optimiser = torch.optim.Adam([source, target], lr=learning_rate)
    size = min(_BATCH, draws.num_pairs)
    steps = max(-(-draws.num_pairs // size), _LEAST_STEPS) * epochs
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        queries, candidates = (torch.from_numpy(part) for part in draws.pairs(size))
        others = torch.from_numpy(draws.negatives(_SHARED))
        rows = source[queries]
        loss = -F.logsigmoid((rows * target[candidates]).sum(dim=1)).mean()
        pushed = -F.logsigmoid(-(rows @ target[others].T)).mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss + negatives * pushed)
        optimiser.step()
    return source.detach().numpy(), target.detach().numpy()
