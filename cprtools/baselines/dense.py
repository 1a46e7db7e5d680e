"""Dense products whose rows are the same bits in any batch and on any number of threads."""

import numpy as np

from cprtools.baselines.contract import FloatArray

TILE = 64
"""Heights that are no multiple of this are filled up: those of BLAS's own tiles divide it."""
# BLAS puts the columns in its own order once per product: taller ones pay for that more rarely
_HEIGHT = 512
# but small products have kernels of their own: multiplications of a tile that surely is none
_LARGE = 1 << 24
# longer sums are divided, by BLAS in another way for each number of threads
_DEPTH = 256
# entries from which on BLAS has no kernel of its own for small products of few rows
_MANY = 1_000_000


def stable_product(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Dot products of all rows with all columns, (len(rows), len(columns)) float32.

    rows: (num_rows, dim) float32; columns: (num_columns, dim) float32.
    BLAS picks its kernel, and with it the order of summation, by what is left over from whole
    tiles; rows of zeros that fill the last tile make a query's scores independent of the queries
    it is asked with.
    """
    dim = rows.shape[1]
    tile = TILE
    if len(rows) <= TILE // 2 and columns.size >= _MANY:
        # few rows against many columns: a lower tile of the same kernel is several times as fast
        tile = max(2, 1 << (len(rows) - 1).bit_length())
    padded = np.zeros((-(-len(rows) // tile) * tile, dim), dtype=np.float32)
    padded[: len(rows)] = rows
    result = np.empty((len(padded), len(columns)), dtype=np.float32)
    height = _HEIGHT if TILE * columns[:, :_DEPTH].size > _LARGE else tile
    for start in range(0, len(padded), height):
        part = slice(start, start + height)
        np.matmul(padded[part, :_DEPTH], columns[:, :_DEPTH].T, out=result[part])
        for deep in range(_DEPTH, dim, _DEPTH):
            further = slice(deep, deep + _DEPTH)
            result[part] += padded[part, further] @ columns[:, further].T
    return result[: len(rows)]
