"""Recommendation lists as integer arrays: checked, and with forbidden pairs taken out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from cprtools.errors import SchemaError, quote
from cprtools.evaluation.coding import BoolArray, FloatArray, IntArray, Places, codes, find
from cprtools.tables import columns as c

SHOWN = 10
"""Rows of a list that a report shows of it."""


class BrokenListsError(SchemaError):
    """Recommendations that are no lists; the text does not name their file: many are measured."""


@dataclass(frozen=True)
class Lists:
    """One row per recommended product, (rows,) each, sorted by query and rank."""

    query: Places
    product: Places
    rank: IntArray
    columns: Mapping[str, FloatArray] = field(default_factory=dict)
    """Further numbers of each row, NaN where null: score or affinity, type code."""

    def keys(self, num_products: int) -> IntArray:
        """Query * num_products + product of each row, (rows,) int64."""
        return self.query.astype(np.int64) * num_products + self.product

    def take(self, rows: IntArray | BoolArray) -> "Lists":
        """Some of the rows, in their order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Lists(self.query[rows], self.product[rows], self.rank[rows], columns)

    def without(self, drop: BoolArray) -> "Lists":
        """The lists without these rows; what stood below moves up by as many places.

        A gap that was in the ranks before stays: only what is taken out here closes up.
        """
        if not drop.any():
            return self
        # rows taken out up to each one, less those of the lists before its own
        above = np.cumsum(drop, dtype=np.int32)
        of_query = np.bincount(self.query[drop], minlength=int(self.query[-1]) + 1)
        above -= (np.cumsum(of_query) - of_query).astype(np.int32)[self.query]
        left = self.take(~drop)
        return replace(left, rank=left.rank - above[~drop])

    def by_id(self, queries: pa.Array, products: pa.Array, k: int) -> pa.Table:
        """The first k of each list as query, product and rank, the codes as ids again."""
        first = self.take(self.rank <= k)
        return pa.table(
            {
                "query": queries.take(pa.array(first.query)),
                "product": products.take(pa.array(first.product)),
                "rank": pa.array(first.rank, pa.int64()),
            }
        )

    def index(self, num_products: int) -> "PairIndex":
        """A look-up of rows by (query, product)."""
        keys = self.keys(num_products)
        order = np.argsort(keys, kind="stable")
        return PairIndex(keys[order], order.astype(np.int32), num_products)


@dataclass(frozen=True)
class PairIndex:
    """Where each (query, product) pair stands in some lists."""

    keys: IntArray
    order: Places
    num_products: int

    def lookup(
        self, values: IntArray | FloatArray, query: IntArray, product: IntArray, missing: float
    ) -> FloatArray:
        """The value of each pair's row, (pairs,) float64; `missing` where there is no such row.

        values: (rows of the lists,).
        """
        place = find(query * self.num_products + product, self.keys)
        found = np.full(len(query), missing)
        found[place >= 0] = values[self.order[place[place >= 0]]]
        return found


def code_lists(
    recs: pa.Table, query_column: str, queries: pa.Array, products: pa.Array, numeric: list[str]
) -> Lists:
    """The lists of a recommendations table; `queries` and `products` are the known ids.

    Rows of unknown queries or products are left out. Raises BrokenListsError for ranks below 1, and
    for a product or a rank that one list holds twice.
    """
    rank = recs.column(c.RANK)
    if rank.null_count or (recs.num_rows and rank.to_numpy().min() < 1):
        raise BrokenListsError("a rank is missing or below 1; ranks count from 1")
    query = codes(recs.column(query_column), queries).astype(np.int32)
    product = codes(recs.column(c.PRODUCT_ID), products).astype(np.int32)
    ranks = np.asarray(rank.to_numpy(), dtype=np.int64)
    columns = {
        name: np.asarray(
            recs.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64
        )
        for name in numeric
        if name in recs.column_names
    }
    lists = Lists(query, product, ranks, columns)
    order = np.lexsort((ranks, query))
    lists = lists.take(order[(query[order] >= 0) & (product[order] >= 0)])
    _refuse_repeats(lists, queries, products)
    return lists


def _refuse_repeats(lists: Lists, queries: pa.Array, products: pa.Array) -> None:
    keys = np.sort(lists.keys(len(products)))
    repeated = np.flatnonzero(np.diff(keys) == 0)
    if len(repeated):
        query_idx, product_idx = divmod(int(keys[repeated[0]]), len(products))
        raise BrokenListsError(
            f"the list of {quote(queries[query_idx].as_py())} holds "
            f"{quote(products[product_idx].as_py())} twice; keep one row each"
        )
    same = np.diff(lists.query) == 0
    twice = np.flatnonzero(same & (np.diff(lists.rank) == 0))
    if len(twice):
        query = quote(queries[int(lists.query[twice[0]])].as_py())
        rank = lists.rank[twice[0]]
        raise BrokenListsError(f"the list of {query} has rank {rank} twice; give each place once")


def note_short(
    lists: Lists,
    num_queries: int,
    words: tuple[str, str],
    k: int,
    notes: list[str],
    warnings: list[str],
) -> None:
    """Say how many queries have no list, and whether the lists end before the cut-off k.

    words: what the queries are called, and the headline metric.
    """
    queries, metric = words
    missing = num_queries - len(np.unique(lists.query))
    if missing:
        told = f"{missing:,} of {num_queries:,} {queries} have no list: counted as misses"
        if missing < num_queries:
            notes.append(told)
        else:
            warnings.append(f"{told}; are there no lists, or have they other ids than the truth?")
            # that these end early tells nothing more
            return
    longest = int(lists.rank.max(initial=0))
    if longest < k:
        notes.append(f"no list is longer than {longest}: {metric}@{k} sees no more than that")
