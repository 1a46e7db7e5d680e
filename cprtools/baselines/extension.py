"""A problem with further products at its end: queries and candidates without any behaviour."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import FloatArray, Problem
from cprtools.baselines.sparse import widen

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_SQUARES = (
    "co_purchases", "similar", "co_views", "earlier", "later", "recent", "earlier_recent",
    "earlier_similar", "earlier_co_views",
)  # fmt: skip


def append_products(problem: Problem, new: Problem) -> Problem:
    """The problem with the products of `new` after its own, known by their features alone.

    new: of the same columns, codes and vectors; its matrix counts for nothing but its columns.
    What it lacks is unknown. Sellers stay the queries that they are. Raises ValueError for
    vectors of another length.
    """
    known, more = problem.num_candidates, new.num_candidates
    n = known + more
    squares = {name: getattr(problem, name) for name in _SQUARES}
    wide: dict[str, Any] = {
        name: m if m is None else widen(m, (n, n)) for name, m in squares.items()
    }
    context = problem.context
    unknown = np.full(more, -1, dtype=np.int64)
    return replace(
        problem,
        **wide,
        matrix=widen(problem.matrix, (n if problem.is_square else problem.num_queries, n)),
        types=np.concatenate([problem.types, new.types]),
        vectors=_vectors(problem.vectors, new),
        words=_words(problem.words, new),
        attributes={
            name: np.concatenate([codes, new.attributes.get(name, unknown)])
            for name, codes in problem.attributes.items()
        },
        prices=_numbers(problem.prices, new.prices, more),
        numbers={
            name: _numbers(values, new.numbers.get(name), more)
            for name, values in problem.numbers.items()
        },
        is_candidate=append_rows(problem.is_candidate, more, True),
        context=None if context is None else widen(context, (n, context.shape[1])),
    )


def append_rows(array: Any, count: int, value: float = 0) -> Any:
    """The array with further rows of this value; None stays None."""
    if array is None:
        return None
    rows: npt.NDArray[Any] = np.full((count, *array.shape[1:]), value, dtype=array.dtype)
    return np.concatenate([array, rows])


def _numbers(known: FloatArray | None, new: FloatArray | None, count: int) -> Any:
    if known is None or new is None:
        return append_rows(known, count, np.nan)
    return np.concatenate([known, new]).astype(np.float32)


def _vectors(known: FloatArray | None, new: Problem) -> FloatArray | None:
    if known is None or new.vectors is None:
        return append_rows(known, new.num_candidates)  # type: ignore[no-any-return]
    return np.concatenate([known, new.vectors], dtype=np.float32)


def _words(known: csr_matrix | None, new: Problem) -> csr_matrix | None:
    if known is None:
        return None
    from scipy.sparse import csr_matrix, vstack

    more = csr_matrix((new.num_candidates, 0)) if new.words is None else new.words
    # a stored matrix ends with its last used column
    width = max(known.shape[1], more.shape[1])
    both = [widen(part, (part.shape[0], width)) for part in (known, more)]
    return vstack(both, format="csr", dtype=np.float32)
