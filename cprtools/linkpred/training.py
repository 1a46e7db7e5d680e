"""Train the graph encoder on minibatches of supervision edges; stop early; embed all nodes."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from cprtools.graph.homogeneous import BoolArray, FloatArray, HomogeneousGraph, supervision_edges
from cprtools.graph.sampling import full_block, make_sampler
from cprtools.linkpred.batches import Batch, BatchMaker
from cprtools.linkpred.encoder import GraphEncoder, sampled_softmax_loss
from cprtools.linkpred.features import RMS, NodeFeatures
from cprtools.linkpred.options import TrainingOptions

Progress = Callable[[Iterable[Any], str, int | None], Iterator[Any]]
Measure = Callable[[FloatArray], float]
_LAST_RATE = 0.05
"""Share of the learning rate that is left at the end."""


class Trainer:
    """An encoder, its initial vectors and the way its batches are drawn, one step at a time."""

    def __init__(
        self,
        graph: HomogeneousGraph,
        vectors: FloatArray | None,
        is_candidate: BoolArray | None,
        options: TrainingOptions,
        seed: int,
    ) -> None:
        self.graph, self.vectors, self.options = graph, vectors, options
        dim = options.embedding_dim
        self.features = NodeFeatures(graph, vectors, dim)
        self.is_product = (torch.arange(graph.num_nodes) >= graph.num_sellers).long()
        self.encoder = GraphEncoder(self.features.dim, dim, options.num_layers, options.dropout)
        edges = supervision_edges(graph, is_candidate, options.sampling)
        rng = np.random.default_rng(seed)
        self.batches = BatchMaker(graph, edges, is_candidate, options, rng)
        self.sampler = make_sampler(graph, options.fanouts(), sampler=options.sampler, seed=seed)
        learned = [*self.encoder.parameters(), *self.features.parameters()]
        self.optimizer = torch.optim.Adam(learned, lr=options.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LinearLR(
            self.optimizer, 1.0, _LAST_RATE, options.epochs
        )
        self.best_epoch, self.best_value = 0, float("-inf")
        self.best_state: list[dict[str, Any]] = []

    def fit(self, measure: Measure | None, progress: Progress | None) -> None:
        """Train until the last epoch, or until `measure` no longer grows; keep the best weights."""
        planned = self.options.epochs if len(self.batches.edges) else 0
        epochs: Iterable[int] = range(1, planned + 1)
        if progress is not None:
            epochs = progress(epochs, "training", planned)
        for epoch in epochs:
            for _ in range(self.batches.steps):
                self.step(self.batches.draw())
            self.schedule.step()
            self._remember(epoch, float(epoch) if measure is None else measure(self.embed()))
            if epoch - self.best_epoch >= self.options.patience:
                break
        for module, state in zip((self.encoder, self.features), self.best_state, strict=False):
            module.load_state_dict(state)

    def step(self, batch: Batch) -> float:
        """One update of the weights; returns the loss before it."""
        self.optimizer.zero_grad()
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def loss(self, batch: Batch) -> torch.Tensor:
        """The batch's loss, a scalar, from freshly sampled neighbours."""
        self.encoder.train()
        blocks = self.sampler.sample(batch.roots, batch.edges)
        vectors = self.encoder(self.features(batch.edges), self.is_product, blocks)
        logits = self.encoder.scale * (vectors[batch.query] @ vectors[batch.candidates].T)
        return sampled_softmax_loss(logits, batch.positive, batch.log_expected, batch.is_known)

    @torch.no_grad()
    def embed(self, graph: HomogeneousGraph | None = None) -> FloatArray:
        """Vectors of all nodes from all their neighbours, layer by layer: (nodes, dim) float32.

        graph: another graph of the same nodes, such as one with more listings; None: the trained.
        """
        self.encoder.eval()
        features = self.features
        if graph is not None and self.vectors is not None:
            features = NodeFeatures(graph, self.vectors, self.options.embedding_dim)
        block = full_block(graph or self.graph)
        layers = [block] * self.options.num_layers
        vectors = self.encoder(features(), self.is_product, layers)
        return np.asarray(vectors.numpy(), dtype=np.float32)

    def weights(self) -> dict[str, FloatArray]:
        """The encoder's weights that a product without neighbours needs, as matrices."""
        found = {
            name: np.atleast_2d(weight.numpy())
            for name, weight in self.encoder.state_dict().items()
            if ".relations." not in name
        }
        return {**found, "rms": np.array([[RMS]], dtype=np.float32)}

    def _remember(self, epoch: int, value: float) -> None:
        if value > self.best_value:
            self.best_epoch, self.best_value = epoch, value
            self.best_state = [
                {name: weight.clone() for name, weight in module.state_dict().items()}
                for module in (self.encoder, self.features)
            ]


def train(
    graph: HomogeneousGraph,
    vectors: FloatArray | None,
    is_candidate: BoolArray | None,
    options: TrainingOptions,
    seed: int,
    measure: Measure | None = None,
    progress: Progress | None = None,
) -> Trainer:
    """A trainer that has fitted its encoder to the graph's supervision edges.

    vectors: (products, dim) float32, None for learned initial vectors. measure: from the vectors
    of all nodes to a number, asked after every epoch; the weights with the highest are kept.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            trainer = Trainer(graph, vectors, is_candidate, options, seed)
            trainer.fit(measure, progress)
            return trainer
    finally:
        torch.set_num_threads(before)
