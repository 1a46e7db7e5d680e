"""Neighbour sampling for edge prediction: by tensors, and by DGL with the same distribution."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cprtools.graph.homogeneous import SAMPLERS, HomogeneousGraph

_EDGES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Block:
    """Messages of one layer along its edges, which ascend by target.

    destinations: (num_dst,) int64 node ids; sender: (edges,) int64 node ids; target: (edges,) int64
    rows of `destinations`; relation: (edges,) uint8; edge: (edges,) int64 edge ids of the graph;
    row_of: see `number_nodes`.
    """

    destinations: Tensor
    sender: Tensor
    target: Tensor
    relation: Tensor
    edge: Tensor
    row_of: Tensor

    @property
    def num_dst(self) -> int:
        """Number of destinations."""
        return len(self.destinations)

    @property
    def nodes(self) -> Tensor:
        """(sources,) int64 ids of all nodes of the block, destinations first, others ascending."""
        return self._numbered[0]

    @property
    def source(self) -> Tensor:
        """(edges,) int64 rows of `nodes` that send."""
        return self._numbered[1]

    @cached_property
    def _numbered(self) -> tuple[Tensor, Tensor]:
        # on demand: the first layer of an encoder has no use for it, and has most edges
        return number_nodes(self.destinations, self.sender, self.row_of)


def number_nodes(first: Tensor, more: Tensor, row_of: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct nodes, `first` before the others, and the rows of them that `more` has.

    row_of: (num_nodes,) int64 of -1, to be written in and left as it was.
    """
    row_of[first] = torch.arange(len(first), device=first.device)
    fresh = more[row_of[more] < 0].unique()  # type: ignore[no-untyped-call]
    nodes = torch.cat([first, fresh])
    row_of[fresh] = torch.arange(len(first), len(nodes), device=first.device)
    row = row_of[more]
    row_of[nodes] = -1
    return nodes, row


class NeighbourSampler(ABC):
    """Draws at most fanout[l] of the edges into a node for layer l, all relations together.

    Uniform without replacement among the edges that are not excluded.
    """

    def __init__(self, graph: HomogeneousGraph, fanout: Sequence[int], seed: int = 0) -> None:
        self.fanout = list(fanout)
        self.num_nodes = graph.num_nodes
        self.sources = torch.from_numpy(graph.sources)
        self.destinations = torch.from_numpy(graph.destinations)
        self.relations = torch.from_numpy(graph.relations)
        self.reverse = torch.from_numpy(graph.reverse)
        self.num_batches = self.num_roots = self.num_sampled = 0
        """Batches, edges predicted and edges drawn so far: what training costs on any machine."""
        self.row_of = torch.full((graph.num_nodes,), -1)

    def sample(self, roots: Tensor, supervision: Tensor) -> list[Block]:
        """Blocks from the first layer to the last, whose destinations are `roots`.

        roots: (n,) int64 distinct nodes; supervision: (m,) int64 edges that are being predicted:
        neither they nor their reverse edges carry messages.
        """
        excluded = torch.cat([supervision, self.reverse[supervision]]).unique()  # type: ignore[no-untyped-call]
        blocks = self._sample(roots, excluded)
        self.num_batches += 1
        self.num_roots += len(supervision)
        self.num_sampled += sum(len(block.edge) for block in blocks)
        return blocks

    @abstractmethod
    def _sample(self, roots: Tensor, excluded: Tensor) -> list[Block]: ...


class TensorSampler(NeighbourSampler):
    """The sampler in plain tensor operations; a batch costs as much as the edges it draws."""

    def __init__(self, graph: HomogeneousGraph, fanout: Sequence[int], seed: int = 0) -> None:
        super().__init__(graph, fanout, seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.indptr = torch.from_numpy(graph.indptr)
        self.degree = self.indptr[1:] - self.indptr[:-1]
        # batches look these up in no order: the shorter they are, the more of them are in a cache
        self.senders = self.sources.to(_index_type(graph.num_nodes))
        self.slots = torch.arange(graph.num_edges, dtype=_index_type(graph.num_edges))
        self.is_lent = torch.zeros(graph.num_edges, dtype=torch.bool)

    def _sample(self, roots: Tensor, excluded: Tensor) -> list[Block]:
        node = self.destinations[excluded]
        # only what is excluded is touched: a batch must not cost as much as the graph is large
        one = torch.ones_like(node)
        self.degree.index_add_(0, node, one, alpha=-1)
        moved = self._hide(excluded, node)
        blocks: list[Block] = []
        for fanout in reversed(self.fanout):
            nodes = blocks[0].nodes if blocks else roots
            blocks.insert(0, self._layer(nodes, fanout))
        self.slots[moved] = moved.to(self.slots.dtype)
        self.is_lent[moved] = False
        self.degree.index_add_(0, node, one)
        return blocks

    def _hide(self, excluded: Tensor, node: Tensor) -> Tensor:
        """Let the kept edges of each node fill its first slots; returns the moved slots.

        A node with d edges, x of them excluded, draws from its first d - x slots. An excluded edge
        among those has its slot lent to a kept one among the last x: as many of either.
        """
        border = self.indptr[node] + self.degree[node]
        lent = excluded[excluded < border]
        rank = torch.arange(len(node)) - torch.searchsorted(node, node)
        tail = border + rank
        kept = tail[~torch.isin(tail, excluded)]
        self.slots[lent] = kept.to(self.slots.dtype)
        self.is_lent[lent] = True
        return lent

    def _layer(self, nodes: Tensor, fanout: int) -> Block:
        target, edge = self._choose_edges(nodes, fanout)
        sender = self.senders[edge].long()
        return Block(nodes, sender, target, self.relations[edge], edge, self.row_of)

    def _choose_edges(self, nodes: Tensor, fanout: int) -> tuple[Tensor, Tensor]:
        """Rows of `nodes` and edges into them, (edges,) int64 each."""
        chosen = draw_distinct(self.degree[nodes], fanout, self.generator)
        is_drawn = chosen >= 0
        target = is_drawn.nonzero(as_tuple=True)[0]
        edge = (self.indptr[nodes][:, None] + chosen)[is_drawn]
        lent = self.is_lent[edge].nonzero().squeeze(1)
        edge[lent] = self.slots[edge[lent]].long()
        return target, edge


def _index_type(count: int) -> torch.dtype:
    return torch.int32 if count <= torch.iinfo(torch.int32).max else torch.int64


def draw_distinct(degree: Tensor, fanout: int, generator: torch.Generator) -> Tensor:
    """Distinct numbers below each degree: (nodes, fanout) int64, -1 where the degree is smaller.

    Robert Floyd's sampling, one column a step: draw below j + 1, and take j where that is taken.
    """
    count = degree.clamp(max=fanout)
    chosen = torch.full((len(degree), fanout), -1)
    uniform = torch.rand(len(degree), fanout, generator=generator, dtype=torch.float64)
    for step in range(fanout):
        last = degree - count + step
        drawn = (uniform[:, step] * (last + 1)).long()
        taken = (chosen == drawn[:, None]).any(dim=1)
        chosen[:, step] = torch.where(step < count, torch.where(taken, last, drawn), -1)
    return chosen


class DglSampler(NeighbourSampler):
    """DGL's NeighborSampler on the homogeneous graph, told what to exclude.

    DGL's edge-prediction wrapper would do so, but knows no further roots than the edges' own ends.
    DGL draws first and then drops what is excluded, which leaves short lists; a mask on the edges
    makes it draw among the others.
    """

    def __init__(self, graph: HomogeneousGraph, fanout: Sequence[int], seed: int = 0) -> None:
        super().__init__(graph, fanout, seed)
        from cprtools.graph.dgl_compat import dgl

        self.dgl = dgl
        # each of dgl's threads has random numbers of its own: more would change the sample
        dgl.utils.set_num_threads(1)
        dgl.seed(seed)
        ends = (self.sources, self.destinations)
        self.graph: Any = dgl.graph(ends, num_nodes=graph.num_nodes)
        self.graph.edata["open"] = torch.ones(graph.num_edges, dtype=torch.bool)
        self.graph.create_formats_()
        self.sampler: Any = dgl.dataloading.NeighborSampler(self.fanout, mask="open", fused=False)

    def _sample(self, roots: Tensor, excluded: Tensor) -> list[Block]:
        is_open = self.graph.edata["open"]
        is_open[excluded] = False
        _, _, found = self.sampler.sample(self.graph, roots, exclude_eids=excluded)
        is_open[excluded] = True
        blocks: list[Block] = []
        for block in reversed(found):
            nodes = blocks[0].nodes if blocks else roots
            blocks.insert(0, self._block(nodes, block.edata[self.dgl.EID]))
        return blocks

    def _block(self, nodes: Tensor, edge: Tensor) -> Block:
        self.row_of[nodes] = torch.arange(len(nodes))
        target, order = self.row_of[self.destinations[edge]].sort(stable=True)
        self.row_of[nodes] = -1
        edge = edge[order]
        ends = self.sources[edge], target
        return Block(nodes, *ends, self.relations[edge], edge, self.row_of)


def make_sampler(
    graph: HomogeneousGraph, fanout: Sequence[int], *, sampler: str = "torch", seed: int = 0
) -> NeighbourSampler:
    """The sampler of that name (SAMPLERS). Raises ValueError for another."""
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    return (TensorSampler if sampler == "torch" else DglSampler)(graph, fanout, seed)


def full_blocks(graph: HomogeneousGraph, most_edges: int = _EDGES_AT_ONCE) -> Iterator[Block]:
    """Every edge of the graph as one layer, for inference: runs of nodes with the edges into them.

    A run has `most_edges` at most, or is a single node.
    """
    row_of = torch.full((graph.num_nodes,), -1)
    first = 0
    while first < graph.num_nodes:
        start = graph.indptr[first]
        border = int(np.searchsorted(graph.indptr, start + most_edges, side="right")) - 1
        last = min(max(border, first + 1), graph.num_nodes)
        edges = slice(int(start), int(graph.indptr[last]))
        yield Block(
            torch.arange(first, last),
            torch.from_numpy(graph.sources[edges]),
            torch.from_numpy(graph.destinations[edges]) - first,
            torch.from_numpy(graph.relations[edges]),
            torch.arange(edges.start, edges.stop),
            row_of,
        )
        first = last
