"""Why a complement is recommended, in words, written from the evidence about the pair."""

import numpy as np
import numpy.typing as npt

from cprtools.answers.model import Model
from cprtools.baselines.contract import PAIRS, TYPES
from cprtools.baselines.rows import entries_at
from cprtools.tables import columns as c

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

_PARTS = 2


def complement_reasons(
    model: Model, query_idx: IntArray, cols: IntArray, scores: FloatArray
) -> list[str]:
    """One line for each (query, candidate) pair: (pairs,) int64 each, and their scores.

    A score of a method is evidence where it is above 0 (see `Recommender`).
    """
    problem = model.stage.problem
    together = entries_at(problem.matrix, query_idx, cols)
    reverse = entries_at(problem.towards, query_idx, cols)
    popularity = model.popularity
    names = model.type_names
    brands = model.strings(c.BRAND)
    reasons = []
    pairs = (values.tolist() for values in (query_idx, cols, together, reverse, scores))
    for query, col, count, back, score in zip(*pairs, strict=True):
        parts = []
        if count >= 1:
            parts.append(f"bought together {_times(count)}")
        elif back >= 1:
            parts.append(f"bought the other way round {_times(back)}")
        own, other = int(problem.types[query]), int(problem.types[col])
        if own >= 0 and other >= 0 and own != other and model.is_completed_by(own, other):
            parts.append(f"{names[other]} completes {names[own]}")
        if brands[query] and brands[query] == brands[col]:
            parts.append(f"same brand {brands[col]}")
        # a sum over products other than these two: who bought three of them counts three times
        elsewhere = popularity[col] - count
        if elsewhere >= 1:
            parts.append(f"{_purchases(elsewhere)} with other products")
        reasons.append("; ".join(parts[:_PARTS]) or _without_pairs(model, score))
    return reasons


def _without_pairs(model: Model, score: float) -> str:
    """Why a product is there that no known pair leads to."""
    known_by = model.stage.model.knows_by
    if known_by == PAIRS or score <= 0:
        return "fills the list up, no known pair leads to it"
    return "chosen by its type" if known_by == TYPES else "nearest by its features"


def _times(count: float) -> str:
    return "once" if count < 2 else f"{count:,.0f} times"


def _purchases(count: float) -> str:
    return "1 joint purchase" if count < 2 else f"{count:,.0f} joint purchases"
