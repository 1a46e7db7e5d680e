"""Minibatches of supervision edges with the candidates they are told from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cprtools.graph.homogeneous import BoolArray, FloatArray, HomogeneousGraph, IntArray
from cprtools.linkpred.options import TrainingOptions

_MIN_STEPS = 32
_MOST_STEPS = 200
"""Of an epoch: weights are shared by all nodes, and need no look at each of many listings."""
_MIN_BATCHES = 16
_SMALLEST_BATCH = 64
_FEW = 16
"""Edges up to which sellers are drawn by their number: a seller of three would have all of them in
every batch, and so never a message."""


@dataclass(frozen=True)
class Batch:
    """Edges to predict, and candidates that each target must be told from."""

    edges: Tensor
    """(rows,) int64 edge ids, ascending."""
    roots: Tensor
    """(nodes,) int64 nodes whose vectors are needed, ascending."""
    query: Tensor
    """(rows,) int64 row of `roots`."""
    candidates: Tensor
    """(candidates,) int64 rows of `roots`."""
    positive: Tensor
    """(rows,) int64 column of `candidates`."""
    log_expected: Tensor
    """(candidates,) float32 log of how often a batch is expected to hold the candidate."""
    is_known: Tensor
    """(rows, candidates) bool: the graph joins the two."""


class BatchMaker:
    """Draws supervision edges, as many of each larger seller on average, and further candidates.

    Recall is averaged over sellers, so one with a thousand listings counts as one with twenty;
    with `sampling` uniform every edge is as likely.
    """

    def __init__(
        self,
        graph: HomogeneousGraph,
        edges: IntArray,
        is_candidate: BoolArray | None,
        options: TrainingOptions,
        rng: np.random.Generator,
    ) -> None:
        self.graph, self.edges, self.rng = graph, edges, rng
        share = np.ones(len(edges))
        if options.sampling == "stratified":
            query = graph.sources[edges]
            size = np.bincount(query, minlength=graph.num_nodes)[query]
            share = 1 / np.maximum(size, _FEW)
        share = share / share.sum()
        self.cumulative = np.cumsum(share)
        # few edges make small batches: a model needs some steps whatever there is to learn from
        self.size = min(options.batch_size, max(_SMALLEST_BATCH, len(edges) // _MIN_BATCHES))
        self.steps = min(_MOST_STEPS, max(_MIN_STEPS, -(-len(edges) // self.size)))
        allowed = np.ones(graph.num_products, np.bool_) if is_candidate is None else is_candidate
        self.pool = np.flatnonzero(allowed) + graph.num_sellers
        self.num_negatives = min(options.num_negatives, len(self.pool))
        self.log_expected = self._log_expected(share)
        self.column_of = np.full(graph.num_nodes, -1, dtype=np.int64)

    def _log_expected(self, share: npt.NDArray[np.float64]) -> FloatArray:
        target = self.graph.destinations[self.edges]
        expected = self.size * np.bincount(target, weights=share, minlength=self.graph.num_nodes)
        sampled = np.zeros(self.graph.num_nodes)
        sampled[self.pool] = self.num_negatives / max(1, len(self.pool))
        return np.log(np.maximum(expected + sampled, 1e-9)).astype(np.float32)

    def draw(self) -> Batch:
        """The next batch; its edges are distinct."""
        drawn = np.searchsorted(self.cumulative, self.rng.random(self.size), side="right")
        edges = self.edges[np.unique(np.minimum(drawn, len(self.edges) - 1))]
        query, target = self.graph.sources[edges], self.graph.destinations[edges]
        sampled = self.rng.choice(self.pool, self.num_negatives)
        candidates = np.unique(np.concatenate([target, sampled]))
        roots = np.unique(np.concatenate([query, candidates]))
        arrays = (
            edges,
            roots,
            np.searchsorted(roots, query),
            np.searchsorted(roots, candidates),
            np.searchsorted(candidates, target),
            self.log_expected[candidates],
            self._known(query, candidates),
        )
        return Batch(*(torch.from_numpy(array) for array in arrays))

    def _known(self, query: IntArray, candidates: IntArray) -> BoolArray:
        """Whether the graph joins query and candidate: (rows, candidates) bool."""
        queries, row = np.unique(query, return_inverse=True)
        self.column_of[candidates] = np.arange(len(candidates))
        start = self.graph.indptr[queries]
        size = self.graph.indptr[queries + 1] - start
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        # the graph is symmetric: edges into a query come from what it is joined to
        column = self.column_of[self.graph.sources[np.repeat(start, size) + within]]
        owner = np.repeat(np.arange(len(queries)), size)
        known = np.zeros((len(queries), len(candidates)), dtype=np.bool_)
        known[owner[column >= 0], column[column >= 0]] = True
        self.column_of[candidates] = -1
        return np.asarray(known[row])
