"""Initial vectors of nodes: product vectors, and their view-weighted mean for sellers."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cprtools.graph.homogeneous import LISTS, FloatArray, HomogeneousGraph, view_weights

RMS = 0.2
"""Size of an entry of an initial vector, whatever the dimension."""


class NodeFeatures(nn.Module):
    """Initial vectors on demand; a seller's leaves out the listings that are being predicted.

    All have one length, or are zero where nothing is known. Without product vectors, and for the
    ablation, every node has a learned vector that starts at random.
    """

    def __init__(
        self, graph: HomogeneousGraph, vectors: FloatArray | None, random_dim: int
    ) -> None:
        super().__init__()
        self.num_sellers = graph.num_sellers
        self.dim = random_dim if vectors is None else vectors.shape[1]
        self.free = nn.Embedding(graph.num_nodes, random_dim) if vectors is None else None
        if vectors is None:
            return
        self.products = F.normalize(torch.from_numpy(np.ascontiguousarray(vectors)), dim=1)
        self.sources = torch.from_numpy(graph.sources)
        self.destinations = torch.from_numpy(graph.destinations)
        self.is_listing = torch.from_numpy(graph.relations == LISTS)
        self.weights = torch.from_numpy(view_weights(graph))
        listings = self.is_listing.nonzero().squeeze(1)
        self.sums = torch.zeros(graph.num_sellers, self.dim)
        self.sums.index_add_(0, self.sources[listings], self._weighted(listings))
        self.row_of = torch.full((graph.num_sellers,), -1)

    def forward(self, nodes: Tensor, supervision: Tensor | None = None) -> Tensor:
        """Initial vectors of the nodes, (len(nodes), dim) float32.

        supervision: edge ids being predicted; they take no part in their seller's vector.
        """
        if self.free is not None:
            learned: Tensor = self.free(nodes)
            return learned
        result = torch.empty(len(nodes), self.dim)
        is_product = nodes >= self.num_sellers
        result[is_product] = self.products[nodes[is_product] - self.num_sellers]
        result[~is_product] = self._sellers(nodes[~is_product], supervision)
        scaled: Tensor = result * (RMS * self.dim**0.5)
        return scaled

    def _sellers(self, sellers: Tensor, supervision: Tensor | None) -> Tensor:
        sums = self.sums[sellers]
        if supervision is not None:
            self.row_of[sellers] = torch.arange(len(sellers))
            edges = supervision[self.is_listing[supervision]]
            edges = edges[self.row_of[self.sources[edges]] >= 0]
            row = self.row_of[self.sources[edges]]
            sums.index_add_(0, row, self._weighted(edges), alpha=-1)
            self.row_of[sellers] = -1
        # a seller with nothing left has rounding errors for a sum: they must not become unit length
        vectors: Tensor = F.normalize(sums, dim=1, eps=1e-3)
        return vectors

    def _weighted(self, edges: Tensor) -> Tensor:
        product = self.destinations[edges] - self.num_sellers
        weighted: Tensor = self.products[product] * self.weights[edges, None]
        return weighted
