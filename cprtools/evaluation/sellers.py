"""Metrics of seller lists on held-out listings (docs/methods/evaluation.md)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cprtools.errors import SchemaError
from cprtools.evaluation import ranked
from cprtools.evaluation.beyond import coverage
from cprtools.evaluation.calibration import calibration_blocks, calibration_table
from cprtools.evaluation.coding import (
    BoolArray,
    FloatArray,
    IntArray,
    codes,
    contains,
    vocabulary,
)
from cprtools.evaluation.lists import SHOWN, BrokenListsError, Lists, code_lists, note_short
from cprtools.evaluation.ranked import Truth
from cprtools.evaluation.resampling import Block
from cprtools.evaluation.results import ALL, Evaluation, measure
from cprtools.evaluation.segments import Attribute
from cprtools.tables import categories
from cprtools.tables import columns as c
from cprtools.tables.light import pc

# lower bounds of the segments by training listings
_SIZES = ((0, "no listings"), (1, "1-4 listings"), (5, "5-9 listings"), (10, "10-19 listings"),
          (20, "20-49 listings"), (50, "50+ listings"))  # fmt: skip


def evaluate_sellers(
    recs: pa.Table,
    truth: pa.Table,
    *,
    train: pa.Table | None = None,
    products: pa.Table | None = None,
    high_demand: pa.Table | None = None,
    sellers: pa.Table | None = None,
    by: Sequence[Attribute] = (),
    with_details: bool = False,
    ks: Sequence[int] = (10, 20, 100),
    bootstrap: int = 1000,
    seed: int = 0,
    method: str = "recommendations",
) -> Evaluation:
    """Recall, NDCG, coverage and calibration, with intervals (DESIGN.md section 7).

    recs: the sellers' recommendations; truth: held-out listings; train: the listings that were
    learned from; products: the catalogue; high_demand: what may be recommended, without it all;
    sellers: those to average over, without it all with truth; by: columns whose values are segments
    of the sellers, or of their held-out products; with_details: the listings looked for and the
    first rows of the lists, too. Truth and lists are cut to the candidates: catalogue, high
    demand, not listed in training. Raises SchemaError for broken lists and a truth that leaves
    nothing.
    """
    notes: list[str] = []
    ids = _product_ids(recs, truth, train)
    allowed = _allowed(ids, products, high_demand)
    names = vocabulary(truth.column(c.SELLER_ID))
    listed = _listed(train, names, ids)
    pairs, queries = _held_out(truth, names, ids, allowed, listed, sellers, notes)
    lists = _lists(recs, queries, ids, notes)
    # numbered by `queries` from here on, as the truth is
    listed = _listed(train, queries, ids)
    lists, warnings = _to_candidates(lists, listed, allowed, len(ids))
    note_short(lists, len(queries), ("sellers", "Recall"), max(ks), notes, warnings)

    sizes = _sizes(listed // len(ids), train is not None, len(queries))
    for attribute in by:
        if attribute.of == c.SELLER_ID:
            sizes |= attribute.masks(queries)
    of_products = _of_products(products, by, notes)
    blocks, bins = _blocks(lists, pairs, ks, ids, of_products, sizes, notes)
    candidates = high_demand if high_demand is not None else products
    catalogue = candidates.column(c.PRODUCT_ID) if candidates is not None else None
    facts = coverage(lists, len(np.unique(lists.query)), ks, ids, catalogue)
    results, replicates = measure(blocks, facts, len(queries), bootstrap, seed)
    return Evaluation(
        "sellers", method, queries, results, replicates, (("Recall", max(ks)),),
        tuple(notes), tuple(warnings), bins, pairs.by_id(queries, ids) if with_details else None,
        lists.by_id(queries, ids, SHOWN) if with_details else None,
    )  # fmt: skip


def _blocks(
    lists: Lists,
    pairs: Truth,
    ks: Sequence[int],
    ids: pa.Array,
    of_products: Sequence[Attribute],
    segments: dict[str, BoolArray],
    notes: list[str],
) -> tuple[list[Block], pa.Table | None]:
    """All that has an interval, and the bins of the calibration."""
    ranks = lists.index(len(ids)).lookup(lists.rank, pairs.query, pairs.product, np.inf)
    blocks = _accuracy(pairs, ranks, ks, segments)
    for attribute in of_products:
        blocks += _by_value(pairs, ranks, ks, attribute, ids)
    is_true = contains(lists.keys(len(ids)), pairs.query * len(ids) + pairs.product)
    calibrated, bins = _calibration(lists, is_true, pairs.num_queries, notes)
    return [*blocks, *calibrated], bins


def _product_ids(recs: pa.Table, truth: pa.Table, train: pa.Table | None) -> pa.Array:
    columns = [recs.column(c.PRODUCT_ID), truth.column(c.PRODUCT_ID)]
    if train is not None:
        columns.append(train.column(c.PRODUCT_ID))
    return vocabulary(*columns)


def _allowed(
    ids: pa.Array, products: pa.Table | None, high_demand: pa.Table | None
) -> BoolArray | None:
    """(ids,) whether it may be recommended to anyone; None: all may."""
    if products is None and high_demand is None:
        return None
    allowed = np.ones(len(ids), dtype=bool)
    for table in (products, high_demand):
        if table is not None:
            allowed &= codes(ids, table.column(c.PRODUCT_ID).combine_chunks()) >= 0
    return allowed


def _listed(train: pa.Table | None, sellers: pa.Array, ids: pa.Array) -> IntArray:
    """Sorted keys seller * len(ids) + product of the training listings of these sellers."""
    if train is None:
        return np.zeros(0, dtype=np.int64)
    seller = codes(train.column(c.SELLER_ID), sellers)
    product = codes(train.column(c.PRODUCT_ID), ids)
    return np.unique((seller * len(ids) + product)[seller >= 0])


def _held_out(
    truth: pa.Table,
    names: pa.Array,
    ids: pa.Array,
    allowed: BoolArray | None,
    listed: IntArray,
    sellers: pa.Table | None,
    notes: list[str],
) -> tuple[Truth, pa.Array]:
    seller = codes(truth.column(c.SELLER_ID), names)
    keys = np.unique(seller * len(ids) + codes(truth.column(c.PRODUCT_ID), ids))
    reasons = [(contains(keys, listed), "are listed in training")]
    if allowed is not None:
        reasons.append((~allowed[keys % len(ids)], "are of products that are no candidates"))
    if sellers is not None:
        wanted = codes(names, sellers.column(c.SELLER_ID).combine_chunks()) >= 0
        reasons.append((~wanted[keys // len(ids)], "are of sellers not asked for"))
    keep = np.ones(len(keys), dtype=bool)
    for drop, why in reasons:
        dropped = keep & drop
        if dropped.any():
            notes.append(f"{dropped.sum():,} held-out listings {why}: left out")
        keep &= ~drop
    if not keep.any():
        raise SchemaError(
            f"truth: no held-out listing is left; {'; '.join(notes) or 'it is empty'}"
        )
    kept = keys[keep]
    queries, own = np.unique(kept // len(ids), return_inverse=True)
    pairs = Truth(own, kept % len(ids), np.ones(len(kept)), len(queries))
    return pairs, names.take(pa.array(queries))


def _lists(recs: pa.Table, queries: pa.Array, ids: pa.Array, notes: list[str]) -> Lists:
    others = pc.count_distinct(recs.column(c.SELLER_ID)).as_py()
    lists = code_lists(recs, c.SELLER_ID, queries, ids, [c.AFFINITY])
    others -= len(np.unique(lists.query))
    if others:
        notes.append(f"{others:,} lists are of sellers without truth: not measured")
    return lists


def _to_candidates(
    lists: Lists, listed: IntArray, allowed: BoolArray | None, num_ids: int
) -> tuple[Lists, list[str]]:
    drop = contains(lists.keys(num_ids), listed)
    if allowed is not None:
        drop |= ~allowed[lists.product]
    if not drop.any():
        return lists, []
    return lists.without(drop), [
        f"{drop.sum():,} products that are listed already or no candidates taken out of "
        f"{len(np.unique(lists.query[drop])):,} lists, which are shorter now; recommend with "
        "--exclude and --only to have them refilled"
    ]


def _sizes(listed: IntArray, has_train: bool, num_sellers: int) -> dict[str, BoolArray]:
    """Masks over the sellers by training listings; listed: the seller of each of them."""
    masks = {ALL: np.ones(num_sellers, dtype=bool)}
    if has_train:
        count = np.bincount(listed, minlength=num_sellers)
        size = np.searchsorted([low for low, _ in _SIZES], count, side="right") - 1
        masks.update({name: size == place for place, (_, name) in enumerate(_SIZES)})
    return masks


def _accuracy(
    pairs: Truth, ranks: FloatArray, ks: Sequence[int], segments: dict[str, BoolArray]
) -> list[Block]:
    columns = {}
    for k in ks:
        columns["Recall", k] = ranked.recalls(pairs, ranks, k, reachable=True)
        columns["NDCG", k] = ranked.ndcgs(pairs, ranks, k)
    blocks = [
        Block.of_ratios(name, columns, mask.astype(np.float64)) for name, mask in segments.items()
    ]
    return [block for block in blocks if len(block.rows)]


def _of_products(
    products: pa.Table | None, by: Sequence[Attribute], notes: list[str]
) -> list[Attribute]:
    """The category, and what else of the products is asked for."""
    if products is None:
        notes.append("no products: recall by category is not measured")
        return []
    ids = products.column(c.PRODUCT_ID).combine_chunks()
    category = Attribute(c.CATEGORY, c.PRODUCT_ID, ids, categories(products))
    further = [one for one in by if one.of == c.PRODUCT_ID and one.name != c.CATEGORY]
    return [category, *further]


def _by_value(
    pairs: Truth, ranks: FloatArray, ks: Sequence[int], attribute: Attribute, ids: pa.Array
) -> list[Block]:
    """Recall on the held-out products of one value, for each value of the attribute."""
    of_product, names = attribute.codes_of(ids)
    value = of_product[pairs.product]
    inside = np.flatnonzero(value >= 0)
    order = inside[np.lexsort((pairs.query[inside], value[inside]))]
    bounds = np.searchsorted(value[order], np.arange(len(names) + 1))
    blocks = []
    for i, name in enumerate(names):
        rows = order[bounds[i] : bounds[i + 1]]
        if len(rows):
            blocks.append(_value_block(f"{attribute.name}={name}", pairs, ranks, ks, rows))
    return blocks


def _value_block(
    segment: str, pairs: Truth, ranks: FloatArray, ks: Sequence[int], rows: IntArray
) -> Block:
    sellers, own = np.unique(pairs.query[rows], return_inverse=True)
    part = Truth(own, pairs.product[rows], pairs.weight[rows], len(sellers))
    recalls = [ranked.recalls(part, ranks[rows], k, reachable=True) for k in ks]
    values = np.column_stack([np.ones(len(sellers)), *recalls])
    return Block(segment, tuple(("Recall", k) for k in ks), sellers, values)


def _calibration(
    lists: Lists, is_true: BoolArray, num_sellers: int, notes: list[str]
) -> tuple[list[Block], pa.Table | None]:
    if c.AFFINITY not in lists.columns:
        notes.append("no column 'affinity': calibration is not measured")
        return [], None
    affinity = lists.columns[c.AFFINITY]
    known = ~np.isnan(affinity)
    if known.any() and (affinity[known].min() < 0 or affinity[known].max() > 1):
        raise BrokenListsError("an affinity is outside 0..1; it is a probability")
    if not known.all():
        notes.append(f"{(~known).sum():,} rows have no affinity: left out of the calibration")
    affinity, is_true = affinity[known], is_true[known]
    blocks = calibration_blocks(lists.query[known], affinity, is_true, num_sellers)
    return blocks, calibration_table(affinity, is_true)
