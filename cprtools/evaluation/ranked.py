"""Ranking metrics of each query from the ranks of its held-out products."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cprtools.evaluation.coding import FloatArray, IntArray, totals
from cprtools.evaluation.lists import Lists

# lists that are looked at together where a step needs memory for every row
_QUERIES = 1 << 18


@dataclass(frozen=True)
class Truth:
    """Held-out pairs, sorted by query, then product; every query in [0, num_queries) has one."""

    query: IntArray
    product: IntArray
    weight: FloatArray
    num_queries: int

    def counts(self) -> FloatArray:
        """Held-out products of each query, (num_queries,) float64, 1 or more."""
        return np.bincount(self.query, minlength=self.num_queries).astype(np.float64)

    def by_id(self, queries: pa.Array, products: pa.Array) -> pa.Table:
        """Its pairs with the ids for codes: query, product, weight."""
        return pa.table(
            {
                "query": queries.take(pa.array(self.query)),
                "product": products.take(pa.array(self.product)),
                "weight": self.weight,
            }
        )

    def sum(self, values: FloatArray) -> FloatArray:
        """(pairs,) values added up over each query, (num_queries,) float64."""
        return totals(self.query, values, self.num_queries)


def hit_rates(truth: Truth, ranks: FloatArray, k: int) -> FloatArray:
    """1 for each query with a held-out product among its first k, else 0."""
    return np.asarray((truth.sum((ranks <= k).astype(np.float64)) > 0).astype(np.float64))


def recalls(truth: Truth, ranks: FloatArray, k: int, *, reachable: bool) -> FloatArray:
    """Each query's share of its held-out products among the first k.

    reachable: over min(k, held-out products), what k places can hold at most (sellers).
    """
    counts = truth.counts()
    hits = truth.sum((ranks <= k).astype(np.float64))
    return np.asarray(hits / (np.minimum(k, counts) if reachable else counts))


def ndcgs(truth: Truth, ranks: FloatArray, k: int) -> FloatArray:
    """Each query's NDCG@k: gain 1 for a held-out product, discount 1/log2(rank + 1)."""
    gains = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0)
    counts = truth.counts().astype(np.int64)
    longest = int(min(k, counts.max(initial=1)))
    best = np.cumsum(1 / np.log2(np.arange(longest) + 2))
    return np.asarray(truth.sum(gains) / best[np.minimum(counts, longest) - 1])


def reciprocal_ranks(truth: Truth, ranks: FloatArray, k: int) -> FloatArray:
    """Each query's 1/rank of the first held-out product among the first k, else 0."""
    starts = np.flatnonzero(np.diff(truth.query, prepend=-1))
    first = np.minimum.reduceat(ranks, starts)
    return np.asarray(np.where(first <= k, 1 / first, 0.0))


def types_per_list(
    lists: Lists, types: FloatArray, num_queries: int, ks: Sequence[int]
) -> list[FloatArray]:
    """Distinct known product types among each query's first k, (num_queries,) float64 for each k.

    types: (products,) codes, NaN where unknown.
    """
    counts = np.zeros((len(ks), num_queries))
    for part in _parts(lists, num_queries):
        own = types[part.product]
        rows = np.flatnonzero(~np.isnan(own) & (part.rank <= max(ks)))
        query, type_idx = part.query[rows].astype(np.int64), own[rows].astype(np.int64)
        # rows are sorted by rank within a query, so a type's first one has its lowest rank
        _, first = np.unique(query * (type_idx.max(initial=0) + 1) + type_idx, return_index=True)
        query, rank = query[first], part.rank[rows[first]]
        for place, k in enumerate(ks):
            counts[place] += np.bincount(query[rank <= k], minlength=num_queries)
    return list(counts)


def list_sums(lists: Lists, values: FloatArray, num_queries: int, k: int) -> FloatArray:
    """(products,) values added up over each query's first k, (num_queries,) float64."""
    sums = np.zeros(num_queries)
    for part in _parts(lists, num_queries):
        rows = part.rank <= k
        sums += totals(part.query[rows], values[part.product[rows]], num_queries)
    return sums


def _parts(lists: Lists, num_queries: int) -> Iterator[Lists]:
    """The lists of some queries at a time: what is made of their rows is then small."""
    bounds = np.append(np.arange(0, num_queries, _QUERIES), num_queries)
    for low, high in itertools.pairwise(np.searchsorted(lists.query, bounds)):
        rows = slice(low, high)
        yield Lists(lists.query[rows], lists.product[rows], lists.rank[rows])
