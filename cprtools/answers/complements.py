"""Complements of a product: retrieve, rank, spread over types, say why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.answers.diversity import spread
from cprtools.answers.model import Model
from cprtools.answers.reasons import complement_reasons
from cprtools.ranking import query_blocks
from cprtools.tables import COMPLEMENT_RECOMMENDATIONS
from cprtools.tables import columns as c
from cprtools.tables.light import number_array

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# how deep to look for other types before the list is filled with what there is: of a short list,
# too, past a type that has many products
_DEPTH_PER_K, _LEAST_DEPTH = 30, 300


@dataclass(frozen=True)
class ComplementRequest:
    """What was asked besides the queries."""

    k: int = 10
    types: int = 3
    """Types that the first results spread over; 0 switches it off."""
    excluded: csr_matrix | None = None
    only: BoolArray | None = None
    use_ranker: bool = True
    explain: bool = False
    """Whether to add the column `evidence`: for single queries, since it asks the sources again."""
    columns: tuple[str, ...] = ()
    """Further columns of the products to show."""


def recommend_complements(
    model: Model, query_idx: IntArray, request: ComplementRequest
) -> Iterator[pa.Table]:
    """Recommendations block by block, rows by query in the order asked, then rank.

    Never returned: the query, its similar products, excluded pairs, a product twice.
    """
    stage = model.stage
    for block in query_blocks(query_idx, stage.problem.num_candidates, len(stage.sources)):
        allowed = _allowed(model, block, request)
        depth = request.k if request.types == 0 else max(request.k * _DEPTH_PER_K, _LEAST_DEPTH)
        lists = stage.lists(block, allowed, depth, use_ranker=request.use_ranker)
        type_scores = _type_scores(model, block)
        parts = []
        for row, (cols, scores) in enumerate(lists):
            chosen = spread(stage.problem.types[cols], request.k, request.types)
            parts.append((row, cols[chosen], scores[chosen]))
        table = _table(model, block, parts, type_scores, request)
        yield _explained(model, table, block, parts, request) if request.explain else table


def _allowed(model: Model, block: IntArray, request: ComplementRequest) -> BoolArray:
    problem = model.stage.problem
    base = np.ones(problem.num_candidates, dtype=bool) if request.only is None else request.only
    allowed = np.tile(base, (len(block), 1))
    allowed[np.arange(len(block)), block] = False
    for matrix in (problem.similar, request.excluded):
        model.stage.pool.forbid(allowed, matrix, block)
    return allowed


def _type_scores(model: Model, block: IntArray) -> FloatArray | None:
    """P(type | query) as the model has it, else as the co-purchases of the query's type have it."""
    if not model.stage.problem.num_types:
        return None
    own = model.stage.model.type_scores(block)
    if own is not None:
        return own
    return model.type_popularity.type_scores(block)


def _table(
    model: Model,
    block: IntArray,
    parts: list[tuple[int, IntArray, FloatArray]],
    type_scores: FloatArray | None,
    request: ComplementRequest,
) -> pa.Table:
    rows = np.concatenate([np.full(len(cols), row) for row, cols, _ in parts]).astype(np.int64)
    cols = np.concatenate([cols for _, cols, _ in parts])
    scores = np.concatenate([scores for _, _, scores in parts]).astype(np.float64)
    ranks = np.concatenate([np.arange(1, len(cols) + 1) for _, cols, _ in parts])
    if request.use_ranker and model.stage.trees is not None:
        scores = 1 / (1 + np.exp(-scores))
    types = model.stage.problem.types[cols]
    columns: dict[str, Any] = {
        c.QUERY_ID: model.values(c.PRODUCT_ID, block[rows]),
        c.RANK: number_array(ranks),
        c.PRODUCT_ID: model.values(c.PRODUCT_ID, cols),
        c.PRODUCT_TYPE: model.values(c.PRODUCT_TYPE, cols),
        c.SCORE: number_array(scores),
        c.TYPE_SCORE: _read_type_scores(type_scores, rows, types),
        c.REASON: pa.array(complement_reasons(model, block[rows], cols, scores), pa.string()),
    }
    table = pa.table(columns, schema=COMPLEMENT_RECOMMENDATIONS.schema)
    for name in request.columns:
        table = table.append_column(name, model.values(name, cols))
    return table


def _explained(
    model: Model,
    table: pa.Table,
    block: IntArray,
    parts: list[tuple[int, IntArray, FloatArray]],
    request: ComplementRequest,
) -> pa.Table:
    """With what each score is made of: of the model, where no ranker scores, the score itself."""
    from cprtools.answers.evidence import evidence_array, explained_pieces, piece

    pieces = []
    shown = zip(*(table.column(n).to_pylist() for n in (c.SCORE, c.TYPE_SCORE)), strict=True)
    for row, cols, scores in parts:
        own = [next(shown) for _ in cols]
        ranked = explained_pieces(
            model.stage, int(block[row]), cols, scores, use_ranker=request.use_ranker
        )
        if ranked is None:
            method = model.stage.model.method
            ranked = [
                [piece(method, score, score), piece(c.TYPE_SCORE, of_type, None)]
                for score, of_type in own
            ]
        pieces.extend(ranked)
    return table.append_column(c.EVIDENCE, evidence_array(pieces))


def _read_type_scores(type_scores: FloatArray | None, rows: IntArray, types: IntArray) -> pa.Array:
    if type_scores is None:
        return pa.nulls(len(rows), pa.float64())
    return number_array(type_scores[rows, types].astype(np.float64), missing=types < 0)
