"""Metrics of complement lists on held-out pairs (docs/methods/evaluation.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cprtools.errors import SchemaError, percent
from cprtools.evaluation import ranked
from cprtools.evaluation.beyond import asymmetry, beyond_accuracy, types_of
from cprtools.evaluation.calibration import score_table
from cprtools.evaluation.coding import (
    BoolArray,
    FloatArray,
    IntArray,
    codes,
    contains,
    flags,
    numbers,
    vocabulary,
)
from cprtools.evaluation.lists import SHOWN, Lists, code_lists, note_short
from cprtools.evaluation.ranked import Truth
from cprtools.evaluation.resampling import Block
from cprtools.evaluation.results import ALL, Evaluation, measure
from cprtools.evaluation.segments import Attribute
from cprtools.evaluation.training import Training, read_training
from cprtools.tables import columns as c

# segments by the number of customers who bought the query in training, both ends included
_BY_CUSTOMERS = (
    ("rare queries", 0, 3),
    ("middle queries", 4, 99),
    ("frequent queries", 100, np.inf),
)


@dataclass(frozen=True)
class _HeldOut:
    """The truth in codes of one vocabulary."""

    pairs: Truth
    """Pairs of queries, by their place in `queries`, and products."""
    queries: IntArray
    """Sorted codes of the queries."""
    names: pa.Array
    """Their ids."""
    bought: IntArray
    """Sorted keys query * n + product of every pair bought at all, left out or not."""


def evaluate_complements(
    recs: pa.Table,
    truth: pa.Table,
    *,
    train: pa.Table | None = None,
    products: pa.Table | None = None,
    keep_known: bool = False,
    by: Sequence[Attribute] = (),
    with_details: bool = False,
    ks: Sequence[int] = (1, 3, 10),
    bootstrap: int = 1000,
    seed: int = 0,
    method: str = "recommendations",
) -> Evaluation:
    """Hit, NDCG, MRR and what lies beyond accuracy, with intervals (DESIGN.md section 7).

    recs: the complements' recommendations; truth: query_id, candidate_id, co_purchase?,
    complement?; train: pairs that the method learned from; products: the catalogue, then pairs
    outside it are no truth; keep_known: pairs of `train` are truth, too; by: columns whose values
    are segments of the queries; with_details: tenths of the lists by score and the pairs looked
    for, too. Raises SchemaError for broken lists and a truth that leaves no pair.
    """
    notes: list[str] = []
    warnings: list[str] = []
    ids = _vocabulary(recs, truth, train)
    known = read_training(train, ids, keep_known=keep_known) if train is not None else None
    catalogue = codes(products.column(c.PRODUCT_ID), ids) if products is not None else None
    held_out = _held_out(truth, ids, known, catalogue, notes)
    types = types_of(recs, products, ids)
    everything = code_lists(recs, c.QUERY_ID, ids, ids, [c.SCORE])
    del recs  # the codes say all of it, in a fraction of the memory
    pa.default_memory_pool().release_unused()
    everything = _without_training(everything, known, len(ids), warnings)
    segments = _segments(held_out, known, by)
    blocks = _on_pairs(everything, held_out, ids, known, ks, segments, notes)
    lists = _lists_of(everything, held_out.queries, notes)
    bins = _by_score(everything, held_out) if with_details else None
    del everything
    note_short(lists, len(held_out.queries), ("queries", "Hit"), max(ks), notes, warnings)
    facts, more = beyond_accuracy(
        lists, len(held_out.names), ks, ids, types=types, products=products, known=known
    )
    shown = lists.by_id(held_out.names, ids, SHOWN) if with_details else None
    del lists  # the resampling needs the memory
    results, replicates = measure([*blocks, *more], facts, len(held_out.names), bootstrap, seed)
    return Evaluation(
        "complements", method, held_out.names, results, replicates,
        tuple(("Hit", k) for k in ks), tuple(notes), tuple(warnings), bins,
        held_out.pairs.by_id(held_out.names, ids) if with_details else None, shown,
    )  # fmt: skip


def _on_pairs(
    everything: Lists,
    held_out: _HeldOut,
    ids: pa.Array,
    known: Training | None,
    ks: Sequence[int],
    segments: tuple[dict[str, BoolArray], dict[str, BoolArray]],
    notes: list[str],
) -> list[Block]:
    """All that is measured by pairs."""
    index = everything.index(len(ids))
    pairs, queries = held_out.pairs, held_out.queries
    ranks = index.lookup(everything.rank, queries[pairs.query], pairs.product, np.inf)
    blocks = _accuracy(pairs, ranks, ks, segments)
    return blocks + asymmetry(everything, index, queries, pairs, held_out.bought, known, notes)


def _by_score(everything: Lists, held_out: _HeldOut) -> pa.Table | None:
    """What was recommended to the truth's queries, by score."""
    if c.SCORE not in everything.columns:
        return None
    rows = contains(everything.query, held_out.queries)
    asked = everything.take(rows)
    n = int(max(asked.product.max(initial=0), held_out.pairs.product.max())) + 1
    true = held_out.queries[held_out.pairs.query] * n + held_out.pairs.product
    return score_table(asked.columns[c.SCORE], contains(asked.keys(n), true))


def _vocabulary(recs: pa.Table, truth: pa.Table, train: pa.Table | None) -> pa.Array:
    columns = [recs.column(c.QUERY_ID), recs.column(c.PRODUCT_ID)]
    columns += [truth.column(c.QUERY_ID), truth.column(c.CANDIDATE_ID)]
    if train is not None:
        columns += [train.column(c.QUERY_ID), train.column(c.CANDIDATE_ID)]
    return vocabulary(*columns)


def _held_out(
    truth: pa.Table,
    ids: pa.Array,
    known: Training | None,
    catalogue: IntArray | None,
    notes: list[str],
) -> _HeldOut:
    pair, weight, is_complement = _distinct(truth, ids)
    query, product = np.divmod(pair, len(ids))
    cleaned = weight[~is_complement].sum() / max(1, weight.sum())
    reasons = [
        (weight == 0, "have no co-purchase: left out"),
        (
            ~is_complement,
            "were bought together and are no complements (viewed together or bought after a "
            f"view): {percent(cleaned)} of the co-purchases left out",
        ),
    ]
    if catalogue is not None:
        listed = np.zeros(len(ids) + 1, dtype=bool)
        listed[catalogue] = True
        listed[-1] = False  # products of the catalogue that occur nowhere else are coded -1
        reasons.append((~(listed[query] & listed[product]), "are outside the catalogue: left out"))
    if known is not None:
        is_similar = contains(pair, known.similar)
        is_known = contains(pair, known.forbidden) & ~is_similar
        reasons.append((is_known, "are in the training pairs: left out"))
        reasons.append((is_similar, "are similar in training, one way or the other: left out"))
    keep = _keep(reasons, notes)
    if not keep.any():
        raise SchemaError(f"truth: no held-out pair is left; {'; '.join(notes) or 'it is empty'}")
    queries, own = np.unique(query[keep], return_inverse=True)
    pairs = Truth(own, product[keep], weight[keep].astype(np.float64), len(queries))
    return _HeldOut(pairs, queries, ids.take(pa.array(queries)), pair[weight > 0])


def _distinct(truth: pa.Table, ids: pa.Array) -> tuple[IntArray, IntArray, BoolArray]:
    """Each pair once: ascending keys query * n + product, counts, whether it is a complement.

    Of a pair given twice that is its largest count, and a complement if one row says so.
    Raises SchemaError for counts below 0.
    """
    weight = numbers(truth, c.CO_PURCHASE, 1).astype(np.int64)
    if len(weight) and weight.min() < 0:
        raise SchemaError("truth: a co_purchase count is below 0; counts are 0 or more")
    pair = codes(truth.column(c.QUERY_ID), ids) * len(ids) + codes(
        truth.column(c.CANDIDATE_ID), ids
    )
    order = np.argsort(pair, kind="stable")
    pair, weight = pair[order], weight[order]
    is_complement = flags(truth, c.COMPLEMENT, True)[order]
    first = np.flatnonzero(np.diff(pair, prepend=-1))
    return (
        pair[first],
        np.maximum.reduceat(weight, first),
        np.logical_or.reduceat(is_complement, first),
    )


def _keep(reasons: list[tuple[BoolArray, str]], notes: list[str]) -> BoolArray:
    """What no reason takes away; each is told with what it alone takes after those before."""
    keep = np.ones(len(reasons[0][0]), dtype=bool)
    for drop, why in reasons:
        dropped = keep & drop
        if dropped.any():
            notes.append(f"{dropped.sum():,} truth pairs {why}")
        keep &= ~dropped
    return keep


def _without_training(
    lists: Lists, known: Training | None, num_ids: int, warnings: list[str]
) -> Lists:
    if known is None:
        return lists
    drop = contains(lists.keys(num_ids), known.forbidden)
    if drop.any():
        shortened = len(np.unique(lists.query[drop]))
        # with known pairs kept the similar ones alone are forbidden
        is_similar = len(known.similar) == len(known.forbidden)
        what = "similar pairs of training" if is_similar else "training or similar pairs"
        warnings.append(
            f"{drop.sum():,} {what} taken out of {shortened:,} lists, which are "
            "shorter now; recommend with --exclude to have them refilled"
        )
    return lists.without(drop)


def _lists_of(everything: Lists, queries: IntArray, notes: list[str]) -> Lists:
    """The lists of these queries, numbered by their place among them."""
    size = int(max(queries.max(initial=-1), everything.query.max(initial=-1))) + 1
    place_of = np.full(size, -1, dtype=np.int32)
    place_of[queries] = np.arange(len(queries))
    place = place_of[everything.query]
    asked = place >= 0
    others = len(np.unique(everything.query[~asked]))
    if not others:
        return Lists(place, everything.product, everything.rank)
    notes.append(f"{others:,} lists are of queries without truth: not measured")
    return Lists(place[asked], everything.product[asked], everything.rank[asked])


def _segments(
    held_out: _HeldOut, known: Training | None, by: Sequence[Attribute]
) -> tuple[dict[str, BoolArray], dict[str, BoolArray]]:
    """Masks over the queries, and masks over the pairs, by the name of the segment."""
    queries, products = held_out.queries, held_out.pairs.product
    by_query = {ALL: np.ones(len(queries), dtype=bool)}
    for attribute in by:
        by_query |= attribute.masks(held_out.names)
    if known is None:
        return by_query, {}
    warm = known.is_query[queries]
    seen = known.is_seen[queries]
    by_query["warm queries"] = warm
    by_query["queries without co-purchases"] = seen & ~warm
    by_query["new products"] = ~seen
    if known.customers is not None:
        bought = known.customers[queries]
        for name, least, most in _BY_CUSTOMERS:
            by_query[name] = (bought >= least) & (bought <= most)
    candidate = known.is_seen[products]
    return by_query, {"warm candidates": candidate, "new candidates": ~candidate}


def _accuracy(
    pairs: Truth,
    ranks: FloatArray,
    ks: Sequence[int],
    segments: tuple[dict[str, BoolArray], dict[str, BoolArray]],
) -> list[Block]:
    weighted = {("Hit", k): pairs.sum(pairs.weight * (ranks <= k)) for k in ks}
    by_query = {}
    for k in ks:
        by_query["QueryHit", k] = ranked.hit_rates(pairs, ranks, k)
        by_query["Recall", k] = ranked.recalls(pairs, ranks, k, reachable=False)
        by_query["NDCG", k] = ranked.ndcgs(pairs, ranks, k)
        by_query["MRR", k] = ranked.reciprocal_ranks(pairs, ranks, k)
    totals = pairs.sum(pairs.weight)
    blocks = []
    for name, mask in segments[0].items():
        blocks.append(Block.of_ratios(name, weighted, np.where(mask, totals, 0)))
        blocks.append(Block.of_ratios(name, by_query, mask.astype(np.float64)))
    for name, mask in segments[1].items():
        weight = pairs.weight * mask
        hits = {("Hit", k): pairs.sum(weight * (ranks <= k)) for k in ks}
        blocks.append(Block.of_ratios(name, hits, pairs.sum(weight)))
    return [block for block in blocks if len(block.rows)]
