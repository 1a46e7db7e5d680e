"""Evidence about a seller and a product: what the seller lists already."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, issparse

from cprtools.baselines.contract import Problem
from cprtools.retrieval import Pool

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass
class ListedEvidence:
    """Columns about (seller, product) pairs; what depends on the products alone is made once."""

    problem: Problem
    attributes: Mapping[str, IntArray]
    """Codes of all products, -1 unknown: (num_candidates,) each."""
    pool: Pool

    def features(self, query_idx: IntArray, rows: IntArray, cols: IntArray) -> dict[str, Any]:
        """Named columns, each (pairs,), of the pairs (query_idx[rows], cols)."""
        problem = self.problem
        listed = problem.matrix[query_idx]
        columns: dict[str, Any] = {}
        for name in self.attributes:
            columns.update(self._attribute(name, listed, rows, cols))
        if self._bought_with is not None:
            bought = (listed @ self._bought_with).toarray()
            columns.update(
                source_columns("bought_with_listed", bought, rows, self.pool.place[cols])
            )
        for name, vectors in (("text", problem.vectors), ("words", problem.words)):
            if vectors is not None:
                columns.update(_nearest_listed(name, vectors, listed, rows, cols))
        if problem.prices is not None:
            columns["price_ratio"] = self._price_ratio(listed, rows, cols)
        return columns

    def _attribute(
        self, name: str, listed: csr_matrix, rows: IntArray, cols: IntArray
    ) -> dict[str, Any]:
        members, range_size = self._ranges[name]
        codes = self.attributes[name][cols]
        binary = csr_matrix(
            (np.ones_like(listed.data), listed.indices, listed.indptr), listed.shape
        )
        counts = (binary @ members).toarray()
        values = np.where(codes >= 0, counts[rows, codes], 0)
        sizes = np.maximum(np.diff(listed.indptr), 1).astype(np.float32)
        return {
            f"listed_{name}": np.log1p(values),
            f"share_{name}": values / sizes[rows],
            # of all products with this brand: how much of the range the seller carries already
            f"range_{name}": values / np.maximum(range_size[codes], 1),
        }

    @cached_property
    def _ranges(self) -> dict[str, tuple[csr_matrix, IntArray]]:
        """Of each attribute the products with each code, (num_candidates, codes), and how many."""
        return {name: _members(codes) for name, codes in self.attributes.items()}

    @cached_property
    def _bought_with(self) -> csr_matrix | None:
        """(num_candidates, pool) float32 co-purchase counts."""
        pairs = self.problem.co_purchases
        if pairs is None or not pairs.nnz:
            return None
        return pairs if self.pool.is_whole else pairs[:, self.pool.members]

    @cached_property
    def _log_prices(self) -> tuple[FloatArray, FloatArray]:
        """Log prices, 0 where unknown, and 1 where known."""
        prices = self.problem.prices
        if prices is None:
            raise ValueError("a problem without prices")
        logs = np.log(np.maximum(prices, 0.01))
        return np.nan_to_num(logs), np.isfinite(logs).astype(np.float32)

    def _price_ratio(self, listed: csr_matrix, rows: IntArray, cols: IntArray) -> FloatArray:
        logs, is_known = self._log_prices
        known = csr_matrix((is_known[listed.indices], listed.indices, listed.indptr), listed.shape)
        number = np.asarray(known.sum(axis=1)).ravel()
        mean = np.asarray(known @ logs).ravel() / np.maximum(number, 1)
        # a price that is not known says nothing: NaN, which the caller takes for no difference
        own = np.where(is_known[cols] > 0, logs[cols], np.nan)
        ratio: FloatArray = np.abs(own - mean[rows])
        return ratio


def source_columns(name: str, dense: FloatArray, rows: IntArray, cols: IntArray) -> dict[str, Any]:
    """The score itself, and the score against the best of the query (scale-free)."""
    values = dense[rows, cols]
    best = np.maximum(dense.max(axis=1), 1e-9)
    return {name: values, f"{name}_relative": values / best[rows]}


def _members(codes: IntArray) -> tuple[csr_matrix, IntArray]:
    known = np.flatnonzero(codes >= 0)
    size = int(codes.max(initial=0)) + 1
    ones = np.ones(len(known), np.float32)
    members = csr_matrix((ones, (known, codes[known])), shape=(len(codes), size))
    return members, np.bincount(codes[known], minlength=size)


def _nearest_listed(
    name: str, vectors: FloatArray | csr_matrix, listed: csr_matrix, rows: IntArray, cols: IntArray
) -> dict[str, FloatArray]:
    """Cosine to the nearest listed product, sum over the three nearest, and mean over all."""
    nearest, three, mean = (np.zeros(len(rows), np.float32) for _ in range(3))
    bounds = np.searchsorted(rows, np.arange(listed.shape[0] + 1))
    for row in range(listed.shape[0]):
        own = listed.indices[listed.indptr[row] : listed.indptr[row + 1]]
        span = slice(bounds[row], bounds[row + 1])
        if not len(own) or span.start == span.stop:
            continue
        product = vectors[cols[span]] @ vectors[own].T
        cosines = product.toarray() if issparse(product) else product
        top = min(3, len(own))
        best = -np.partition(-cosines, top - 1, axis=1)[:, :top]
        nearest[span], three[span] = best.max(axis=1), best.sum(axis=1)
        mean[span] = cosines.mean(axis=1)
    return {f"{name}_nearest": nearest, f"{name}_three": three, f"{name}_mean": mean}
