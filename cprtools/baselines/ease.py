"""EASE: a linear model of the whole matrix in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import IntArray, Problem
from cprtools.baselines.items import ItemToItem
from cprtools.baselines.options import check_choice, check_least, refuse_unknown
from cprtools.baselines.sparse import (
    WEIGHTINGS,
    WEIGHTINGS_BY_STRENGTH,
    canonical,
    reweight,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DoubleArray = npt.NDArray[np.float64]
_BLOCK = 512
# the inverse is dense: at most about 2 GB, twice while it is made
MOST_ITEMS = 16_000
# the time of the closed form grows with the cube of the smaller side: beside other methods it is
# worth its time up to here
QUICK_ITEMS = 12_000


class Ease(ItemToItem):
    """Scores c for q by the sum over q's items i of f(w(q,i)) B(i,c), B of zero diagonal.

    B minimises |X - X B|^2 + regularisation |B|^2: with P = (X'X + regularisation I)^-1,
    B(i,c) = -P(i,c) / P(c,c). Source: Steck, Embarrassingly shallow autoencoders for sparse data,
    WWW 2019. Departures: of every column the `neighbours` entries of the largest size, of either
    sign, are kept, and past 16,000 products only the most popular take part.
    """

    method: ClassVar[str] = "ease"
    search = (
        ("regularisation", [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]),
        ("weighting", WEIGHTINGS_BY_STRENGTH),
        ("regularisation", [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]),
    )

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        regularisation: float = 30.0,
        weighting: str = "log",
        neighbours: int = 2000,
        **options: Any,
    ) -> Self:
        """Invert the Gram matrix of the products; nothing is random.

        weighting: f is `raw` w, `log` log(1 + w) or `binary` 1. Raises UsageError for values out
        of range.
        """
        refuse_unknown(cls.method, options, ["regularisation", "weighting", "neighbours"])
        check_least(cls.method, "regularisation", regularisation, 1e-9)
        check_least(cls.method, "neighbours", neighbours, 1)
        check_choice(cls.method, "weighting", weighting, WEIGHTINGS)
        weighted = canonical(reweight(problem.wide, weighting))
        items = item_weights(weighted, regularisation, neighbours, problem.num_candidates)
        return cls(problem.wide, items, weighting)


def item_weights(
    matrix: csr_matrix, regularisation: float, neighbours: int, num_candidates: int | None = None
) -> csr_matrix:
    """B of EASE, zero on the diagonal: (columns, num_candidates) float32.

    `neighbours` entries in a column, those of the largest size, for the first columns of the
    matrix: the candidates, by default all of them.
    """
    from threadpoolctl import threadpool_limits

    num_candidates = int(matrix.shape[1]) if num_candidates is None else num_candidates
    counts = np.diff(matrix.tocsc().indptr)
    active = np.flatnonzero(counts)
    if len(active) > MOST_ITEMS and np.count_nonzero(np.diff(matrix.indptr)) > MOST_ITEMS:
        # columns are numbered by falling popularity: of equal ones the first
        most = np.argsort(-counts[active], kind="stable")[:MOST_ITEMS]
        active = np.sort(active[most])
    known = matrix[:, active].astype(np.float64)
    known = known[np.flatnonzero(np.diff(known.indptr))]
    targets = int(np.searchsorted(active, num_candidates))
    from scipy.sparse import csr_matrix

    if not targets:
        return csr_matrix((matrix.shape[1], num_candidates), dtype=np.float32)
    # one thread: the sums stay in one order whatever the number of threads
    with threadpool_limits(1, "blas"):
        columns = _precision(known, regularisation)
        parts = [
            _entries(columns(start, min(start + _BLOCK, targets)), start, neighbours)
            for start in range(0, targets, _BLOCK)
        ]
    rows, cols, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    entries = values.astype(np.float32), (active[rows], active[cols])
    return canonical(csr_matrix(entries, shape=(matrix.shape[1], num_candidates)))


def _precision(known: csr_matrix, regularisation: float) -> Callable[[int, int], DoubleArray]:
    """Columns start to stop of (X'X + regularisation I)^-1, by inverting the smaller side."""
    rows, columns = known.shape
    if columns <= rows:
        inverse = _inverse((known.T @ known).toarray(), regularisation)
        return lambda start, stop: inverse[:, start:stop]
    # Woodbury: (I - X' (X X' + regularisation I)^-1 X) / regularisation
    inverse = _inverse((known @ known.T).toarray(), regularisation)
    transposed = known.T.tocsr()

    def block(start: int, stop: int) -> DoubleArray:
        # the inverse is symmetric, and products of a sparse matrix from the left are cheap
        result = -(transposed @ np.ascontiguousarray((transposed[start:stop] @ inverse).T))
        result[np.arange(start, stop), np.arange(stop - start)] += 1
        return np.asarray(result / regularisation)

    return block


def _inverse(gram: DoubleArray, regularisation: float) -> DoubleArray:
    from scipy.linalg.lapack import dpotrf, dpotri

    gram[np.diag_indices_from(gram)] += regularisation
    # the transpose of a symmetric matrix is itself, and in Fortran's order: no copy
    factor, _ = dpotrf(gram.T, lower=1, overwrite_a=1)
    half, _ = dpotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(half)
    return np.asarray(lower + np.tril(lower, -1).T)


def _entries(
    precision: DoubleArray, start: int, neighbours: int
) -> tuple[IntArray, IntArray, DoubleArray]:
    """Rows, columns and values of B that are kept of these columns of P."""
    places = np.arange(precision.shape[1])
    weights = -precision / precision[start + places, places]
    weights[start + places, places] = 0
    kept = min(neighbours, len(weights))
    rows = np.argpartition(-np.abs(weights), kept - 1, axis=0)[:kept]
    columns = np.broadcast_to(places, rows.shape)
    values = weights[rows, columns]
    return rows.ravel(), (columns + start).ravel(), values.ravel()
