"""What each piece of evidence adds to the score of a recommendation: column `evidence`."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.answers.seller_reasons import MIN_SELLERS
from cprtools.baselines.contract import Problem
from cprtools.ranking.two_stage import Explained, TwoStage
from cprtools.tables.schemas import EVIDENCE

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Pieces = list[dict[str, Any]]

BASE, UNRANKED, POPULAR = "base", "unranked", "popular"
_WORDS = {
    BASE: "before any evidence",
    UNRANKED: "fills the list up, in the model's own order",
    POPULAR: "popular where nothing is listed yet",
    "popularity": "popularity by weight (log)",
    "popularity_queries": "popularity by number of queries or sellers (log)",
    "query_degree": "number of known pairs or listings (log)",
    "type_transition": "its type follows the query's",
    "bought": "bought together (log)",
    "confidence": "share of what was bought after the query",
    "reverse": "bought the other way round (log)",
    "reverse_confidence": "bought the other way round, as a share",
    "recent": "bought together of late (log)",
    "recent_share": "share of the joint purchases that is of late",
    "trend": "its purchases of late against all of them (log)",
    "expected": "expected count (log)",
    "similar_queries": "complements of similar products",
    "siblings": "bought after the same products",
    "co_viewed": "complements of products viewed with it",
    "price_ratio": "price against the query's or the listings' (log)",
    "words": "words that the titles share",
    "text": "likeness of the vectors",
    "type_score": "probability of its type",
    "bought_with_listed": "bought with what the seller lists",
}
_PATTERNS = {
    "same_": "same {}",
    "alike_": "complements of products alike by {}",
    "listed_": "listings of this {} (log)",
    "share_": "share of the listings with this {}",
    "range_": "share of this {} that is listed",
}
_ENDINGS = {
    "_relative": "{}, against the best",
    "_size": "{}: number of these products (log)",
    "_nearest": "likeness to the nearest listing ({})",
    "_three": "likeness to the three nearest listings, summed ({})",
    "_mean": "mean likeness to the listings ({})",
}
_POPULARITY = ("popularity", "popularity_queries")
# sources whose scores come from no other seller's listings
_OWN_SOURCES = ("text-knn",)


def piece(name: str, value: float | None, added: float | None) -> dict[str, Any]:
    """One piece of evidence: its value, and what it adds to the score."""
    return {"name": name, "value": value, "added": added}


def explained_pieces(
    stage: TwoStage, query: int, cols: IntArray, scores: FloatArray, *, use_ranker: bool
) -> list[Pieces] | None:
    """For each candidate what its score is made of, most first; None where no ranker scores.

    scores: (len(cols),) float32 of `TwoStage.lists`. Pieces that add nothing are left out. Of
    sellers no value shows what fewer than MIN_SELLERS others list, nor a score learnt from others.
    """
    found = stage.explain(query, cols, scores, use_ranker=use_ranker)
    if found is None:
        return None
    return [
        _pieces(found, row, _hidden(stage, col))
        if found.is_ranked[row]
        else [piece(UNRANKED, None, float(scores[row]))]
        for row, col in enumerate(cols.tolist())
    ]


def _pieces(found: Explained, row: int, hidden: set[str]) -> Pieces:
    used = np.flatnonzero(found.added[row])
    order = used[np.argsort(-np.abs(found.added[row][used]), kind="stable")]
    pieces = [piece(BASE, None, found.base)]
    for at in order.tolist():
        name = found.names[at]
        value = None if name in hidden else float(found.values[row, at])
        pieces.append(piece(name, value, float(found.added[row, at])))
    return pieces


def _hidden(stage: TwoStage, col: int) -> set[str]:
    """Evidence whose value is not shown: it could tell of single other sellers."""
    problem: Problem = stage.problem
    if problem.is_square:
        return set()
    learnt = [name for name in stage.sources if name not in _OWN_SOURCES]
    names = {*learnt, *(f"{name}_relative" for name in learnt)}
    return names | (set(_POPULARITY) if problem.margins.number[col] < MIN_SELLERS else set())


def in_words(name: str) -> str:
    """A piece of evidence as a person reads it; a source's score goes by the source's name."""
    if name in _WORDS:
        return _WORDS[name]
    for ending, form in _ENDINGS.items():
        if name.endswith(ending):
            start = name.removesuffix(ending)
            return form.format(in_words(start) if ending in ("_relative", "_size") else start)
    for start, form in _PATTERNS.items():
        if name.startswith(start):
            return form.format(name.removeprefix(start).replace("_", " "))
    return f"score of {name}"


def evidence_array(rows: Iterable[Pieces]) -> pa.Array:
    """The column of a table."""
    return pa.array(list(rows), EVIDENCE)
