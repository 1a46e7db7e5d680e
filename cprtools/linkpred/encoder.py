"""The graph neural network of the seller system: layers and forward passes only."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cprtools.graph.homogeneous import RELATIONS
from cprtools.graph.sampling import Block


class RelationalLayer(nn.Module):
    """One round of messages: a linear map per relation of the mean of that relation's messages.

    Departs from GraphSAGE (Hamilton et al., NeurIPS 2017) in the map per relation, and in adding
    the result to the node's state before a layer norm, so four layers do not smooth it away.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.own = nn.Linear(dim, dim)
        self.relations = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in RELATIONS)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, block: Block) -> Tensor:
        """States of the block's destinations, (num_dst, dim), from those of all its nodes."""
        before = state[: block.num_dst]
        change = self.own(before)
        for number, transform in enumerate(self.relations):
            edges = (block.relation == number).nonzero().squeeze(1)
            if len(edges):
                change = change + transform(_mean_messages(state, block, edges))
        result: Tensor = self.norm(before + self.dropout(F.relu(change)))
        return result


def _mean_messages(state: Tensor, block: Block, edges: Tensor) -> Tensor:
    """Mean over these edges into each destination, (num_dst, dim); zeros where there is none."""
    source, target = block.source[edges], block.target[edges]
    # index_select, not state[source]: only its gradient adds up in one order on several threads
    messages = state.index_select(0, source)
    total = state.new_zeros(block.num_dst, state.shape[1]).index_add(0, target, messages)
    count = torch.bincount(target, minlength=block.num_dst).clamp(min=1)
    return total / count[:, None]


class GraphEncoder(nn.Module):
    """Unit vectors of sellers and products from their initial vectors and their neighbourhood."""

    def __init__(
        self, feature_dim: int, embedding_dim: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.project = nn.Linear(feature_dim, embedding_dim)
        self.node_type = nn.Embedding(2, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            RelationalLayer(embedding_dim, dropout) for _ in range(num_layers)
        )
        self.output = nn.Linear(embedding_dim, embedding_dim)
        self.shortcut = nn.Linear(feature_dim, embedding_dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        nn.init.normal_(self.node_type.weight, std=0.02)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with to be logits: learned, starts at about 10."""
        return self.log_scale.exp()

    def forward(self, features: Tensor, is_product: Tensor, blocks: list[Block]) -> Tensor:
        """Vectors of the last block's destinations, (num_dst, embedding_dim) float32, length 1.

        features: (nodes of the first block, feature_dim) float32; is_product: (same,) int64.
        """
        state = self.dropout(self.project(features) + self.node_type(is_product))
        for layer, block in zip(self.layers, blocks, strict=True):
            state = layer(state, block)
        # a destination keeps its row in every block: the first rows are the same nodes throughout
        own = features[: blocks[-1].num_dst]
        return F.normalize(self.output(state) + self.shortcut(own), dim=1)


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
    others[torch.arange(len(positive)), positive] = False
    return F.cross_entropy(corrected.masked_fill(others, -torch.inf), positive)
