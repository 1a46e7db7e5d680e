"""Evidence about a seller and a product: what the seller lists already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import Problem
from cprtools.baselines.rows import Rows, cosines, owners, product, row_sums
from cprtools.baselines.storage import range_sizes
from cprtools.retrieval import Pool

if TYPE_CHECKING:
    from cprtools.baselines.rows import Sparse

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# of a score against the best of its query
RELATIVE = "_relative"


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
            bought = product(listed, self._bought_with)
            if bought.shape[1] == self.pool.size:
                bought = bought if self.pool.is_whole else bought[:, self.pool.members]
            places = self.pool.places(cols)
            columns.update(source_columns("bought_with_listed", bought, rows, places))
        for name, vectors in (("text", problem.vectors), ("words", problem.words)):
            if vectors is not None:
                columns.update(_nearest_listed(name, vectors, listed, rows, cols))
        if problem.prices is not None:
            columns["price_ratio"] = self._price_ratio(listed, rows, cols)
        return columns

    def _attribute(
        self, name: str, listed: Sparse, rows: IntArray, cols: IntArray
    ) -> dict[str, Any]:
        range_size = self._ranges[name]
        codes = self.attributes[name][cols]
        own = self.attributes[name][listed.indices]
        known = own >= 0
        counts = np.zeros((listed.shape[0], max(len(range_size), 1)), dtype=np.float32)
        np.add.at(counts, (owners(listed)[known], own[known]), 1)
        values = np.where(codes >= 0, counts[rows, codes], 0)
        sizes = np.maximum(np.diff(listed.indptr), 1).astype(np.float32)
        return {
            f"listed_{name}": np.log1p(values),
            f"share_{name}": values / sizes[rows],
            # of all products with this brand: how much of the range the seller carries already
            f"range_{name}": values / np.maximum(range_size[codes], 1),
        }

    @cached_property
    def _ranges(self) -> Mapping[str, IntArray]:
        """Products with each code of each attribute, (codes,)."""
        stored = self.problem.margins.ranges
        return stored or {name: range_sizes(codes) for name, codes in self.attributes.items()}

    @cached_property
    def _bought_with(self) -> Sparse | None:
        """(num_candidates, pool) float32 co-purchase counts."""
        pairs = self.problem.co_purchases
        if pairs is None or not pairs.nnz:
            return None
        in_place = self.pool.is_whole or isinstance(pairs, Rows)
        return pairs if in_place else pairs[:, self.pool.members]

    def _price_ratio(self, listed: Sparse, rows: IntArray, cols: IntArray) -> FloatArray:
        prices = self.problem.prices
        if prices is None:
            raise ValueError("a problem without prices")
        # a price that is not known says nothing: NaN, which the caller takes for no difference
        own, logs = (_log_price(prices[at]) for at in (cols, listed.indices))
        known = np.isfinite(logs).astype(np.float32)
        number = row_sums(listed, known)
        mean = row_sums(listed, np.nan_to_num(logs)) / np.maximum(number, 1)
        ratio: FloatArray = np.abs(own - mean[rows])
        return ratio


def source_columns(name: str, dense: FloatArray, rows: IntArray, cols: IntArray) -> dict[str, Any]:
    """The score itself, and the score against the best of the query (scale-free)."""
    values = dense[rows, cols]
    best = np.maximum(dense.max(axis=1), 1e-9)
    return {name: values, name + RELATIVE: values / best[rows]}


def _log_price(prices: FloatArray) -> FloatArray:
    """Log prices, NaN where unknown."""
    logs: FloatArray = np.log(np.maximum(prices, 0.01))
    return np.where(np.isfinite(logs), logs, np.float32(np.nan))


def _nearest_listed(
    name: str, vectors: FloatArray | Sparse, listed: Sparse, rows: IntArray, cols: IntArray
) -> dict[str, FloatArray]:
    """Cosine to the nearest listed product, sum over the three nearest, and mean over all."""
    nearest, three, mean = (np.zeros(len(rows), np.float32) for _ in range(3))
    bounds = np.searchsorted(rows, np.arange(listed.shape[0] + 1))
    for row in range(listed.shape[0]):
        own = listed.indices[listed.indptr[row] : listed.indptr[row + 1]]
        span = slice(bounds[row], bounds[row + 1])
        if not len(own) or span.start == span.stop:
            continue
        likeness = cosines(vectors, cols[span], own)
        top = min(3, len(own))
        best = -np.partition(-likeness, top - 1, axis=1)[:, :top]
        nearest[span], three[span] = best.max(axis=1), best.sum(axis=1)
        mean[span] = likeness.mean(axis=1)
    return {f"{name}_nearest": nearest, f"{name}_three": three, f"{name}_mean": mean}
