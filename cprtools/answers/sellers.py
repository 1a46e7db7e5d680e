"""Products for a seller: retrieve within a category, rank, calibrate, say why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.answers.filters import forbid
from cprtools.answers.model import Model
from cprtools.answers.reasons import seller_reasons
from cprtools.answers.starters import lists_nothing, popular_products, starter_reason
from cprtools.errors import SchemaError, nearest_names, quote
from cprtools.ranking import query_blocks
from cprtools.tables import SELLER_RECOMMENDATIONS
from cprtools.tables import columns as c

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ALL = "all"


@dataclass(frozen=True)
class SellerRequest:
    """What was asked besides the sellers."""

    k: int = 10
    threshold: float = 0.5
    """Affinity at least this; applied before k."""
    category: str | None = None
    """A category's name, `all`, or None for each seller's primary one."""
    excluded: csr_matrix | None = None
    only: BoolArray | None = None
    """(products,) candidates in place of the high-demand products of the training."""
    use_ranker: bool = True
    columns: tuple[str, ...] = ()
    """Further columns of the products to show."""


def recommend_products(
    model: Model, seller_idx: IntArray, request: SellerRequest
) -> Iterator[pa.Table]:
    """Recommendations block by block, rows by seller in the order asked, then rank.

    Never returned: a listed product, one that is not in high demand, an excluded pair. A seller
    without listings gets what is popular in its category.
    Raises SchemaError for an unknown category, with the nearest names.
    """
    model = model.offering(request.only)
    stage = model.stage
    for block in query_blocks(seller_idx, stage.problem.num_candidates, len(stage.sources)):
        allowed = _allowed(model, block, request)
        lists = stage.lists(block, allowed, request.k, use_ranker=request.use_ranker)
        starts = lists_nothing(model, block)
        parts = []
        for row, (cols, scores) in enumerate(lists):
            ranked = cols, affinities(model, scores, use_ranker=request.use_ranker)
            shown, affinity = popular_products(model, allowed[row]) if starts[row] else ranked
            keep = np.flatnonzero(affinity >= request.threshold)[: request.k]
            parts.append((row, shown[keep], affinity[keep]))
        yield _table(model, block, parts, request)


def affinities(
    model: Model, scores: FloatArray, *, use_ranker: bool = True
) -> npt.NDArray[np.float64]:
    """Calibrated probabilities of these scores; 0.5 where the model could not be calibrated."""
    stage = model.stage
    curve = stage.calibration if use_ranker else stage.retrieval_calibration
    if curve is None:
        return np.full(len(scores), 0.5)
    return curve.apply(scores)


def _allowed(model: Model, block: IntArray, request: SellerRequest) -> BoolArray:
    problem = model.stage.problem
    base = np.ones(problem.num_candidates, dtype=bool)
    if problem.is_candidate is not None:
        base &= problem.is_candidate
    allowed = np.tile(base, (len(block), 1))
    forbid(allowed, problem.matrix, block)
    forbid(allowed, request.excluded, block)
    if request.category != ALL:
        allowed &= _in_category(model, block, request.category)
    return allowed


def _in_category(model: Model, block: IntArray, category: str | None) -> BoolArray:
    codes, names = model.categories()
    if not names:
        return np.ones((len(block), len(codes)), dtype=bool)
    if category is not None:
        if category not in names:
            hint = nearest_names(category, list(names))
            raise SchemaError(f"no category {quote(category)} in this model{hint}")
        wanted = np.full(len(block), names.index(category))
    else:
        wanted = _primary_codes(model, names)[block]
    # a seller whose listings have no category gets an answer over all of them
    found = np.asarray((codes[None, :] == wanted[:, None]) | (wanted[:, None] < 0))
    if category is None and model.num_added:
        # new products may come as vectors alone: what names no category is not hidden by one
        found[:, -model.num_added :] |= codes[-model.num_added :] < 0
    return found


def _primary_codes(model: Model, names: tuple[str, ...]) -> IntArray:
    place = {name: code for code, name in enumerate(names)}
    sellers = model.sellers
    if sellers is None:
        raise ValueError("a complement model has no sellers")
    primary = sellers.column("primary_category").to_pylist()
    return np.array([place.get(name, -1) for name in primary], dtype=np.int64)


def list_categories(model: Model, seller: int) -> pa.Table:
    """Each category: its high-demand products, the seller's listings, whether it is primary."""
    codes, names = model.categories()
    problem = model.stage.problem
    demand = problem.is_candidate if problem.is_candidate is not None else np.ones(len(codes), bool)
    listed = np.zeros(len(codes), dtype=bool)
    listed[problem.matrix[[seller]].indices] = True
    known = codes >= 0
    size = len(names)
    primary = _primary_codes(model, names)[seller]
    return pa.table(
        {
            c.CATEGORY: pa.array(names, pa.string()),
            "products": np.bincount(codes[known & demand], minlength=size),
            "listed": np.bincount(codes[known & listed], minlength=size),
            "is_primary": pa.array(np.arange(size) == primary),
        }
    )


def _table(
    model: Model,
    block: IntArray,
    parts: list[tuple[int, IntArray, npt.NDArray[np.float64]]],
    request: SellerRequest,
) -> pa.Table:
    rows = np.concatenate([np.full(len(cols), row) for row, cols, _ in parts]).astype(np.int64)
    cols = np.concatenate([cols for _, cols, _ in parts]).astype(np.int64)
    ranks = np.concatenate([np.arange(1, len(cols) + 1) for _, cols, _ in parts])
    catalogue = model.catalogue
    if model.sellers is None:
        raise ValueError("a complement model has no sellers")
    columns: dict[str, Any] = {
        c.SELLER_ID: model.sellers.column(c.SELLER_ID).take(pa.array(block[rows])),
        c.RANK: pa.array(ranks, pa.int64()),
        c.PRODUCT_ID: catalogue.ids.take(pa.array(cols)),
        c.CATEGORY: catalogue.table.column(c.CATEGORY).take(pa.array(cols)),
        c.AFFINITY: np.concatenate([affinity for _, _, affinity in parts]),
        c.REASON: pa.array(_reasons(model, block[rows], cols, request.category), pa.string()),
    }
    table = pa.table(columns).cast(SELLER_RECOMMENDATIONS.schema)
    for name in request.columns:
        table = table.append_column(name, catalogue.table.column(name).take(pa.array(cols)))
    return table


def _reasons(model: Model, sellers: IntArray, cols: IntArray, category: str | None) -> list[str]:
    reasons = seller_reasons(model, sellers, cols)
    _, names = model.categories()
    primary = _primary_codes(model, names)
    for at in np.flatnonzero(lists_nothing(model, sellers)):
        code = primary[sellers[at]]
        own = names[code] if category is None and code >= 0 else None
        asked = category if category != ALL else None
        reasons[at] = starter_reason(model, int(cols[at]), asked or own)
    return reasons
