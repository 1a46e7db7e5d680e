"""The graph model as a recommender: trained with torch, answering with numpy."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import FloatArray, IntArray, Problem, ReadTable, Recommender
from cprtools.baselines.dense import stable_product
from cprtools.baselines.options import require_sellers
from cprtools.baselines.tuning import Validation, hold_out
from cprtools.baselines.weights import load_weights, weights_table
from cprtools.errors import SchemaError
from cprtools.tables import columns as c
from cprtools.tables import to_matrix, vector_array
from cprtools.training.run import Run

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from cprtools.baselines.stored import Stored
    from cprtools.linkpred.training import Trainer

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

    def __str__(self) -> str:
        return (
            f"{self.epochs} epochs, each of {self.root_edges:,.0f} root edges, "
            f"{self.sampled_edges:,.0f} sampled edges and {self.seconds:.1f} s of CPU"
        )


@dataclass(frozen=True)
class ColdEncoder:
    """The trained encoder for a product without neighbours, in numpy: new products need no torch.

    weights: by their name in GraphEncoder's state, with `rms`, the scale of initial vectors; that
    is 0 where nodes started from learned vectors: such an encoder knows nothing of a new product.
    """

    weights: dict[str, FloatArray]

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Unit vectors of products that are in no graph: (rows, embedding_dim) float32.

        vectors: (rows, feature_dim) float32. Rows of zeros stay zero: nothing is known of them.
        Raises SchemaError where the model was trained on vectors of another length.
        """
        w = self.weights
        if w["rms"].any() and vectors.shape[1] != w["project.weight"].shape[1]:
            raise SchemaError(
                f"the model was trained on vectors of length {w['project.weight'].shape[1]}; "
                f"found {vectors.shape[1]}"
            )
        if not w["rms"].any():
            return np.zeros((len(vectors), w["output.weight"].shape[0]), dtype=np.float32)
        first = _unit(vectors) * w["rms"][0, 0] * vectors.shape[1] ** 0.5
        state = first @ w["project.weight"].T + w["project.bias"] + w["node_type.weight"][1]
        for layer in range(sum(name.endswith("own.weight") for name in w)):
            at = f"layers.{layer}."
            change = state @ w[at + "own.weight"].T + w[at + "own.bias"]
            state = _layer_norm(state + np.maximum(change, 0))
            state = state * w[at + "norm.weight"] + w[at + "norm.bias"]
        out = state @ w["output.weight"].T + w["output.bias"] + first @ w["shortcut.weight"].T
        known = (vectors != 0).any(axis=1, keepdims=True)
        return np.asarray(_unit(out) * known, dtype=np.float32)


class GraphModel(Recommender):
    """Scores by the cosine of the seller's and the product's graph embeddings.

    Source: the seller article (a graph neural network on the augmented seller-product graph);
    layers, loss and departures from it are told in docs/methods/sellers.md.
    """

    method: ClassVar[str] = "gnn"

    def __init__(
        self, sellers: FloatArray, products: FloatArray, cold: ColdEncoder, epochs: int = 0
    ) -> None:
        self._sellers = sellers
        self._products = products
        self._cold = cold
        self.epochs = epochs
        self.validation = float("nan")
        self.trainer: Trainer | None = None
        """What fitted it, in this process."""
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
        from cprtools.graph.homogeneous import make_graph
        from cprtools.linkpred.options import TrainingOptions
        from cprtools.linkpred.training import train

        chosen = TrainingOptions.checked(options)
        require_sellers(cls.method, problem)
        vectors = None if chosen.init == "random" else problem.vectors
        seen, measure = problem.matrix, None
        if chosen.validation:
            split = hold_out(problem, seed, chosen.validation)
            if split is not None:
                seen, measure = split.train, _Validation(split).measure
        run = run or Run()
        checkpoint = None
        if run.checkpoints is not None:
            from cprtools.training.checkpoint import fingerprint

            settings = {**asdict(chosen), "seed": seed}
            checkpoint = run.checkpoints.next_fit(fingerprint(settings, problem, views=views))
        trainer = train(
            make_graph(seen, problem.co_purchases, views),
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
            trainer.move(lambda: make_graph(problem.matrix, problem.co_purchases, views))
        model = cls._embedded(trainer)
        model.effort, model.trainer = effort, trainer
        return model

    @classmethod
    def moved(
        cls, trainer: Trainer, problem: Problem, views: csr_matrix | FloatArray | None = None
    ) -> Self:
        """The weights of a fit on another graph of the same nodes, such as with more listings."""
        from cprtools.graph.homogeneous import make_graph

        trainer.move(lambda: make_graph(problem.matrix, problem.co_purchases, views))
        return cls._embedded(trainer)

    @classmethod
    def _embedded(cls, trainer: Trainer) -> Self:
        graph, vectors = trainer.graph, trainer.vectors
        nodes = trainer.embed()
        known = np.diff(graph.indptr) > 0
        if vectors is not None:
            known[graph.num_sellers :] |= (vectors != 0).any(axis=1)
        nodes[~known] = 0
        sellers, products = nodes[: graph.num_sellers], nodes[graph.num_sellers :]
        weights = trainer.weights()
        if vectors is None:
            weights["rms"] = np.zeros((1, 1), dtype=np.float32)
        model = cls(sellers, products, ColdEncoder(weights), trainer.best_epoch)
        model.validation = trainer.best_value
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
        weights = self._cold.weights
        return {
            _SELLERS: pa.table({c.VECTOR: vector_array(self._sellers)}),
            _PRODUCTS: pa.table({c.VECTOR: vector_array(self._products)}),
            _ENCODER: weights_table(weights).append_column(
                "epochs", pa.array([self.epochs] * len(weights), pa.int32())
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
        weights = load_weights(encoder, _ENCODER)
        return cls(sellers, products, ColdEncoder(weights), encoder.column("epochs")[0].as_py())

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
        return cls(sellers, products, ColdEncoder({}))

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._products)


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


def _unit(rows: FloatArray) -> FloatArray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)


def _layer_norm(rows: FloatArray) -> FloatArray:
    # as in torch: the variance is over all entries, 1e-5 keeps it from 0
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5))
