"""Products for a seller: retrieve within a category, rank, calibrate, say why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.answers.evidence import (
    POPULAR,
    Pieces,
    evidence_array,
    explained_pieces,
    piece,
)
from cprtools.answers.model import Model
from cprtools.answers.seller_reasons import SellerReasons
from cprtools.answers.starters import lists_nothing, popular_products, starter_reason
from cprtools.errors import SchemaError, nearest_names, quote
from cprtools.ranking.two_stage import TwoStage, candidate_pool, query_blocks
from cprtools.retrieval.pool import Pool
from cprtools.tables import columns as c
from cprtools.tables.light import number_array
from cprtools.tables.schemas import SELLER_RECOMMENDATIONS

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

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
    explain: bool = False
    """Whether to add the column `evidence`: for single sellers, since it asks the sources again."""
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
    reasons = SellerReasons(model)
    stage = model.stage.restricted(_pool(model, request))
    for block in query_blocks(seller_idx, len(stage.pool.members), len(stage.sources)):
        allowed = _allowed(model, stage, block, request)
        lists = stage.lists(block, allowed, request.k, use_ranker=request.use_ranker)
        starts = lists_nothing(model, block)
        parts, pieces = [], []
        for row, (cols, scores) in enumerate(lists):
            ranked = cols, affinities(model, scores, use_ranker=request.use_ranker)
            shown, affinity = (
                popular_products(model, stage.pool, allowed[row]) if starts[row] else ranked
            )
            keep = np.flatnonzero(affinity >= request.threshold)[: request.k]
            parts.append((row, shown[keep], affinity[keep]))
            if request.explain:
                own = None if starts[row] else (int(block[row]), scores[keep])
                pieces += _pieces(stage, own, shown[keep], affinity[keep], request)
        table = _table(model, block, parts, request, reasons)
        yield table.append_column(c.EVIDENCE, evidence_array(pieces)) if request.explain else table


def _pieces(
    stage: TwoStage,
    ranked: tuple[int, FloatArray] | None,
    cols: IntArray,
    affinity: npt.NDArray[np.float64],
    request: SellerRequest,
) -> list[Pieces]:
    """What the scores are made of: where no ranker scores, the affinity itself.

    ranked: the seller and the scores, None for a seller without listings.
    """
    if ranked is not None:
        seller, scores = ranked
        found = explained_pieces(stage, seller, cols, scores, use_ranker=request.use_ranker)
        if found is not None:
            return found
    name = POPULAR if ranked is None else stage.model.method
    return [[piece(name, None, value)] for value in affinity.tolist()]


def affinities(
    model: Model, scores: FloatArray, *, use_ranker: bool = True
) -> npt.NDArray[np.float64]:
    """Calibrated probabilities of these scores; 0.5 where the model could not be calibrated."""
    stage = model.stage
    curve = stage.calibration if use_ranker else stage.retrieval_calibration
    if curve is None:
        return np.full(len(scores), 0.5)
    return curve.apply(scores)


def _pool(model: Model, request: SellerRequest) -> Pool:
    """What is in high demand, by the list of the training or by the one that is given now.

    Filters do not narrow it: evidence compares candidates with the best of the pool, and that of a
    pair must not depend on the category or the stock that it is asked for. They do decide what
    is retrieved, and so which candidates have an affinity by evidence.
    """
    pool = candidate_pool(model.stage.problem)
    if request.only is None or pool.is_whole:
        return pool
    wider = request.only.copy()
    wider[pool.members] = True
    return Pool.where(wider)


def _allowed(model: Model, stage: TwoStage, block: IntArray, request: SellerRequest) -> BoolArray:
    """What of the pool may be recommended to each of the sellers: (len(block), pool).

    A new quarter's list replaces that of the training.
    """
    members = stage.pool.members
    codes, names = model.categories()
    allowed = np.ones((len(block), len(members)), dtype=bool)
    if request.only is not None:
        allowed &= request.only[members]
    if request.category != ALL:
        if request.category is None:
            wanted = model.primary_codes[block][:, None]
        else:
            wanted = np.full((1, 1), _code_of(request.category, names))
        # a seller whose listings have no category gets an answer over all of them
        found = (codes[members] == wanted) | (wanted < 0)
        if request.category is None and model.num_added:
            # new products may come as vectors alone: what names no category is not hidden by one
            found |= (codes[members] < 0) & (members >= len(codes) - model.num_added)
        allowed &= found
    for matrix in (stage.problem.matrix, request.excluded):
        stage.pool.forbid(allowed, matrix, block)
    return allowed


def _code_of(category: str, names: tuple[str, ...]) -> int:
    if category not in names:
        hint = nearest_names(category, list(names)) if names else "; none of its products has one"
        raise SchemaError(f"no category {quote(category)} in this model{hint}")
    return names.index(category)


def list_categories(model: Model, seller: int, only: BoolArray | None = None) -> pa.Table:
    """Each category: its high-demand products, the seller's listings, whether it is primary.

    only: (products,) bool, the high-demand products in place of those of the training.
    """
    codes, names = model.categories()
    problem = model.stage.problem
    demand = problem.is_candidate if only is None else only
    if demand is None:
        demand = np.ones(len(codes), dtype=bool)
    listed = np.zeros(len(codes), dtype=bool)
    listed[problem.matrix[[seller]].indices] = True
    known = codes >= 0
    size = len(names)
    primary = model.primary_codes[seller]
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
    reasons: SellerReasons,
) -> pa.Table:
    rows = np.concatenate([np.full(len(cols), row) for row, cols, _ in parts]).astype(np.int64)
    cols = np.concatenate([cols for _, cols, _ in parts]).astype(np.int64)
    ranks = np.concatenate([np.arange(1, len(cols) + 1) for _, cols, _ in parts])
    columns: dict[str, Any] = {
        c.SELLER_ID: model.seller_ids(block[rows]),
        c.RANK: number_array(ranks),
        c.PRODUCT_ID: model.values(c.PRODUCT_ID, cols),
        c.CATEGORY: model.values(c.CATEGORY, cols),
        c.AFFINITY: number_array(np.concatenate([affinity for _, _, affinity in parts])),
        c.REASON: pa.array(_reasons(model, reasons, block[rows], cols, request), pa.string()),
    }
    table = pa.table(columns, schema=SELLER_RECOMMENDATIONS.schema)
    for name in request.columns:
        table = table.append_column(name, model.values(name, cols))
    return table


def _reasons(
    model: Model, write: SellerReasons, sellers: IntArray, cols: IntArray, request: SellerRequest
) -> list[str]:
    reasons = write(sellers, cols)
    names = model.categories()[1]
    for at in np.flatnonzero(lists_nothing(model, sellers)):
        code = model.primary_codes[sellers[at]]
        own = names[code] if request.category is None and code >= 0 else None
        asked = request.category if request.category != ALL else None
        reasons[at] = starter_reason(model, int(cols[at]), asked or own)
    return reasons
