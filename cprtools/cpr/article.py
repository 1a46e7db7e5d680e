"""The network of the `article` preset: concatenation, one output per predicted type."""

import torch
from torch import Tensor, nn

from cprtools.cpr.bags import Bags
from cprtools.cpr.config import CprConfig
from cprtools.cpr.features import Features
from cprtools.cpr.losses import squared_distance
from cprtools.cpr.pcompanion import Factors, Network, TypeFactors

# log-odds of a type that no product has, against any other
_NOBODY = -50.0


class TypeOutputs(nn.Module):
    """phi of the query's type to `num_outputs` vectors gamma, one for each predicted type."""

    def __init__(self, num_types: int, config: CprConfig):
        super().__init__()
        hidden = config.type_dim // 2 + 1
        self.num_outputs = config.num_outputs
        self.query = nn.Embedding(num_types, config.type_dim)
        nn.init.normal_(self.query.weight, std=0.3)
        self.encoder = nn.Sequential(
            nn.Linear(config.type_dim, hidden), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.decoder = nn.Linear(hidden, config.num_outputs * config.type_dim)

    def forward(self, types: Tensor) -> Tensor:
        """(batch,) int64 to (batch, num_outputs, type_dim) float32."""
        gamma: Tensor = self.decoder(self.encoder(self.query(types)))
        return gamma.view(len(types), self.num_outputs, -1)


class ArticleNetwork(Network):
    """out_k = W (theta_i, gamma_k) + b for each predicted type k; the nearest output counts.

    The distance of a pair is the least d^2(out_k, theta_j) over the outputs. No loss looks at
    types: a transition is good where its outputs are near the items that follow.
    Source: the complements article, after Hao et al., CIKM 2020.
    """

    def __init__(self, features: Features, config: CprConfig):
        super().__init__(features, config)
        # the Hadamard product and the second embedding of the types belong to the paper
        del self.projection, self.transition
        self.outputs_of_type = TypeOutputs(features.sizes[0], config)
        self.join = nn.Linear(config.embedding_dim + config.type_dim, config.embedding_dim)

    def outputs(self, queries: Tensor) -> Tensor:
        """One vector per predicted type: (batch,) to (batch, num_outputs, embedding_dim)."""
        gamma = self.outputs_of_type(self.types_of(queries))
        theta = self.embed(queries)[:, None, :].expand(-1, gamma.shape[1], -1)
        joined: Tensor = self.join(torch.cat([theta, gamma], dim=2))
        return joined

    def item_distance(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Least d^2 over the outputs: (batch,), (batch, width) to (batch, width) float32."""
        # (batch * width, dim) -> (batch, 1, width, dim)
        theta = self.embed(candidates.flatten()).view(len(queries), 1, candidates.shape[1], -1)
        return squared_distance(self.outputs(queries)[:, :, None, :], theta).amin(dim=1)

    def factors(self, history: Bags) -> Factors:
        """-d^2 / margin of every output as a product, side by side; the score takes the best.

        -|out_k - theta_j|^2 = (2 out_k, -|out_k|^2) . (theta_j, 1) - |theta_j|^2.
        """
        products = torch.arange(len(self.codes))
        theta, outputs = self.embed(products), self.outputs(products)
        margin = self.config.margin or 1.0
        source = _near_outputs(outputs, margin)
        return Factors(
            theta=theta,
            source=source,
            new_source=source,
            target=torch.cat([theta, torch.ones(len(theta), 1)], dim=1),
            bias=-theta.square().sum(dim=1) / margin,
            types=self._type_factors(theta, outputs),
        )

    def _type_factors(self, theta: Tensor, outputs: Tensor) -> TypeFactors:
        """P(w | u) by how near u's outputs come to the items of w, both on average."""
        types = self.types_of(torch.arange(len(theta)))
        number = torch.bincount(types, minlength=self.outputs_of_type.query.num_embeddings)
        counts = number.clamp(min=1)[:, None]
        # (products, dim) to (types, dim)
        items = theta.new_zeros(len(counts), theta.shape[1]).index_add(0, types, theta) / counts
        means = outputs.new_zeros(len(counts), *outputs.shape[1:])
        means = means.index_add(0, types, outputs) / counts[:, None]
        margin = self.config.type_margin or 1.0
        target = torch.cat([items, torch.ones_like(counts)], dim=1)
        bias = -items.square().sum(dim=1) / margin
        is_nobody = number == 0
        return TypeFactors(
            source=_near_outputs(means, margin),
            target=target.masked_fill(is_nobody[:, None], 0.0),
            bias=bias.masked_fill(is_nobody, _NOBODY),
        )


def _near_outputs(outputs: Tensor, margin: float) -> Tensor:
    """(2 out_k, -|out_k|^2) / margin side by side: (rows, num_outputs, dim) to (rows, any)."""
    length = outputs.square().sum(dim=2, keepdim=True)
    # (rows, num_outputs, dim + 1) -> (rows, num_outputs * (dim + 1))
    return torch.cat([2 * outputs, -length], dim=2).flatten(1) / margin
