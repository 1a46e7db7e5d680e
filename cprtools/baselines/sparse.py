"""Sparse matrices: to and from tables, reweighted, and the similarity of their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import SchemaError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

QUERY_IDX = "query_idx"
CANDIDATE_IDX = "candidate_idx"
WEIGHT = "weight"

WEIGHTINGS = ("raw", "log", "binary")
WEIGHTINGS_BY_STRENGTH = ("binary", "log", "raw")
_BLOCK = 256


def matrix_table(matrix: csr_matrix) -> pa.Table:
    """The entries of a matrix as query_idx, candidate_idx (int32), weight (float32), by row."""
    ordered = canonical(matrix)
    rows = np.repeat(np.arange(ordered.shape[0], dtype=np.int32), np.diff(ordered.indptr))
    return pa.table(
        {
            QUERY_IDX: rows,
            CANDIDATE_IDX: ordered.indices.astype(np.int32),
            WEIGHT: ordered.data.astype(np.float32),
        }
    )


def row_starts(matrix: csr_matrix) -> pa.Table:
    """Where the entries of each row start in `matrix_table`: (rows + 1,) as column `start`."""
    return pa.table({"start": canonical(matrix).indptr.astype(np.int64)})


def table_matrix(table: pa.Table, shape: tuple[int, int], label: str) -> csr_matrix:
    """The (queries, candidates) float32 matrix that `matrix_table` stored.

    Raises SchemaError, with `label` as its source, for indices outside the shape.
    """
    rows = table.column(QUERY_IDX).to_numpy()
    cols = table.column(CANDIDATE_IDX).to_numpy()
    for name, values, size in ((QUERY_IDX, rows, shape[0]), (CANDIDATE_IDX, cols, shape[1])):
        if len(values) and not 0 <= values.min() <= values.max() < size:
            raise SchemaError(
                f"{label}: does not fit the rest of the model; {name} goes from {values.min()} "
                f"to {values.max()}, and there are {size}"
            )
    from scipy.sparse import csr_matrix

    weights = table.column(WEIGHT).to_numpy().astype(np.float32)
    if (rows[1:] >= rows[:-1]).all():
        # as it was stored
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
        return canonical(csr_matrix((weights, cols, starts), shape=shape, dtype=np.float32))
    return canonical(csr_matrix((weights, (rows, cols)), shape=shape, dtype=np.float32))


def canonical(matrix: csr_matrix) -> csr_matrix:
    """The matrix with sorted rows and no explicit zeros; the argument itself is left as it was."""
    if matrix.has_canonical_format and matrix.data.all():
        return matrix
    copy = matrix.copy()
    copy.sum_duplicates()
    copy.eliminate_zeros()
    return copy


def widen(matrix: csr_matrix, shape: tuple[int, int], after: int | None = None) -> csr_matrix:
    """The matrix with empty columns at its end, and empty rows there or after its first rows.

    after: number of rows that the empty ones follow; None: all.
    """
    from scipy.sparse import csr_matrix

    after = matrix.shape[0] if after is None else after
    start, end = matrix.indptr[: after + 1], matrix.indptr[after + 1 :]
    between = np.full(shape[0] - matrix.shape[0], start[-1], dtype=matrix.indptr.dtype)
    indptr = np.concatenate([start, between, end])
    return csr_matrix((matrix.data, matrix.indices, indptr), shape=shape)


def reweight(matrix: csr_matrix, weighting: str) -> csr_matrix:
    """The matrix with its weights as they are (`raw`), log(1 + w) (`log`) or 1 (`binary`)."""
    result = canonical(matrix).astype(np.float32)
    result.data = weigh(result.data, weighting)
    return result


def weigh(weights: npt.NDArray[np.float32], weighting: str) -> npt.NDArray[np.float32]:
    """(entries,) float32 weights as `reweight` has them."""
    if weighting == "log":
        return np.log1p(weights)
    return np.ones_like(weights) if weighting == "binary" else weights


def row_sums(matrix: csr_matrix) -> npt.NDArray[np.float64]:
    """(rows,) float64 sums of each row."""
    return np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()


def column_sums(matrix: csr_matrix) -> npt.NDArray[np.float64]:
    """(columns,) float64 sums of each column."""
    return np.asarray(matrix.sum(axis=0, dtype=np.float64)).ravel()


def group_rows(matrix: csr_matrix, groups: npt.NDArray[np.int64], num_groups: int) -> csr_matrix:
    """Rows of the same group added up, (num_groups, columns) float64; group -1 is left out."""
    from scipy.sparse import csr_matrix

    known = np.flatnonzero(groups >= 0)
    shape = (num_groups, matrix.shape[0])
    members = csr_matrix((np.ones(len(known)), (groups[known], known)), shape=shape)
    return canonical((members @ matrix.astype(np.float64)).tocsr())


class ColumnNeighbours:
    """Cosine similarity of the columns of a matrix, (rows, columns), of those that are asked for.

    `shrinkage` is added to the product of the norms, so that columns with few entries count less.
    """

    def __init__(self, matrix: csr_matrix, neighbours: int, shrinkage: float = 0.0):
        self._by_row = canonical(matrix).astype(np.float64)
        self._norms = np.sqrt(column_sums(self._by_row.multiply(self._by_row).tocsr()))
        self._by_column = self._by_row.T.tocsr()
        self._neighbours, self._shrinkage = neighbours, shrinkage

    def rows(self, asked: npt.NDArray[np.int64]) -> csr_matrix:
        """Of each column that is asked for its most similar others: (len(asked), columns) float32.

        At most `neighbours` entries a row, none of a column with itself; ties at the border go to
        the lower column.
        """
        from scipy.sparse import csr_matrix

        blocks = range(0, len(asked), _BLOCK)
        parts = [self._block(asked[start : start + _BLOCK]) for start in blocks]
        counts = np.concatenate([np.zeros(1, np.int64), *(counts for counts, _, _ in parts)])
        found = np.concatenate([np.zeros(0, np.int64), *(found for _, found, _ in parts)])
        values = np.concatenate([np.zeros(0), *(values for _, _, values in parts)])
        shape = len(asked), len(self._norms)
        return csr_matrix((values.astype(np.float32), found, np.cumsum(counts)), shape=shape)

    def _block(
        self, asked: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        products = (self._by_column[asked] @ self._by_row).tocsr()
        products.sort_indices()
        row = np.repeat(np.arange(len(asked)), np.diff(products.indptr))
        own, norms = asked[row], self._norms
        similar = products.data / (norms[own] * norms[products.indices] + self._shrinkage)
        similar[products.indices == own] = 0
        keep = np.zeros(len(similar), dtype=np.bool_)
        for first, last in zip(products.indptr[:-1], products.indptr[1:], strict=True):
            keep[first:last] = largest(similar[first:last], self._neighbours)
        kept = np.bincount(row[keep], minlength=len(asked))
        return kept, products.indices[keep], similar[keep]


def column_neighbours(
    matrix: csr_matrix,
    neighbours: int,
    shrinkage: float = 0.0,
    columns: npt.NDArray[np.int64] | None = None,
) -> csr_matrix:
    """Each column's most similar others, as `ColumnNeighbours`: (columns, columns) float32.

    Rows that are not among `columns`, ascending, stay empty; None: all are asked for.
    """
    from scipy.sparse import csr_matrix

    size = matrix.shape[1]
    asked = np.arange(size) if columns is None else columns
    found = ColumnNeighbours(matrix, neighbours, shrinkage).rows(asked)
    counts = np.zeros(size + 1, dtype=np.int64)
    counts[asked + 1] = np.diff(found.indptr)
    return csr_matrix((found.data, found.indices, np.cumsum(counts)), shape=(size, size))


def largest(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.bool_]:
    """(entries,) mask of the `count` largest positive values, of equal ones the first."""
    if len(values) <= count:
        return values > 0
    threshold = np.partition(values, len(values) - count)[len(values) - count]
    chosen = values > threshold
    ties = np.flatnonzero(values == threshold)[: count - int(chosen.sum())]
    chosen[ties] = True
    return np.asarray(chosen & (values > 0))
