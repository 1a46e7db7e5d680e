"""LightGCN: vectors smoothed over the seller-product graph, trained by BPR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cprtools.baselines.contract import FloatArray, IntArray, Problem
from cprtools.baselines.dense import stable_product
from cprtools.baselines.factors import FactorModel
from cprtools.baselines.options import check_least, refuse_unknown, require_sellers
from cprtools.baselines.sparse import canonical, row_sums
from cprtools.baselines.tuning import Settings, choose, hold_out, listed

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_BATCH = 2048
# a large graph takes larger batches: every step smooths all of its vectors
_MOST_STEPS = 64
_REDRAWS = 10
_DECAYS, _EPSILON = (0.9, 0.999), 1e-8
_MOST_EPOCHS, _EVERY, _PATIENCE = 200, 5, 3
_STEPS: list[tuple[str, list[Any]]] = [
    ("regularisation", [1e-4, 1e-3, 1e-2, 1e-1]),
    ("num_layers", [1, 2, 3, 4]),
    ("learning_rate", [0.01, 0.03]),
    ("embedding_dim", [32, 64, 128]),
]


@dataclass(frozen=True)
class LightGcnConfig:
    """How to train; every field is an option of `fit`."""

    embedding_dim: int = 64
    num_layers: int = 2
    learning_rate: float = 0.03
    regularisation: float = 1e-3
    epochs: int = 50


class LightGcn(FactorModel):
    """Scores by the product of a seller's and a product's vector, each the mean over the layers.

    A layer is the sum of the neighbours' vectors of the one before, each divided by the root of
    both degrees. Source: He et al., LightGCN, SIGIR 2020: BPR with one uniform negative for each
    listing, L2 on the vectors of layer 0, Adam. Departure: Adam's rate is tuned, too.
    """

    method: ClassVar[str] = "lightgcn"

    @classmethod
    def fit(cls, problem: Problem, *, seed: int = 0, **options: Any) -> Self:
        """Train on all listings for `epochs` (50), whether the product may be recommended or not.

        embedding_dim (64), num_layers (2), learning_rate (0.03), regularisation (0.001).
        Raises SchemaError for products, UsageError for values out of range.
        """
        config = _checked(options)
        require_sellers(cls.method, problem)
        trainer = Trainer(problem.matrix, config, seed)
        for _ in range(config.epochs):
            trainer.epoch()
        return cls(*trainer.vectors())

    @classmethod
    def choose_settings(
        cls, problem: Problem, *, seed: int, say: Callable[[str], None]
    ) -> Settings:
        """Climb along one setting after the other; each training stops early and tells its epochs.

        The epochs of the highest Recall@100 on the validation part are those of `fit`.
        """
        require_sellers(cls.method, problem)
        validation = hold_out(problem, seed)
        if validation is None:
            return {}
        epochs: dict[str, int] = {}

        def measure(settings: Settings) -> float:
            trainer = Trainer(validation.train, _checked(settings), seed)

            def recall() -> float:
                sellers, products = trainer.vectors()
                found = products[validation.pool]
                return validation.measure(lambda rows: stable_product(sellers[rows], found))

            reached, epochs[listed(settings)] = stop_early(trainer.epoch, recall)
            at = f"{listed(settings)}, epochs {epochs[listed(settings)]}"
            say(f"{cls.method}: {at}: {reached:.4f} on the validation part")
            return reached

        start = {name: getattr(LightGcnConfig, name) for name, _ in _STEPS}
        best, _ = choose(start, _STEPS, measure)
        best = {**best, "epochs": epochs[listed(best)]}
        say(f"{cls.method}: chosen {listed(best)}")
        return best


def stop_early(epoch: Callable[[], None], measure: Callable[[], float]) -> tuple[float, int]:
    """The highest measure, asked after every 5 epochs, and the epochs that it took.

    Stops after 15 epochs without a higher one, and after 200 in any case.
    """
    best, at = -np.inf, 0
    for done in range(1, _MOST_EPOCHS + 1):
        epoch()
        if done % _EVERY:
            continue
        reached = measure()
        if reached > best:
            best, at = reached, done
        elif done - at >= _PATIENCE * _EVERY:
            break
    return float(best), at


class Trainer:
    """Vectors of layer 0 and their descent; numpy alone, so any number of threads gives the same.

    matrix: (sellers, products), its entries are the listings.
    """

    def __init__(self, matrix: csr_matrix, config: LightGcnConfig, seed: int):
        known = canonical(matrix)
        self._config = config
        self._random = np.random.default_rng([seed, 5])
        self._num_sellers, self._num_products = known.shape
        self._sellers = np.repeat(np.arange(known.shape[0]), np.diff(known.indptr))
        self._products = known.indices.astype(np.int64)
        self._keys = self._sellers * self._num_products + self._products  # ascending
        self.graph = normalised_graph(known)
        size = len(self.graph.indptr) - 1, config.embedding_dim
        self.nodes: FloatArray = 0.1 * self._random.standard_normal(size, dtype=np.float32)
        # nobody can say anything about a seller without listings
        self.nodes[: self._num_sellers][np.diff(known.indptr) == 0] = 0
        self._moments = [np.zeros_like(self.nodes), np.zeros_like(self.nodes)]
        self._steps = 0

    def vectors(self) -> tuple[FloatArray, FloatArray]:
        """(sellers, dim) and (products, dim) float32."""
        smooth = propagate(self.graph, self.nodes, self._config.num_layers)
        return smooth[: self._num_sellers], smooth[self._num_sellers :]

    def epoch(self) -> None:
        """Every listing once, in an order drawn anew, each with a product that is not listed."""
        count = len(self._keys)
        order = self._random.permutation(count)
        size = max(_BATCH, -(-count // _MOST_STEPS))
        for start in range(0, count, size):
            chosen = order[start : start + size]
            sellers = self._sellers[chosen]
            self._descend(self.gradient(sellers, self._products[chosen], self.draw_others(sellers)))

    def gradient(self, sellers: IntArray, listed: IntArray, others: IntArray) -> FloatArray:
        """Of the batch's mean loss with respect to the nodes: (nodes, dim) float32.

        A triple's loss is -log s(u . i - u . j) on smoothed vectors, plus regularisation / 2 times
        the squared length of its three vectors of layer 0.
        """
        rows = np.stack([sellers, listed + self._num_sellers, others + self._num_sellers])
        smooth = propagate(self.graph, self.nodes, self._config.num_layers)
        u, i, j = smooth[rows]
        margin = np.einsum("bd,bd->b", u, i - j)
        slope = (-1 / (1 + np.exp(np.minimum(margin, 80))))[:, None]
        parts = np.concatenate([slope * (i - j), slope * u, -slope * u])
        triples = len(sellers)
        ends = np.ones(3 * triples, np.float32), (rows.ravel(), np.arange(3 * triples))
        from scipy.sparse import csr_matrix

        scatter = csr_matrix(ends, shape=(len(self.nodes), 3 * triples))
        # the graph is symmetric, so a gradient goes back the way that vectors came
        behind = propagate(self.graph, scatter @ parts, self._config.num_layers)
        decay = self._config.regularisation * np.bincount(rows.ravel(), minlength=len(self.nodes))
        mean = (behind + decay[:, None] * self.nodes) / triples
        return np.asarray(mean, dtype=np.float32)

    def draw_others(self, sellers: IntArray) -> IntArray:
        """A product for each seller, uniform among those it does not list: (sellers,) int64."""
        others = self._random.integers(0, self._num_products, len(sellers))
        for _ in range(_REDRAWS):
            keys = sellers * self._num_products + others
            places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            known = np.flatnonzero(self._keys[places] == keys)
            others[known] = self._random.integers(0, self._num_products, len(known))
        return np.asarray(others, dtype=np.int64)

    def _descend(self, gradient: FloatArray) -> None:
        # Adam, Kingma and Ba, ICLR 2015
        self._steps += 1
        for i, value in enumerate((gradient, gradient * gradient)):
            self._moments[i] += np.float32(1 - _DECAYS[i]) * (value - self._moments[i])
        first, second = (1 / (1 - decay**self._steps) for decay in _DECAYS)
        root = np.sqrt(self._moments[1] * np.float32(second)) + np.float32(_EPSILON)
        rate = np.float32(self._config.learning_rate * first)
        self.nodes -= rate * self._moments[0] / root


def normalised_graph(matrix: csr_matrix) -> csr_matrix:
    """Sellers, then products: 1 / sqrt(degree of both ends) for each listing, else 0.

    Symmetric (sellers + products, sellers + products) float32.
    """
    binary = (canonical(matrix) > 0).astype(np.float64)
    from scipy.sparse import bmat, csr_matrix

    graph = bmat(
        [
            [csr_matrix((binary.shape[0],) * 2), binary],
            [binary.T, csr_matrix((binary.shape[1],) * 2)],
        ],
        format="csr",
    )
    graph.sort_indices()
    degrees = row_sums(graph)
    ends = np.repeat(degrees, np.diff(graph.indptr)) * degrees[graph.indices]
    graph.data = 1 / np.sqrt(ends)
    return graph.astype(np.float32)


def propagate(graph: csr_matrix, nodes: FloatArray, num_layers: int) -> FloatArray:
    """The mean of layers 0 to num_layers: (nodes, dim) float32, as `nodes`."""
    layer, total = nodes, nodes.copy()
    for _ in range(num_layers):
        layer = graph @ layer
        total += layer
    total /= np.float32(num_layers + 1)
    return total


def _checked(options: Settings) -> LightGcnConfig:
    known = list(LightGcnConfig.__dataclass_fields__)
    refuse_unknown("lightgcn", {k: v for k, v in options.items() if k not in known}, known)
    config = replace(LightGcnConfig(), **options)
    for name, least in (("embedding_dim", 1), ("num_layers", 0), ("epochs", 1)):
        check_least("lightgcn", name, getattr(config, name), least)
    check_least("lightgcn", "learning_rate", config.learning_rate, 1e-9)
    check_least("lightgcn", "regularisation", config.regularisation, 0)
    return config
