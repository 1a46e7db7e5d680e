"""Sparse rows in numpy alone: of a model in place, or of one query; scipy takes long to load."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cprtools.errors import SchemaError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    Sparse: TypeAlias = "Rows | csr_matrix"

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[Any]

# products of two numbers that are in memory together
_AT_ONCE = 1 << 21
_OUTSIDE = "the model's tables do not fit together; an index is out of range"


class Rows:
    """A sparse matrix by its rows, as scipy's csr_matrix, and no more than answers need of it."""

    def __init__(
        self, indptr: IntArray, indices: IntArray, data: FloatArray, shape: tuple[int, int]
    ):
        self.indptr = indptr
        """(rows + 1,) where each row's entries start."""
        self.indices = indices
        self.data = data
        self.shape = shape

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return len(self.indices)

    def __getitem__(self, rows: IntArray) -> "Rows":
        """These rows, in this order. Raises SchemaError for indices outside the shape."""
        first, last = self.indptr[rows].astype(np.int64), self.indptr[rows + 1].astype(np.int64)
        if not ((first >= 0) & (first <= last) & (last <= len(self.indices))).all():
            raise SchemaError(_OUTSIDE)
        indptr = np.concatenate([[0], np.cumsum(last - first)])
        entries = np.arange(indptr[-1]) + np.repeat(first - indptr[:-1], last - first)
        indices, width = self.indices[entries], self.shape[1]
        if len(indices) and not 0 <= indices.min() <= indices.max() < width:
            raise SchemaError(_OUTSIDE)
        return Rows(indptr, indices, self.data[entries], (len(rows), width))

    def toarray(self) -> FloatArray:
        """(rows, columns) float32."""
        dense = np.zeros(self.shape, dtype=np.float32)
        dense[owners(self), self.indices] = self.data
        return dense


class Beside(Rows):
    """Two matrices side by side; their entries are put together for the rows asked for."""

    def __init__(self, left: Rows, right: Rows):
        width = left.shape[1] + right.shape[1]
        none = np.zeros(0, np.int32), np.zeros(0, np.float32)
        super().__init__(left.indptr + right.indptr, *none, (left.shape[0], width))
        self._sides = left, right

    @property
    def nnz(self) -> int:
        """Number of entries of both."""
        return sum(side.nnz for side in self._sides)

    def __getitem__(self, rows: IntArray) -> Rows:
        """These rows, in this order. Raises as `Rows` does."""
        left, right = (side[rows] for side in self._sides)
        order = np.argsort(np.concatenate([owners(left), owners(right)]), kind="stable")
        indices = np.concatenate([left.indices, right.indices + left.shape[1]])[order]
        data = np.concatenate([left.data, right.data])[order]
        return Rows(left.indptr + right.indptr, indices, data, (len(rows), self.shape[1]))


def owners(matrix: "Sparse") -> IntArray:
    """The row of each entry, (entries,) int64."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def find_sorted(known: IntArray, wanted: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Where each wanted number is among the known, ascending ones, and whether it is there."""
    if not len(known):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return at, np.asarray(known[at] == wanted)


def product(left: "Sparse", right: "Sparse") -> FloatArray:
    """Left @ right, dense: (rows of left, columns of right) float32.

    Both kinds of matrix add up a row's entries in the same order: the sums are the same bits.
    """
    if not (isinstance(left, Rows) and isinstance(right, Rows)):
        both: Any = left @ right  # type: ignore[operator]
        return np.asarray(both.toarray(), dtype=np.float32)
    dense = np.zeros((left.shape[0], right.shape[1]), dtype=np.float32)
    taken = right[left.indices]
    lengths = np.diff(taken.indptr)
    places = np.repeat(owners(left), lengths) * right.shape[1] + taken.indices
    np.add.at(dense.reshape(-1), places, np.repeat(left.data, lengths) * taken.data)
    return dense


def cosines(vectors: "FloatArray | Sparse", rows: IntArray, own: IntArray) -> FloatArray:
    """Products of the unit vectors of `rows` with those of `own`, (len(rows), len(own)) float32."""
    if not isinstance(vectors, Rows):
        found = vectors[rows] @ vectors[own].T
        return np.asarray(found if isinstance(found, np.ndarray) else found.toarray())
    left = vectors[rows]
    words, code = np.unique(left.indices, return_inverse=True)
    left = Rows(left.indptr, code, left.data, (len(rows), len(words)))
    dense = np.empty((len(rows), len(own)), dtype=np.float32)
    # a seller may list tens of thousands
    size = max(1, _AT_ONCE // max(1, left.nnz))
    for start in range(0, len(own), size):
        piece = slice(start, start + size)
        dense[:, piece] = product(left, _by_word(vectors[own[piece]], words))
    return dense


def _by_word(matrix: Rows, words: IntArray) -> Rows:
    """Transposed, of these columns alone, which ascend: (words, rows of matrix)."""
    code, is_wanted = find_sorted(words, matrix.indices)
    order = np.flatnonzero(is_wanted)
    order = order[np.argsort(code[order], kind="stable")]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(code[order], minlength=len(words)))])
    return Rows(indptr, owners(matrix)[order], matrix.data[order], (len(words), matrix.shape[0]))


def row_sums(matrix: "Sparse", values: FloatArray) -> FloatArray:
    """(rows,) float32 sums of the values, one for each entry, of every row."""
    sums = np.zeros(matrix.shape[0], dtype=np.float32)
    np.add.at(sums, owners(matrix), values)
    return sums


def entries_at(matrix: "Sparse", rows: IntArray, cols: IntArray) -> FloatArray:
    """(pairs,) float32 weights of the entries (rows[p], cols[p]), 0 where there is none."""
    if not len(rows):
        # at no places scipy gives no array but a matrix
        return np.zeros(0, dtype=np.float32)
    if not isinstance(matrix, Rows):
        return np.asarray(matrix[rows, cols], dtype=np.float32).ravel()
    asked, place = np.unique(rows, return_inverse=True)
    return matrix[asked].toarray()[place, cols]


def dots(matrix: "Sparse", left: IntArray, right: IntArray) -> FloatArray:
    """(pairs,) float32 dot products of the rows left[p] and right[p]."""
    if not isinstance(matrix, Rows):
        return np.asarray(matrix[left].multiply(matrix[right]).sum(axis=1)).ravel()
    found = np.zeros(len(left), dtype=np.float32)
    for row in set(left.tolist()):
        pairs = np.flatnonzero(left == row)
        own, others = matrix[np.array([row])], matrix[right[pairs]]
        at, is_shared = find_sorted(own.indices, others.indices)
        shared = np.flatnonzero(is_shared)
        lengths = np.bincount(owners(others)[shared], minlength=len(pairs))
        some = np.flatnonzero(lengths)
        if len(some):
            # each row's terms added up as scipy does it
            values, starts = others.data[shared] * own.data[at[shared]], np.cumsum(lengths)
            found[pairs[some]] = np.add.reduceat(values, (starts - lengths)[some])
    return found


def summed(matrix: Rows, rows: IntArray) -> DoubleArray:
    """(columns,) float64 sums of these rows' weights."""
    some = matrix[rows]
    sums = np.bincount(some.indices, weights=some.data, minlength=matrix.shape[1])
    return np.asarray(sums, dtype=np.float64)


def counted(matrix: Rows, rows: IntArray) -> IntArray:
    """(columns,) int64 how many of these rows have an entry there."""
    return np.bincount(matrix[rows].indices, minlength=matrix.shape[1])
