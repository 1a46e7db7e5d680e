"""Initial vectors of nodes: product vectors, and their view-weighted mean for sellers."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cprtools.graph.homogeneous import LISTS, FloatArray, HomogeneousGraph, view_weights

RMS = 0.2
"""Size of an entry of an initial vector, whatever the dimension."""


class NodeFeatures(nn.Module):
    """Initial vectors; a seller's leaves out the listings that are being predicted.

    All have one length, or are zero where nothing is known. Without product vectors, and for the
    ablation, every node has a learned vector that starts at random.
    """

    def __init__(
        self,
        graph: HomogeneousGraph,
        vectors: FloatArray | None,
        random_dim: int,
        device: str = "cpu",
        precision: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.short: Tensor | None = None
        """`table` in the given precision; None without one, or where vectors are learned."""
        self.dim = random_dim if vectors is None else vectors.shape[1]
        self.free = None
        if vectors is None:
            self.free = nn.Embedding(graph.num_nodes, random_dim).to(device)
            return
        self.table = torch.empty(graph.num_nodes, self.dim)
        """Initial vectors of all nodes, sellers first; for a batch, without what it predicts."""
        self.sources = torch.from_numpy(graph.sources)
        self.destinations = torch.from_numpy(graph.destinations)
        self.is_listing = torch.from_numpy(graph.relations == LISTS)
        self.weights = torch.from_numpy(view_weights(graph))
        self.length = RMS * self.dim**0.5
        products = F.normalize(torch.from_numpy(np.ascontiguousarray(vectors)), dim=1)
        torch.mul(products, self.length, out=self.table[graph.num_sellers :])
        del products
        # the edges into sellers come first: their listings
        offsets = torch.from_numpy(graph.indptr[: graph.num_sellers + 1])
        last = int(offsets[-1])
        self.sums = F.embedding_bag(
            self.sources[:last],
            self.table,
            offsets,
            mode="sum",
            per_sample_weights=self.weights[:last],
            include_last_offset=True,
        )
        self.table[: graph.num_sellers] = self._unit(self.sums)
        self.changed = torch.empty(0, dtype=torch.int64)
        if precision is not None:
            self.short = self.table.to(precision)
        self._move(device)

    def forward(self, supervision: Tensor | None = None) -> Tensor:
        """Initial vectors of all nodes, (nodes, dim) float32; another call changes them.

        supervision: edge ids being predicted; they take no part in their seller's vector.
        """
        if self.free is not None:
            learned: Tensor = self.free.weight
            return learned
        self._set(self.changed, self.sums[self.changed])
        self.changed = self.changed[:0]
        if supervision is not None:
            edges = supervision[self.is_listing[supervision]]
            self.changed, row = self.sources[edges].unique(return_inverse=True)  # type: ignore[no-untyped-call]
            left = self.sums[self.changed].index_add_(0, row, self._weighted(edges), alpha=-1)
            self._set(self.changed, left)
        return self.table

    def _set(self, rows: Tensor, sums: Tensor) -> None:
        unit = self._unit(sums)
        self.table[rows] = unit
        if self.short is not None:
            self.short[rows] = unit.to(self.short.dtype)

    def _move(self, device: str) -> None:
        for name, value in list(vars(self).items()):
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))

    def _unit(self, sums: Tensor) -> Tensor:
        # a seller with nothing left has rounding errors for a sum: they must not become unit length
        unit: Tensor = F.normalize(sums, dim=1, eps=1e-3 * self.length) * self.length
        return unit

    def _weighted(self, edges: Tensor) -> Tensor:
        weighted: Tensor = self.table[self.destinations[edges]] * self.weights[edges, None]
        return weighted
