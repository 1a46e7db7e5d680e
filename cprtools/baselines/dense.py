"""Dense products whose rows are the same bits in any batch and on any number of threads."""

import numpy as np

from cprtools.baselines.contract import FloatArray

_BLOCK = 64
# entries from which on BLAS has no kernel of its own for small products
_MANY = 1_000_000


def stable_product(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Dot products of all rows with all columns, (len(rows), len(columns)) float32.

    rows: (num_rows, dim) float32; columns: (num_columns, dim) float32.
    BLAS picks its kernel, and with it the order of summation, by the number of rows; blocks of one
    fixed height make a query's scores independent of the queries it is asked with.
    """
    result = np.empty((len(rows), len(columns)), dtype=np.float32)
    # few rows against many columns: a lower block of the same kernel is several times as fast
    is_lower = len(rows) <= _BLOCK // 2 and columns.size >= _MANY
    block_height = max(2, 1 << (len(rows) - 1).bit_length()) if is_lower else _BLOCK
    block = np.zeros((block_height, rows.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), block_height):
        height = min(block_height, len(rows) - start)
        block[:height] = rows[start : start + height]
        block[height:] = 0
        result[start : start + height] = (block @ columns.T)[:height]
    return result
