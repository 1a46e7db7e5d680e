"""The network of the `article` preset: concatenation, one output per predicted type."""

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cprtools.cpr.bags import Bags
from cprtools.cpr.config import CprConfig
from cprtools.cpr.features import Features
from cprtools.cpr.losses import all_squared_distances, squared_distance
from cprtools.cpr.pcompanion import Factors, Network

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
        length = outputs.square().sum(dim=2, keepdim=True)
        # (products, num_outputs, dim + 1) -> (products, num_outputs * (dim + 1))
        source = torch.cat([2 * outputs, -length], dim=2).flatten(1) / margin
        return Factors(
            theta=theta,
            source=source,
            new_source=source,
            target=torch.cat([theta, torch.ones(len(theta), 1)], dim=1),
            bias=-theta.square().sum(dim=1) / margin,
            transitions=self._transitions(theta, outputs),
        )

    def _transitions(self, theta: Tensor, outputs: Tensor) -> Tensor:
        """The log of P(w | u) by how near u's outputs come to the items of w, both on average."""
        types = self.types_of(torch.arange(len(theta)))
        number = torch.bincount(types, minlength=self.outputs_of_type.query.num_embeddings)
        counts = number.clamp(min=1)[:, None]
        # (products, dim) to (types, dim)
        items = theta.new_zeros(len(counts), theta.shape[1]).index_add(0, types, theta) / counts
        near = [
            all_squared_distances(torch.zeros_like(items).index_add(0, types, out) / counts, items)
            for out in outputs.unbind(dim=1)
        ]
        nearest = reduce(torch.minimum, near).div_(-(self.config.type_margin or 1.0))
        return F.log_softmax(nearest.masked_fill_(number == 0, _NOBODY), dim=1)
