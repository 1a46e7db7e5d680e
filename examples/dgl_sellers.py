"""DGL's own way to train GraphSAGE on a seller-product graph: what bench_training.py compares with.

A heterograph, NeighborSampler inside as_edge_prediction_sampler, and DGL's DataLoader over the
listings. DGL is had through cprtools.graph.dgl_compat, which makes this release of it importable.
"""

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cprtools.graph.dgl_compat import dgl
from cprtools.graph.homogeneous import BOUGHT_WITH, LISTS, FloatArray, HomogeneousGraph

KINDS = ("seller", "product")
ENDS = {
    "lists": ("seller", "product"),
    "listed-by": ("product", "seller"),
    "bought-with": ("product", "product"),
}


class SageLayer(nn.Module):
    """GraphSAGE per relation: a map of the node's own state, and one of each relation's mean.

    Leaner than dgl.nn.HeteroGraphConv of SAGEConv, which has a map of the own state per relation.
    """

    def __init__(self, dim_in: int, dim: int) -> None:
        super().__init__()
        self.own = nn.ModuleDict({kind: nn.Linear(dim_in, dim) for kind in KINDS})
        maps = {name: nn.Linear(dim_in, dim, bias=False) for name in ENDS}
        self.relations = nn.ModuleDict(maps)

    def forward(self, block: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """States of the block's destinations by type of node, before the nonlinearity."""
        found = {
            kind: self.own[kind](state[kind][: block.num_dst_nodes(kind)])
            for kind in KINDS
            if block.num_dst_nodes(kind)
        }
        for name, (source, target) in ENDS.items():
            if not block.num_edges(name):
                continue
            with block.local_scope():
                block.srcnodes[source].data["h"] = state[source]
                copy, mean = dgl.function.copy_u("h", "m"), dgl.function.mean("m", "h")
                block.update_all(copy, mean, etype=name)
                message = block.dstnodes[target].data["h"]
            found[target] = found[target] + self.relations[name](message)
        return found


class Sage(nn.Module):
    """Layers of GraphSAGE with ReLU between them; vectors of length 1."""

    def __init__(self, dim_in: int, dim: int, num_layers: int) -> None:
        super().__init__()
        sizes = [dim_in] + [dim] * (num_layers - 1)
        self.layers = nn.ModuleList(SageLayer(size, dim) for size in sizes)
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, blocks: list[Any], state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Vectors of the last block's destinations by type of node."""
        for place, (layer, block) in enumerate(zip(self.layers, blocks, strict=True)):
            state = layer(block, state)
            if place + 1 < len(self.layers):
                state = {kind: F.relu(rows) for kind, rows in state.items()}
        return {kind: F.normalize(rows, dim=1) for kind, rows in state.items()}


class DglSide:
    """One training run that can be continued; counts what it went through."""

    def __init__(
        self, graph: HomogeneousGraph, initial: FloatArray, options: Any, negatives: int, seed: int
    ) -> None:
        self.num_sellers, self.options = graph.num_sellers, options
        torch.manual_seed(seed)
        dgl.seed(seed)
        dgl.utils.set_num_threads(options.threads)
        self.graph = heterograph(graph)
        self.initial = {
            "seller": torch.from_numpy(initial[: graph.num_sellers]),
            "product": torch.from_numpy(initial[graph.num_sellers :]),
        }
        self.model = Sage(initial.shape[1], options.embedding_dim, options.num_layers)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=options.learning_rate)
        self.batches = self._batches(negatives)
        self.roots = self.edges = self.negatives = self.steps = 0
        self.seconds = 0.0

    def _batches(self, negatives: int) -> Iterator[Any]:
        # the same number of neighbours over all relations together as ours
        seller = self.options.fanouts()[0]
        fanout = {"listed-by": seller, "lists": seller // 3, "bought-with": seller - seller // 3}
        per_type = {self.graph.to_canonical_etype(name): n for name, n in fanout.items()}
        sampler = dgl.dataloading.NeighborSampler([per_type] * self.options.num_layers)
        sampler = dgl.dataloading.as_edge_prediction_sampler(
            sampler,
            exclude="reverse_types",
            reverse_etypes={"lists": "listed-by", "listed-by": "lists"},
            negative_sampler=dgl.dataloading.negative_sampler.Uniform(negatives),
        )
        loader = dgl.dataloading.DataLoader(
            self.graph,
            {"lists": torch.arange(self.graph.num_edges("lists"))},
            sampler,
            batch_size=self.options.batch_size,
            shuffle=True,
            num_workers=0,
        )
        while True:
            yield from loader

    def train(self, seconds: float) -> None:
        """Go on for so many seconds."""
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _, positive, negative, blocks = next(self.batches)
            self._step(positive, negative, blocks)
        self.seconds += time.perf_counter() - start

    def _step(self, positive: Any, negative: Any, blocks: list[Any]) -> None:
        state = {kind: self.initial[kind][blocks[0].srcnodes[kind].data[dgl.NID]] for kind in KINDS}
        vectors = self.model(blocks, state)
        logits = [self._cosines(pairs, vectors) for pairs in (positive, negative)]
        joined = torch.cat([logits[0][:, None], logits[1].view(len(logits[0]), -1)], dim=1)
        # softmax of each listing among itself and its own sampled negatives
        scaled = joined * self.model.log_scale.exp()
        loss = F.cross_entropy(scaled, torch.zeros(len(scaled), dtype=torch.int64))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.steps += 1
        self.roots += positive.num_edges("lists")
        self.negatives += negative.num_edges("lists")
        self.edges += sum(block.num_edges(name) for block in blocks for name in ENDS)

    @staticmethod
    def _cosines(pairs: Any, vectors: dict[str, Tensor]) -> Tensor:
        seller, product = pairs.edges(etype="lists")
        return (vectors["seller"][seller] * vectors["product"][product]).sum(dim=1)

    @torch.no_grad()
    def embed(self) -> FloatArray:
        """Vectors of all nodes from all their neighbours, sellers first."""
        state = self.initial
        full = dgl.to_block(self.graph, {k: torch.arange(self.graph.num_nodes(k)) for k in KINDS})
        vectors = self.model([full] * self.options.num_layers, state)
        return np.concatenate([vectors[kind].numpy() for kind in KINDS])


def heterograph(graph: HomogeneousGraph) -> Any:
    """The graph with its three relations, as DGL has it."""
    source, target = graph.sources, graph.destinations - graph.num_sellers
    listing, bought = graph.relations == LISTS, graph.relations == BOUGHT_WITH
    seller, product = source[listing], target[listing]
    ends = {
        ("seller", "lists", "product"): (seller, product),
        ("product", "listed-by", "seller"): (product, seller),
        ("product", "bought-with", "product"): (
            source[bought] - graph.num_sellers,
            target[bought],
        ),
    }
    tensors = {name: tuple(map(torch.from_numpy, pair)) for name, pair in ends.items()}
    sizes = {"seller": graph.num_sellers, "product": graph.num_products}
    return dgl.heterograph(tensors, num_nodes_dict=sizes)
