"""The graph model as a recommender: trained with torch, answering with numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import (
    FEATURES,
    FloatArray,
    IntArray,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.dense import stable_product
from cprtools.baselines.options import require_sellers
from cprtools.baselines.tuning import Validation, hold_out
from cprtools.errors import SchemaError
from cprtools.linkpred.cold import ColdEncoder, joined
from cprtools.tables import columns as c
from cprtools.tables import to_matrix, vector_array
from cprtools.training.run import Run

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from cprtools.baselines.stored import Stored
    from cprtools.graph.homogeneous import HomogeneousGraph
    from cprtools.linkpred.options import TrainingOptions
    from cprtools.linkpred.training import Trainer

# between the seeds of two networks: far from the next seed that a user would take
_NEXT_NETWORK = 1000
_SELLERS, _PRODUCTS, _ENCODER = "gnn_sellers", "gnn_products", "gnn_encoder"


@dataclass(frozen=True)
class Effort:
    """What one epoch of training cost, the average over all of them."""

    epochs: int
    root_edges: float
    """Edges predicted."""
    sampled_edges: float
    """Edges along which messages were passed."""
    seconds: float
    """Of the processor, for drawing batches and learning from them; validation is left out."""

    @classmethod
    def total(cls, parts: Sequence[Effort]) -> Effort:
        """Of several trainings: all their epochs, and the average over those."""
        epochs = [part.epochs for part in parts]
        costs = [(part.root_edges, part.sampled_edges, part.seconds) for part in parts]
        weights = np.array(epochs, dtype=np.float64) / max(1, sum(epochs))
        return cls(sum(epochs), *(weights @ np.array(costs)).tolist())

    def __str__(self) -> str:
        return (
            f"{self.epochs} epochs, each of {self.root_edges:,.0f} root edges, "
            f"{self.sampled_edges:,.0f} sampled edges and {self.seconds:.1f} s of CPU"
        )


class GraphModel(Recommender):
    """Scores by the cosine of the seller's and the product's graph embeddings.

    Of several networks by the mean of their cosines: the vectors lie side by side.

    Source: the seller article (a graph neural network on the augmented seller-product graph);
    layers, loss and departures from it are told in docs/methods/sellers.md.
    """

    method: ClassVar[str] = "gnn"
    knows_by: ClassVar[str] = FEATURES

    def __init__(
        self, sellers: FloatArray, products: FloatArray, cold: ColdEncoder, epochs: int = 0
    ) -> None:
        self._sellers = sellers
        self._products = products
        self._cold = cold
        self.epochs = epochs
        self.validation = float("nan")
        self.trainers: Sequence[Trainer] = ()
        """What fitted its networks, in this process."""
        self.effort: Effort | None = None
        """Of that training."""

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        views: csr_matrix | FloatArray | None = None,
        run: Run | None = None,
        **options: Any,
    ) -> Self:
        """Train on the problem's listings, co-purchases and vectors.

        views: page views per listing, (sellers, products) csr, or per product, (products,).
        run: what it shows, where it computes and what it keeps; it changes no number.
        options: the fields of TrainingOptions. Raises SchemaError for a problem of products and
        for a checkpoint of another fit, UsageError for options out of range.
        """
        from cprtools.linkpred.options import TrainingOptions

        chosen = TrainingOptions.checked(options)
        require_sellers(cls.method, problem)
        run = run or Run()
        fits = [
            _train(
                problem,
                views,
                chosen,
                seed + _NEXT_NETWORK * number,
                run.one_of(number, chosen.networks),
            )
            for number in range(chosen.networks)
        ]
        trainers, efforts = zip(*fits, strict=True)
        model = cls._embedded(trainers)
        model.effort, model.trainers = Effort.total(efforts), trainers
        return model

    @classmethod
    def moved(
        cls,
        trainers: Sequence[Trainer],
        problem: Problem,
        views: csr_matrix | FloatArray | None = None,
    ) -> Self:
        """The weights of a fit on another graph of the same nodes, such as with more listings."""
        for trainer in trainers:
            trainer.move(_graph_maker(problem, views))
        return cls._embedded(trainers)

    @classmethod
    def _embedded(cls, trainers: Sequence[Trainer]) -> Self:
        parts = [_embed(trainer) for trainer in trainers]
        num_sellers = trainers[0].graph.num_sellers
        # side by side and at length 1: the product is the mean of the networks' cosines
        nodes = joined([nodes for nodes, _ in parts])
        cold = ColdEncoder(tuple(weights for _, weights in parts))
        epochs = round(sum(trainer.best_epoch for trainer in trainers) / len(trainers))
        model = cls(nodes[:num_sellers], nodes[num_sellers:], cold, epochs)
        model.validation = sum(trainer.best_value for trainer in trainers) / len(trainers)
        return model

    @property
    def chosen(self) -> dict[str, Any]:
        """Options that train as long again without holding listings out to stop by."""
        return {"epochs": self.epochs, "validation": 0.0}

    def embed(self, vectors: FloatArray) -> FloatArray:
        """Product vectors of new products, to be scored like the others: (rows, dim) float32."""
        return self._cold(vectors)

    def extended(self, problem: Problem) -> Self:
        """New products are embedded from their vectors; without one they score 0."""
        known = len(self._products)
        if problem.vectors is None:
            more = np.zeros((problem.num_candidates - known, self._products.shape[1]), np.float32)
        else:
            more = self.embed(problem.vectors[known:])
        return type(self)(self._sellers, np.concatenate([self._products, more]), self._cold)

    @property
    def seller_vectors(self) -> FloatArray:
        """(sellers, embedding_dim) float32, length 1; zeros for sellers without listings."""
        return self._sellers

    @property
    def product_vectors(self) -> FloatArray:
        """(products, embedding_dim) float32, length 1; zeros where nothing is known."""
        return self._products

    def score(self, query_idx: IntArray) -> FloatArray:
        """Cosines of sellers and products: (len(query_idx), num_candidates) float32."""
        return stable_product(self._sellers[query_idx], self._products)

    def restricted(self, pool: IntArray) -> Self:
        """The vectors of the pool alone."""
        narrow = copy(self)
        narrow._products = self._products[pool]
        return narrow

    def factors(self) -> tuple[FloatArray, FloatArray]:
        """Vectors of sellers and products."""
        return self._sellers, self._products

    def tables(self) -> dict[str, pa.Table]:
        """Vectors of sellers and products, one row each, and the encoder for new products."""
        encoder = self._cold.table()
        return {
            _SELLERS: pa.table({c.VECTOR: vector_array(self._sellers)}),
            _PRODUCTS: pa.table({c.VECTOR: vector_array(self._products)}),
            _ENCODER: encoder.append_column(
                "epochs", pa.array([self.epochs] * encoder.num_rows, pa.int32())
            ),
        }

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored vectors. Raises SchemaError where they are not of the problem's shape."""
        sellers = to_matrix(read(_SELLERS).column(c.VECTOR), _SELLERS)
        products = to_matrix(read(_PRODUCTS).column(c.VECTOR), _PRODUCTS)
        shape = len(sellers), len(products)
        if shape != problem.matrix.shape or sellers.shape[1] != products.shape[1]:
            raise SchemaError(f"{_SELLERS}: vectors of {shape} rows; need {problem.matrix.shape}")
        encoder = read(_ENCODER)
        cold = ColdEncoder.load(encoder, _ENCODER)
        return cls(sellers, products, cold, encoder.column("epochs")[0].as_py())

    @classmethod
    def candidate_members(cls) -> tuple[str, ...]:
        """The products' vectors."""
        return (_PRODUCTS,)

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Self:
        """The products of the pool, and the sellers in place."""
        sellers, products = stored.numbers(_SELLERS, c.VECTOR), stored.pooled(_PRODUCTS, c.VECTOR)
        if (len(sellers), len(products)) != (problem.num_queries, len(stored.pool)):
            raise SchemaError(f"{_SELLERS}: does not fit the rest of the model")
        return cls(sellers, products, ColdEncoder(()))

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._products)


def _train(
    problem: Problem,
    views: csr_matrix | FloatArray | None,
    chosen: TrainingOptions,
    seed: int,
    run: Run,
) -> tuple[Trainer, Effort]:
    """One network, brought to the problem's whole graph, and what its training cost."""
    from cprtools.linkpred.training import train

    vectors = None if chosen.init == "random" else problem.vectors
    seen, measure = problem.matrix, None
    if chosen.validation:
        split = hold_out(problem, seed, chosen.validation)
        if split is not None:
            seen, measure = split.train, _Validation(split).measure
    checkpoint = None
    if run.checkpoints is not None:
        from cprtools.training.checkpoint import fingerprint

        settings = {**asdict(chosen), "seed": seed}
        checkpoint = run.checkpoints.next_fit(fingerprint(settings, problem, views=views))
    trainer = train(
        # no name of its own here: it is let go before the whole graph is made
        _graph_maker(replace(problem, matrix=seen), views)(),
        vectors,
        problem.is_candidate,
        chosen,
        seed,
        measure,
        run,
        checkpoint,
    )
    # listings held out to stop by carry messages again: nothing is predicted any more
    effort = _effort(trainer)
    trainer.finish()
    if seen is not problem.matrix:
        trainer.move(_graph_maker(problem, views))
    return trainer, effort


def _graph_maker(
    problem: Problem, views: csr_matrix | FloatArray | None
) -> Callable[[], HomogeneousGraph]:
    from cprtools.graph.homogeneous import make_graph

    return lambda: make_graph(problem.matrix, problem.co_purchases, views)


def _embed(trainer: Trainer) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Unit vectors of all nodes, zeros where nothing is known, and the weights for new products."""
    graph, vectors = trainer.graph, trainer.vectors
    nodes = trainer.embed()
    known = np.diff(graph.indptr) > 0
    if vectors is not None:
        known[graph.num_sellers :] |= (vectors != 0).any(axis=1)
    nodes[~known] = 0
    weights = trainer.weights()
    if vectors is None:
        weights["rms"] = np.zeros((1, 1), dtype=np.float32)
    return nodes, weights


def _effort(trainer: Trainer) -> Effort:
    sampler = trainer.sampler
    epochs = sampler.num_batches // max(1, trainer.batches.steps)
    totals = (float(sampler.num_roots), float(sampler.num_sampled), trainer.seconds)
    return Effort(epochs, *(total / max(1, epochs) for total in totals))


@dataclass(frozen=True)
class _Validation:
    """Recall@100 on listings of high-demand products that were held out."""

    split: Validation

    def measure(self, nodes: FloatArray) -> float:
        """Averaged over sellers, of the vectors of all nodes."""
        products = nodes[self.split.train.shape[0] :][self.split.pool]
        return self.split.measure(lambda rows: np.asarray(nodes[rows] @ products.T))
