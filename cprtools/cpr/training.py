"""The training loop: seeds, steps, early stopping on held-out pairs, the closed form at the end."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cprtools.baselines.contract import FloatArray, IntArray, Problem
from cprtools.baselines.sparse import canonical
from cprtools.baselines.tuning import Validation, hold_out
from cprtools.cpr import losses
from cprtools.cpr.article import ArticleNetwork
from cprtools.cpr.batches import (
    NeighbourSampler,
    PairBatch,
    PairSampler,
    SoftmaxBatch,
    SoftmaxSampler,
    damped,
    history_bags,
)
from cprtools.cpr.config import CprConfig
from cprtools.cpr.features import Features, encode_features
from cprtools.cpr.memory import memory_note
from cprtools.cpr.optimiser import TableAdamW
from cprtools.cpr.pcompanion import DirectedNetwork, Network, PaperNetwork
from cprtools.cpr.product2vec import pool_neighbours
from cprtools.cpr.scoring import ClosedForm, FactoredTransitions
from cprtools.cpr.warmstart import start_tables
from cprtools.errors import SchemaError
from cprtools.training.checkpoint import Checkpoint, fingerprint
from cprtools.training.loop import Loop
from cprtools.training.reuse import reusing_memory
from cprtools.training.run import Run, on_device

TABLES = ("identity.", "popularity.", "history.")

_MEASURED_QUERIES = 600
_WARM_UP = 0.1
_LEAST_EPOCHS = 3
_SIMILAR_BATCH = 64


@dataclass
class Trained:
    """The closed form, and how it did on the held-out part after each epoch (empty without one).

    Hit@10 of its queries as they are and as if they were new: the geometric mean of both.
    """

    form: ClosedForm
    hits: list[float] = field(default_factory=list)
    weights: dict[str, FloatArray] = field(default_factory=dict)
    """Of the network, by name, (rows, columns) each; without the tables of a row per product."""


def train(problem: Problem, config: CprConfig, run: Run | None = None) -> Trained:
    """Train a network on the problem's pairs and reduce it to its closed form.

    The same problem, config, machine and number of threads give the same result, whether the run
    was cut off and resumed or not; on a GPU sums may differ in the last bits. No global random
    state is touched. Raises SchemaError where there are no pairs.
    """
    run = run or Run()
    known = canonical(problem.matrix)
    if not known.nnz:
        raise SchemaError("p-companion needs complement pairs; found none; check the mining report")
    validation = None
    if config.validation_fraction > 0:
        # at random in orders to come, too: what only the later ones tell is to be learnt as well
        whole = replace(problem, earlier=None, later=None)
        validation = hold_out(
            whole, config.seed, config.validation_fraction, max_rows=_MEASURED_QUERIES
        )
    shown = known if validation is None else validation.train
    with torch.random.fork_rng(devices=[0] if run.device == "cuda" else []):
        torch.manual_seed(config.seed)
        session = Session(problem, config, shown, run)
        run.say(memory_note(session.network, config, problem.num_candidates, problem.num_types))
        checkpoint = None
        if run.checkpoints is not None:
            checkpoint = run.checkpoints.next_fit(fingerprint(asdict(config), problem))
        if checkpoint is None or not checkpoint.holds_epochs:
            session.pretrain()
        hits = session.run(validation, checkpoint)
        return Trained(closed_form(session.network, known), hits, shared_weights(session.network))


def closed_form(network: Network, matrix: csr_matrix) -> ClosedForm:
    """The network as numpy matrices, with the history of these pairs."""
    return _reduce(network, matrix)[0]


def shared_weights(network: nn.Module) -> dict[str, FloatArray]:
    """The weights that all products share: (rows, columns) float32 by name, a bias as one row."""
    return {
        name: np.atleast_2d(_array(weight.cpu()))
        for name, weight in network.state_dict().items()
        if not name.startswith(TABLES)
    }


def _reduce(network: Network, matrix: csr_matrix) -> tuple[ClosedForm, FloatArray]:
    """The closed form, and the source vectors that products would have if they were new."""
    weights = damped(matrix)
    was_training = network.training
    network.eval()
    # once an epoch: not worth a second way of doing it on another device
    device = network.dense.device
    network.to("cpu")
    with torch.no_grad():
        factors = network.factors(history_bags(weights, canonical(weights.T.tocsr())))
    network.train(was_training)
    form = ClosedForm(
        embeddings=_array(factors.theta),
        source=_array(factors.source),
        target=_array(factors.target),
        bias=_array(factors.bias),
        transitions=FactoredTransitions(*map(_array, factors.types)),
        types=network.codes[:, 0].numpy().copy(),
        type_weight=network.config.type_weight,
    )
    network.to(device)
    return form, _array(factors.new_source)


class Session:
    """One training run: the network, its samplers and its optimiser."""

    def __init__(
        self, problem: Problem, config: CprConfig, matrix: csr_matrix, around: Run | None = None
    ):
        self.around = around or Run()
        self.random = random = np.random.default_rng([config.seed, 2])
        features = encode_features(problem)
        self.matrix, self.config = matrix, config
        self.neighbours = None
        if problem.similar is not None and problem.similar.nnz:
            self.neighbours = NeighbourSampler(problem.similar, config, random)
        self.network: Network
        self.sampler: SoftmaxSampler | PairSampler
        self.loss: Callable[[Any], Tensor]
        if config.preset in ("paper", "article"):
            self.network, self.loss = _published(features, config)
            self.sampler = PairSampler(matrix, config, random)
        else:
            directed = DirectedNetwork(features, config)
            tables = start_tables(matrix, config.embedding_dim, config.seed)
            directed.start_from(*(torch.from_numpy(table) for table in tables))
            self.network, self.loss = directed, partial(self._loss_with_similar, directed)
            self.sampler = SoftmaxSampler(matrix, config, random)
        self.network.to(self.around.device)
        self.optimiser = make_optimiser(self.network, config)

    def pretrain(self) -> None:
        """Product2Vec alone on similar products, as the paper does before the joint training."""
        if self.neighbours is None:
            return
        size = self.config.batch_size
        batches = min(-(-self.neighbours.num_items // size), self.config.max_steps)
        for _ in self.around.steps(0, self.config.pretrain_epochs, "product2vec"):
            for _ in range(batches):
                self.step(similar_loss(self.network, self.neighbours, size))

    def run(
        self, validation: Validation | None, checkpoint: Checkpoint | None = None
    ) -> list[float]:
        """All epochs, or until `patience` of them brought no better Hit@10; keeps the best."""
        epochs = num_epochs(self.config, self.sampler.num_batches)
        steps = epochs * self.sampler.num_batches
        schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, _rate_of(steps))
        loop = Loop(self.network, self.optimiser, schedule, self.random)
        start, stop = loop.begin(epochs, checkpoint)
        # the types that may follow a batch, where there are thousands
        with reusing_memory():
            loop.run(
                self.around.steps(start, stop, "p-companion"),
                lambda _: self._one_epoch(schedule),
                None if validation is None else lambda: self._measure(validation),
                self.config.patience,
                checkpoint,
            )
        return loop.hits

    def _one_epoch(self, schedule: torch.optim.lr_scheduler.LRScheduler) -> None:
        for batch in self.sampler.epoch():
            self.step(self.loss(on_device(batch, self.around.device)))
            schedule.step()

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of this loss alone."""
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()

    def _loss_with_similar(self, network: DirectedNetwork, batch: SoftmaxBatch) -> Tensor:
        loss = directed_loss(network, batch)
        if self.neighbours is not None and self.config.similar_weight > 0:
            similar = similar_loss(network, self.neighbours, _SIMILAR_BATCH)
            loss = loss + self.config.similar_weight * similar
        return loss

    def _measure(self, validation: Validation) -> float:
        # the warm start knows the known products well before it has learnt anything about new ones
        hits = []
        warm, new_source = _reduce(self.network, self.matrix)
        for form in (warm, replace(warm, source=new_source)):
            hits.append(validation.measure(partial(_scores_of_others, form)))
        return math.sqrt(hits[0] * hits[1])


def _published(
    features: Features, config: CprConfig
) -> tuple[Network, Callable[[PairBatch], Tensor]]:
    """The network and the loss of a preset that follows a publication."""
    if config.preset == "article":
        article = ArticleNetwork(features, config)
        return article, partial(article_loss, article)
    paper = PaperNetwork(features, config)
    return paper, partial(paper_loss, paper)


def directed_loss(network: DirectedNetwork, batch: SoftmaxBatch) -> Tensor:
    """Joint loss of the default: softmax over candidates, cross-entropy over types."""
    logits = network.logits(batch.queries, batch.history, batch.candidates, batch.is_known)
    item = losses.sampled_softmax_loss(logits, batch.positives, batch.known, batch.log_rates)
    transitions = network.log_transitions(network.types_of(batch.queries))
    following = network.types_of(batch.candidates)[batch.positives.columns]
    type_ = losses.type_cross_entropy(transitions, batch.positives._replace(columns=following))
    return losses.joint_loss(item, type_, network.config.alpha)


def paper_loss(network: PaperNetwork, batch: PairBatch) -> Tensor:
    """Joint loss of the paper: hinges of item and of type distances, with random negatives."""
    config = network.config
    candidates = batch.all_candidates()
    items = network.item_distance(batch.queries, candidates)
    types = network.type_distance(network.types_of(batch.queries), network.types_of(candidates))
    item = losses.pair_hinge(items[:, 0], items[:, 1:], config.margin, config.slack)
    type_ = losses.pair_hinge(types[:, 0], types[:, 1:], config.type_margin, config.type_slack)
    return losses.joint_loss(item, type_, config.alpha)


def article_loss(network: ArticleNetwork, batch: PairBatch) -> Tensor:
    """The article's loss: hinges of item distances alone, with random negatives."""
    config = network.config
    items = network.item_distance(batch.queries, batch.all_candidates())
    return losses.pair_hinge(items[:, 0], items[:, 1:], config.margin, config.slack)


def similar_loss(network: Network, sampler: NeighbourSampler, size: int) -> Tensor:
    """Product2Vec's hinge: near its own neighbourhood, far from another product's."""
    batch = on_device(sampler.draw(size), network.dense.device)
    items = network.embed(batch.items)
    # (batch * width, dim) -> (batch, width, dim)
    around = network.embed(batch.neighbours.flatten()).view(*batch.neighbours.shape, -1)
    pool = partial(pool_neighbours, is_scaled=network.config.preset == "default")
    own = pool(items, around, batch.is_real)
    other = pool(items, around[batch.others], batch.is_real[batch.others])
    return losses.pair_hinge(
        losses.squared_distance(items, own),
        losses.squared_distance(items, other),
        network.config.margin,
        network.config.slack,
    )


def make_optimiser(network: Network, config: CprConfig) -> torch.optim.Optimizer:
    """AdamW, with a rate and decay of their own for the tables that hold a row per product."""
    named = list(network.named_parameters())
    tables = [parameter for name, parameter in named if name.startswith(TABLES)]
    others = [parameter for name, parameter in named if not name.startswith(TABLES)]
    groups: list[dict[str, Any]] = [{"params": others, "weight_decay": config.weight_decay}]
    if tables:
        own = {"lr": config.identity_learning_rate, "weight_decay": config.identity_decay}
        groups.append({"params": tables, **own})
    return TableAdamW(groups, lr=config.learning_rate, fused=True)


def num_epochs(config: CprConfig, num_batches: int) -> int:
    """Epochs of so many batches: fewer on a large catalogue, where each one makes more steps."""
    return min(config.epochs, max(_LEAST_EPOCHS, config.total_steps // num_batches))


def _rate_of(steps: int) -> Callable[[int], float]:
    warm_up = max(1, int(_WARM_UP * steps))

    def rate(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, steps - warm_up))))

    return rate


def _scores_of_others(form: ClosedForm, rows: IntArray) -> FloatArray:
    scores = form.logits(rows)
    scores[np.arange(len(rows)), rows] = -np.inf
    return scores


def _array(tensor: Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor.numpy(), dtype=np.float32)
