"""P-Companion's networks: type transition and type-item prediction over Product2Vec.

Both networks end in `Factors`: the closed form in which numpy scores all candidates of a query by
one matrix product, through the very projections that training used.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cprtools.cpr.bags import Bags, bag_sums
from cprtools.cpr.config import CprConfig
from cprtools.cpr.features import Features
from cprtools.cpr.losses import squared_distance
from cprtools.cpr.product2vec import Product2Vec


class TypeFactors(NamedTuple):
    """log P(w | u) is source_u . target_w + bias_w, less what makes all P(w | u) sum to one."""

    source: Tensor
    """(num_types + 1, outputs * any) float32, outputs side by side; the last is `unknown`."""
    target: Tensor
    """(num_types + 1, any) float32."""
    bias: Tensor
    """(num_types + 1,) float32."""


class Factors(NamedTuple):
    """The score of j for i is source_i . target_j + bias_j + type_weight log P(w_j | w_i)."""

    theta: Tensor
    """(num_products, embedding_dim) Product2Vec embeddings."""
    source: Tensor
    new_source: Tensor
    """What a product's source would be if it were new."""
    target: Tensor
    """(num_products, any) float32, as wide as the sources."""
    bias: Tensor
    """(num_products,) float32."""
    types: TypeFactors


class TypeTransition(nn.Module):
    """phi of the query's type to gamma, near phi^c of the types that complete it.

    Two embeddings per type make it asymmetric. Source: Hao et al., CIKM 2020, complementary type
    transition.
    """

    def __init__(self, num_types: int, config: CprConfig):
        super().__init__()
        self.query = nn.Embedding(num_types, config.type_dim)
        self.complement = nn.Embedding(num_types, config.type_dim)
        nn.init.normal_(self.query.weight, std=0.3)
        nn.init.normal_(self.complement.weight, std=0.3)
        self.encoder = nn.Sequential(
            nn.Linear(config.type_dim, config.type_dim // 2 + 1),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.decoder = nn.Linear(config.type_dim // 2 + 1, config.type_dim)

    def forward(self, types: Tensor) -> Tensor:
        """Vectors gamma of the types: (batch,) int64 to (batch, type_dim) float32."""
        gamma: Tensor = self.decoder(self.encoder(self.query(types)))
        return gamma


class Network(nn.Module, ABC):
    """What the networks of all presets share."""

    dense: Tensor
    codes: Tensor

    def __init__(self, features: Features, config: CprConfig):
        super().__init__()
        self.config = config
        self.register_buffer("dense", torch.from_numpy(features.dense), persistent=False)
        self.register_buffer("codes", torch.from_numpy(features.codes), persistent=False)
        self.product2vec = Product2Vec(features.sizes, features.dense.shape[1], config)
        self.transition = TypeTransition(features.sizes[0], config)
        self.projection = nn.Linear(config.type_dim, config.embedding_dim)
        nn.init.ones_(self.projection.bias)

    def embed(self, products: Tensor) -> Tensor:
        """theta: (batch,) int64 to (batch, embedding_dim) float32."""
        theta: Tensor = self.product2vec(self.dense[products], self.codes[products])
        return theta

    def types_of(self, products: Tensor) -> Tensor:
        """Product indices of any shape to their types."""
        return self.codes[products, 0]

    def type_projection(self, products: Tensor) -> Tensor:
        """W phi^c + b of the products' own types: (batch, embedding_dim) float32."""
        projected: Tensor = self.projection(self.transition.complement(self.types_of(products)))
        return projected

    def all_types(self) -> Tensor:
        """(num_types + 1,) int64."""
        return torch.arange(self.transition.query.num_embeddings)

    @abstractmethod
    def factors(self, history: Bags) -> Factors:
        """The closed form of the score for all products."""


class PaperNetwork(Network):
    """Hadamard product and distances: d^2(theta_i * (W phi^c_w + b), theta_j), w the type of j.

    Source: Hao et al., CIKM 2020, complementary item prediction.
    """

    def item_distance(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """d^2 of each query and its own candidates: (batch,), (batch, width) to (batch, width)."""
        flat = candidates.flatten()
        # (batch * width, dim) -> (batch, width, dim)
        projections = self.type_projection(flat).view(*candidates.shape, -1)
        theta = self.embed(flat).view(*candidates.shape, -1)
        return squared_distance(self.embed(queries)[:, None, :] * projections, theta)

    def type_distance(self, types: Tensor, complements: Tensor) -> Tensor:
        """d^2 of gamma and phi^c: (batch,), (batch, width) int64 to (batch, width) float32."""
        gamma = self.transition(types)[:, None, :]
        return squared_distance(gamma, self.transition.complement(complements))

    def factors(self, history: Bags) -> Factors:
        """-d^2 / margin as a product: with p the projection of j's type,

        -|theta_i p - theta_j|^2 = 2 theta_i . (p theta_j) - theta_i^2 . p^2 - |theta_j|^2.

        Of -|gamma_u - phi^c_w|^2 what depends on u alone makes no difference to P(w | u).
        """
        products = torch.arange(len(self.codes))
        theta, projected = self.embed(products), self.type_projection(products)
        margin = self.config.margin or 1.0
        source = torch.cat([2 * theta, -theta.square()], dim=1) / margin
        gamma, complement = self.transition(self.all_types()), self.transition.complement.weight
        type_margin = self.config.type_margin or 1.0
        return Factors(
            theta=theta,
            source=source,
            new_source=source,
            target=torch.cat([projected * theta, projected.square()], dim=1),
            bias=-theta.square().sum(dim=1) / margin,
            types=TypeFactors(
                source=2 * gamma / type_margin,
                target=complement.clone(),
                bias=-complement.square().sum(dim=1) / type_margin,
            ),
        )


class DirectedNetwork(Network):
    """The default: separate source and target sides, known complements and identities beside theta.

    Query: A theta_i + sum of history rows of its known complements (forward and reverse).
    Candidate: (W phi^c_w + b) * (B theta_j) + identity_j, and a bias. Products without pairs have
    neither history nor identity and live on theta alone. Departures: docs/methods/complements.md.
    """

    def __init__(self, features: Features, config: CprConfig):
        super().__init__(features, config)
        dim, num_products = config.embedding_dim, len(features.codes)
        self.source = nn.Linear(dim, dim)
        self.target = nn.Linear(dim, dim)
        self.feature_bias = nn.Linear(dim, 1)
        self.identity = nn.Embedding(num_products, dim, sparse=True)
        self.popularity = nn.Embedding(num_products, 1, sparse=True)
        self.history = nn.Embedding(2 * num_products, dim, sparse=True)
        for table in (self.identity, self.popularity, self.history):
            nn.init.zeros_(table.weight)
        self.type_bias = nn.Parameter(torch.zeros(features.sizes[0]))

    def start_from(self, identity: Tensor, history: Tensor) -> None:
        """Begin with these tables: (num_products, dim) and (2 * num_products, dim) float32."""
        with torch.no_grad():
            self.identity.weight.copy_(identity)
            self.history.weight.copy_(history)

    def query_side(self, queries: Tensor, history: Bags) -> Tensor:
        """Source vectors: (batch, embedding_dim) float32."""
        source: Tensor = self.source(self.embed(queries))
        return source + self.known_side(history)

    def known_side(self, history: Bags) -> Tensor:
        """Weighted sums of each bag's history rows: (batch, embedding_dim) float32."""
        return bag_sums(self.history.weight, history)

    def candidate_side(self, candidates: Tensor, is_known: Tensor) -> tuple[Tensor, Tensor]:
        """Target vectors (batch, embedding_dim) and biases (batch,) float32.

        is_known: (batch,) float32, 0 switches a product's identity off.
        """
        theta = self.embed(candidates)
        vectors = self.type_projection(candidates) * self.target(theta)
        vectors = vectors + is_known[:, None] * self.identity(candidates)
        bias = self.feature_bias(theta) + is_known[:, None] * self.popularity(candidates)
        return vectors, bias[:, 0]

    def log_transitions(self, types: Tensor) -> Tensor:
        """The log of P(type | type): (batch,) int64 to (batch, num_types + 1) float32."""
        near = self.transition(types) @ self.transition.complement.weight.T
        return F.log_softmax(near + self.type_bias, dim=1)

    def logits(
        self, queries: Tensor, history: Bags, candidates: Tensor, is_known: Tensor
    ) -> Tensor:
        """Joint scores of all these candidates: (batch, num_candidates) float32."""
        vectors, bias = self.candidate_side(candidates, is_known)
        items = self.query_side(queries, history) @ vectors.T + bias
        # the transition is learnt from types alone, so that it stays a probability
        with torch.no_grad():
            by_type = self.log_transitions(self.types_of(queries))
            by_type = by_type.index_select(1, self.types_of(candidates))
        return items + self.config.type_weight * by_type

    def factors(self, history: Bags) -> Factors:
        """Both sides as they are; the identity of a product without pairs is zero."""
        products = torch.arange(len(self.codes))
        target, bias = self.candidate_side(products, torch.ones(len(products)))
        theta = self.embed(products)
        new_source = self.source(theta)
        return Factors(
            theta=theta,
            source=new_source + self.known_side(history),
            new_source=new_source,
            target=target,
            bias=bias,
            types=TypeFactors(
                source=self.transition(self.all_types()),
                target=self.transition.complement.weight.clone(),
                bias=self.type_bias.clone(),
            ),
        )
