"""Beyond accuracy: types per list, coverage, novelty, asymmetry."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cprtools.evaluation import ranked
from cprtools.evaluation.coding import FloatArray, IntArray, Places, codes, contains, vocabulary
from cprtools.evaluation.lists import Lists, PairIndex
from cprtools.evaluation.ranked import Truth
from cprtools.evaluation.resampling import Block
from cprtools.evaluation.results import ALL, Result
from cprtools.evaluation.training import Training
from cprtools.tables import columns as c
from cprtools.tables import product_types
from cprtools.tables.light import pc


def beyond_accuracy(
    lists: Lists,
    num_queries: int,
    ks: Sequence[int],
    ids: pa.Array,
    *,
    types: FloatArray | None,
    products: pa.Table | None,
    known: Training | None,
) -> tuple[list[Result], list[Block]]:
    """Coverage, which has no interval, and types per list and novelty, which have one.

    lists: those of the truth's queries, in codes of `ids`; types: (ids,) as `types_of` gives them.
    """
    blocks = []
    has_list = (np.bincount(lists.query, minlength=num_queries) > 0).astype(np.float64)
    if types is not None:
        counts = dict(
            zip(
                [("TypesPerList", k) for k in ks],
                ranked.types_per_list(lists, types, num_queries, ks),
                strict=True,
            )
        )
        blocks.append(Block.of_ratios(ALL, counts, has_list))
    if known is not None:
        surprise = novelties(known, len(products) if products is not None else None)
        for k in ks:
            total = {("Novelty", k): ranked.list_sums(lists, surprise, num_queries, k)}
            shown = ranked.list_sums(lists, np.ones(len(ids)), num_queries, k)
            blocks.append(Block.of_ratios(ALL, total, shown))
    catalogue = products.column(c.PRODUCT_ID) if products is not None else None
    facts = coverage(lists, int(has_list.sum()), ks, ids, catalogue)
    return facts, [block for block in blocks if len(block.rows)]


def types_of(recs: pa.Table, products: pa.Table | None, ids: pa.Array) -> FloatArray | None:
    """The type code of each id, (len(ids),) float64, NaN where unknown; None if nobody knows.

    The products table decides, so that every method is judged by the same types.
    """
    if products is not None:
        named, words = products.column(c.PRODUCT_ID), product_types(products)
    elif c.PRODUCT_TYPE in recs.column_names:
        named, words = recs.column(c.PRODUCT_ID), recs.column(c.PRODUCT_TYPE)
    else:
        return None
    place = codes(named, ids)
    type_idx = codes(words, pc.drop_null(vocabulary(words)))
    usable = (place >= 0) & (type_idx >= 0)
    if not usable.any():
        return None
    types = np.full(len(ids), np.nan)
    types[place[usable]] = type_idx[usable]
    return types


def novelties(known: Training, num_products: int | None) -> FloatArray:
    """-log2 of each id's share among the training co-purchases, one added to every product's count.

    The products are the catalogue's, else those of the training pairs; a recommended product that
    is neither counts as bought once, whatever the method, so two methods share one yardstick.
    """
    total = known.purchases.sum() + (num_products or known.num_products)
    return np.asarray(-np.log2((known.purchases + 1) / total))


def coverage(
    lists: Lists,
    num_lists: int,
    ks: Sequence[int],
    ids: pa.Array,
    catalogue: pa.ChunkedArray | None,
) -> list[Result]:
    """The share of the catalogue in anybody's first k; without a catalogue the plain count.

    No interval: a resample holds fewer distinct lists, so its coverage is always lower.
    """
    if catalogue is None:
        return [
            Result("DistinctProducts", k, ALL, float(len(_shown(lists, k))), num_lists) for k in ks
        ]
    sold = np.unique(codes(catalogue, ids))
    size = len(pc.unique(catalogue))
    return [
        Result("Coverage", k, ALL, contains(_shown(lists, k), sold).sum() / size, num_lists)
        for k in ks
    ]


def _shown(lists: Lists, k: int) -> IntArray:
    return _distinct(lists.product[lists.rank <= k])


def _distinct(places: Places) -> IntArray:
    """The codes that occur, sorted."""
    seen = np.zeros(int(places.max(initial=-1)) + 1, dtype=bool)
    seen[places] = True
    return np.flatnonzero(seen)


def asymmetry(
    lists: Lists,
    index: PairIndex,
    queries: IntArray,
    pairs: Truth,
    bought: IntArray,
    known: Training | None,
    notes: list[str],
) -> list[Block]:
    """Of held-out a->b never seen as b->a: how often a->b scores above b->a, ties a half.

    lists, index: all lists there are, in the codes of `queries` and `pairs.product`. A pair that
    is not in its list scores -infinity; pairs of which one end has no list at all are left out.
    """
    if c.SCORE not in lists.columns:
        notes.append("no column 'score': asymmetry is not measured")
        return []
    query, product = queries[pairs.query], pairs.product
    reverse = product * index.num_products + query
    one_way = ~contains(reverse, bought) & (query != product)
    if known is not None:
        one_way &= ~contains(reverse, known.bought)
    asked = _distinct(lists.query)
    judged = one_way & contains(query, asked) & contains(product, asked)
    unasked = int((one_way & ~judged).sum())
    if unasked:
        notes.append(f"asymmetry leaves out {unasked:,} pairs with an end that has no list")
    scores = lists.columns[c.SCORE]
    there, back = (
        np.nan_to_num(
            index.lookup(scores, *pair, -np.inf), nan=-np.inf, posinf=np.inf, neginf=-np.inf
        )
        for pair in ((query, product), (product, query))
    )
    points = np.where(there == back, 0.5, (there > back).astype(np.float64)) * judged
    block = Block.of_ratios(
        ALL, {("Asymmetry", 0): pairs.sum(points)}, pairs.sum(judged.astype(np.float64))
    )
    return [block] if len(block.rows) else []
