"""Train the graph encoder on minibatches of supervision edges; stop early; embed all nodes."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice

import numpy as np
import torch
from torch import nn

from cprtools.graph.homogeneous import BoolArray, FloatArray, HomogeneousGraph, supervision_edges
from cprtools.graph.sampling import (
    Block,
    DglSampler,
    TensorSampler,
    full_blocks,
    make_sampler,
)
from cprtools.linkpred.batches import Batch, BatchMaker
from cprtools.linkpred.encoder import GraphEncoder, sampled_softmax_loss
from cprtools.linkpred.features import RMS, NodeFeatures
from cprtools.linkpred.memory import memory_note
from cprtools.linkpred.options import TrainingOptions
from cprtools.training.checkpoint import Checkpoint
from cprtools.training.loop import Loop
from cprtools.training.reuse import reusing_memory
from cprtools.training.run import Run, on_device

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
        device: str = "cpu",
    ) -> None:
        self.graph, self.vectors, self.options = graph, vectors, options
        self.seed, self.device = seed, device
        dim = options.embedding_dim
        precision = None if options.precision == "float32" else torch.bfloat16
        self.features = NodeFeatures(graph, vectors, dim, device, precision)
        self.is_product = (torch.arange(graph.num_nodes) >= graph.num_sellers).long().to(device)
        encoder = GraphEncoder(
            self.features.dim, dim, options.num_layers, options.dropout, precision
        )
        self.encoder = encoder.to(device)
        edges = supervision_edges(graph, is_candidate, options.sampling)
        rng = np.random.default_rng(seed)
        self.batches = BatchMaker(graph, edges, is_candidate, options, rng)
        self.sampler = make_sampler(graph, options.fanouts(), sampler=options.sampler, seed=seed)
        learned = [*self.encoder.parameters(), *self.features.parameters()]
        self.optimizer = torch.optim.Adam(learned, lr=options.learning_rate)
        self.loop = Loop(
            nn.ModuleDict({"encoder": self.encoder, "features": self.features}),
            self.optimizer,
            torch.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, _LAST_RATE, options.epochs),
        )
        self.seconds = 0.0

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are kept, from 1."""
        return self.loop.best_epoch

    @property
    def best_value(self) -> float:
        """Its measure; NaN where nothing was measured."""
        return max(self.loop.hits, default=float("nan"))

    def fit(self, measure: Measure | None, run: Run, checkpoint: Checkpoint | None = None) -> None:
        """Train until the last epoch, or until `measure` no longer grows; keep the best weights."""
        planned = self.options.epochs if len(self.batches.edges) else 0
        start, stop = self.loop.begin(planned, checkpoint)
        size = self.batches.steps
        shown = run.steps(start * size, stop * size, "gnn")
        with reusing_memory(), closing(shown) as steps:
            self.loop.run(
                range(start, stop),
                lambda epoch: self._one_epoch(epoch, islice(steps, size)),
                None if measure is None else lambda: measure(self.embed()),
                self.options.patience,
                checkpoint,
            )

    def _one_epoch(self, epoch: int, steps: Iterable[int]) -> None:
        # seeds of its own: an epoch is the same after a pause, whichever sampler draws
        own = np.random.SeedSequence([self.seed, epoch])
        # dgl takes 31 bits
        first, second = (int(word) >> 1 for word in own.generate_state(2))
        self.batches.rng = np.random.default_rng(own)
        torch.manual_seed(first)
        if isinstance(self.sampler, TensorSampler):
            self.sampler.generator.manual_seed(second)
        elif isinstance(self.sampler, DglSampler):
            self.sampler.dgl.seed(second)
        started = time.process_time()
        for _ in steps:
            self.step(self.batches.draw())
        self.seconds += time.process_time() - started
        self.loop.schedule.step()

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
        initial = self.features(batch.edges.to(self.device))
        blocks, batch = on_device((blocks, batch), self.device)
        vectors = self.encoder(initial, self.is_product, blocks, self.features.short)
        logits = self.encoder.scale * (vectors[batch.query] @ vectors[batch.candidates].T)
        return sampled_softmax_loss(logits, batch.positive, batch.log_expected, batch.is_known)

    def embed(self) -> FloatArray:
        """Vectors of all nodes from all their neighbours, layer by layer: (nodes, dim) float32."""
        self.encoder.eval()

        def blocks() -> Iterator[Block]:
            return (on_device(block, self.device) for block in full_blocks(self.graph))

        vectors = self.encoder.everywhere(self.features(), self.is_product, blocks)
        return np.asarray(vectors.cpu().numpy(), dtype=np.float32)

    def move(self, make: Callable[[], HomogeneousGraph]) -> None:
        """Take another graph of the same nodes, such as one with more listings.

        make: gives it, once this one's memory is free. For embedding, not for more training:
        batches are those of the first graph.
        """
        del self.graph
        if self.vectors is not None:
            del self.features
        self.graph = make()
        if self.vectors is not None:
            dim = self.options.embedding_dim
            self.features = NodeFeatures(self.graph, self.vectors, dim, self.device)

    def finish(self) -> None:
        """Give up what only training needs."""
        del self.sampler, self.batches
        # the loop names the initial vectors, too, which may be replaced
        self.loop.network = self.encoder

    def weights(self) -> dict[str, FloatArray]:
        """The encoder's weights that a product without neighbours needs, as matrices."""
        found = {
            name: np.atleast_2d(weight.cpu().numpy())
            for name, weight in self.encoder.state_dict().items()
            if ".relations." not in name
        }
        return {**found, "rms": np.array([[RMS]], dtype=np.float32)}


def train(
    graph: HomogeneousGraph,
    vectors: FloatArray | None,
    is_candidate: BoolArray | None,
    options: TrainingOptions,
    seed: int,
    measure: Measure | None = None,
    run: Run | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trainer:
    """A trainer that has fitted its encoder to the graph's supervision edges.

    vectors: (products, dim) float32, None for learned initial vectors. measure: from the vectors
    of all nodes to a number, asked after every epoch; the weights with the highest are kept.
    The same arguments give the same weights, whether training was cut off and resumed from the
    checkpoint or not; on a GPU sums may differ in the last bits.
    """
    run = run or Run()
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        with torch.random.fork_rng(devices=[0] if run.device == "cuda" else []):
            torch.manual_seed(seed)
            trainer = Trainer(graph, vectors, is_candidate, options, seed, run.device)
            run.say(memory_note(trainer.loop.network, graph, vectors, options))
            trainer.fit(measure, run, checkpoint)
            return trainer
    finally:
        torch.set_num_threads(before)
