"""Weighted sums over rows of a table, such as of what a query is known to be bought with."""

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn import functional as F


class Bags(NamedTuple):
    """Rows of a table, a bag of them for each sum."""

    indices: Tensor
    """(entries,) int64."""
    offsets: Tensor
    """(bags,) int64: where each bag starts."""
    weights: Tensor
    """(entries,) float32."""


def bag_sums(table: Tensor, bags: Bags) -> Tensor:
    """The sum of each bag's rows, weighted: (bags, dim) of a table (rows, dim).

    The table's gradient is sparse, of the rows that any bag holds. It is made as one sum over bags
    for each of them: by autograd it would first be a row for every entry of every bag.
    """
    sums: Tensor = _BagSums.apply(table, bags)  # type: ignore[no-untyped-call]
    return sums


class _BagSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, bags: Bags) -> Tensor:
        ctx.bags, ctx.shape = bags, table.shape
        return _sums(table, bags)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        device = gradients[0].device
        rows, turned = _turned(Bags(*(part.cpu() for part in ctx.bags)), ctx.shape[0])
        values = _sums(gradients[0], Bags(*(part.to(device) for part in turned)))
        rows = rows.to(device)[None]
        return torch.sparse_coo_tensor(rows, values, ctx.shape, check_invariants=False), None


def _turned(bags: Bags, num_rows: int) -> tuple[Tensor, Bags]:
    """The rows that any bag holds, ascending, and for each of them the bags that hold it."""
    ends = np.append(bags.offsets, len(bags.indices))
    shape = len(bags.offsets), num_rows
    by_row = csr_matrix((bags.weights, bags.indices, ends), shape=shape).tocsc()
    rows = np.flatnonzero(np.diff(by_row.indptr))
    parts = by_row.indices, by_row.indptr[rows], by_row.data
    return torch.from_numpy(rows), Bags(*map(torch.from_numpy, parts))


def _sums(table: Tensor, bags: Bags) -> Tensor:
    return F.embedding_bag(
        bags.indices, table, bags.offsets, mode="sum", per_sample_weights=bags.weights
    )
