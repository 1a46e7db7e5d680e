"""The graph neural network of the seller system: layers and forward passes only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cprtools.graph.homogeneous import RELATIONS
from cprtools.graph.sampling import Block
from cprtools.linkpred.messages import Neighbours, Plan, Weights, apply_layer


class RelationalLayer(nn.Module):
    """One round of messages: a linear map per relation of the mean of that relation's messages.

    Departs from GraphSAGE (Hamilton et al., NeurIPS 2017) in the map per relation, and in adding
    the result to the node's state before a layer norm, so four layers do not smooth it away.
    """

    def __init__(self, dim: int, dropout: float, precision: torch.dtype | None = None) -> None:
        super().__init__()
        self.precision = precision
        self.own = nn.Linear(dim, dim)
        self.relations = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in RELATIONS)
        self.norm = nn.LayerNorm(dim)
        self.dropout = dropout

    def forward(
        self,
        state: Tensor,
        block: Block,
        is_product: Tensor,
        lift: "Lift | None" = None,
        *,
        short: Tensor | None = None,
        is_whole: bool = False,
    ) -> Tensor:
        """States of the block's destinations, (num_dst, dim), from those of all its nodes.

        is_product: (nodes of the graph,) int64. is_whole: `state` holds all nodes of the graph.
        lift: so it does, and it holds initial vectors, which this makes first states of. A mean of
        lifted vectors is the lifted mean, so only means are lifted. short: `state` in the precision
        of training, if it is there.
        """
        of_all = is_whole or lift is not None
        own = block.destinations if of_all else None
        source = block.sender if of_all else block.source
        kinds = is_product[block.destinations]
        numbers, relations = _by_relation(block, source)
        # listings are sent by sellers, everything else by products
        sender = [0 if RELATIONS[number] == "lists" else 1 for number in numbers]
        kept, gain = None, 1.0
        if self.training and self.dropout:
            kept, gain = self._kept(block.num_dst), 1 / (1 - self.dropout)
        weights = Weights(
            self.own.weight,
            self.own.bias,
            self.norm.weight,
            self.norm.bias,
            None if lift is None else lift.project.weight,
            None if lift is None else lift.node_type.weight + lift.project.bias,
            [self.relations[number].weight for number in numbers],  # type: ignore[misc]
        )
        is_trained = torch.is_grad_enabled()
        precision = self.precision if self.training else None
        plan = Plan(own, relations, kept, gain, kinds, sender, is_trained, precision, short)
        return apply_layer(state, plan, weights)

    def _kept(self, rows: int) -> Tensor:
        """(rows, dim) uint8, 0 where a change is dropped and 1 elsewhere."""
        # a byte decides about an entry: eight of them are drawn in the time of one float
        count = rows * self.own.out_features
        where = self.own.weight.device
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=where)
        words.random_(-(2**63), None)
        drawn = words.view(torch.uint8)[:count].view(rows, self.own.out_features)
        return (drawn >= round(256 * self.dropout)).view(torch.uint8)


@dataclass(frozen=True)
class Lift:
    """From initial vectors to the first states: a linear map, and a vector per type of node."""

    project: nn.Linear
    node_type: nn.Embedding


def _by_relation(block: Block, source: Tensor) -> tuple[list[int], list[Neighbours]]:
    """Numbers of the relations that the block has edges of, and those edges."""
    numbers, found = [], []
    for number in range(len(RELATIONS)):
        edges = (block.relation == number).nonzero().squeeze(1)
        if len(edges):
            count = torch.bincount(block.target[edges], minlength=block.num_dst)
            numbers.append(number)
            found.append(Neighbours(F.pad(count.cumsum(0), (1, 0)), source[edges]))
    return numbers, found


class GraphEncoder(nn.Module):
    """Unit vectors of sellers and products from their initial vectors and their neighbourhood.

    precision: of the numbers that the layers' maps multiply in training, float32 where None.
    """

    def __init__(
        self,
        feature_dim: int,
        embedding_dim: int,
        num_layers: int,
        dropout: float,
        precision: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(feature_dim, embedding_dim)
        self.node_type = nn.Embedding(2, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            RelationalLayer(embedding_dim, dropout, precision) for _ in range(num_layers)
        )
        self.output = nn.Linear(embedding_dim, embedding_dim)
        self.shortcut = nn.Linear(feature_dim, embedding_dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        nn.init.normal_(self.node_type.weight, std=0.02)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with to be logits: learned, starts at about 10."""
        return self.log_scale.exp()

    def forward(
        self,
        features: Tensor,
        is_product: Tensor,
        blocks: list[Block],
        short: Tensor | None = None,
    ) -> Tensor:
        """Vectors of the last block's destinations, (num_dst, embedding_dim) float32, length 1.

        features: (nodes, feature_dim) float32 of all nodes of the graph; is_product: (nodes,)
        int64; short: `features` in the precision of training, if they are there.
        """
        lift: Lift | None = Lift(self.project, self.node_type)
        state = features
        if torch.is_grad_enabled() and self._is_cheaper_by_node(blocks[0]):
            nodes = blocks[0].nodes
            initial = features.index_select(0, nodes)
            state = self.dropout(self.project(initial) + self.node_type(is_product[nodes]))
            lift = short = None
        for layer, block in zip(self.layers, blocks, strict=True):
            state = layer(state, block, is_product, lift, short=short)
            lift = short = None
        own = features.index_select(0, blocks[-1].destinations)
        return F.normalize(self.output(state) + self.shortcut(own), dim=1)

    @torch.no_grad()
    def everywhere(
        self, features: Tensor, is_product: Tensor, blocks: Callable[[], Iterable[Block]]
    ) -> Tensor:
        """Vectors of all nodes, (nodes, embedding_dim) float32, length 1.

        features, is_product: as in `forward`; blocks: all nodes with all edges into them, part by
        part, anew for each layer.
        """
        lift: Lift | None = Lift(self.project, self.node_type)
        state = features
        for layer in self.layers:
            result = features.new_empty(len(features), self.output.in_features)
            for block in blocks():
                result[block.destinations] = layer(state, block, is_product, lift, is_whole=True)
            state, lift = result, None
        for block in blocks():
            own = block.destinations
            ends = self.output(state[own]) + self.shortcut(features[own])
            state[own] = F.normalize(ends, dim=1)
        return state

    def _is_cheaper_by_node(self, block: Block) -> bool:
        """Whether to lift each node's vector once, not each mean: long vectors, few nodes."""
        is_long = self.project.in_features > self.project.out_features
        return is_long and len(block.nodes) < 2 * block.num_dst


def sampled_softmax_loss(
    logits: Tensor, positive: Tensor, log_expected: Tensor, is_known: Tensor
) -> Tensor:
    """Mean cross-entropy of each row's positive among the batch's candidates.

    logits: (rows, candidates) float32; positive: (rows,) int64 column; log_expected: (candidates,)
    log of how often a candidate is expected in a batch, subtracted so that frequent ones are not
    pushed away for being frequent; is_known: (rows, candidates) bool, other known positives,
    which are no negatives. Source: Yi et al., RecSys 2019, section 4.
    """
    corrected = logits - log_expected
    others = is_known.clone()
    others[torch.arange(len(positive), device=positive.device), positive] = False
    return F.cross_entropy(corrected.masked_fill(others, -torch.inf), positive)
