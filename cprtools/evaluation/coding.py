"""Ids as dense integers, and sets of (query, product) pairs as sorted int64 keys."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.tables.light import pc

IntArray = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
"""Codes of ids: half of the memory of what is largest; products of them need int64."""
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def vocabulary(*columns: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The distinct ids of some string columns, sorted, so that row order decides nothing."""
    parts = [c if isinstance(c, pa.ChunkedArray) else pa.chunked_array([c]) for c in columns]
    chunks = [pc.unique(part) for part in parts if len(part)]
    distinct = pc.unique(pa.chunked_array(chunks, type=pa.string()))
    return distinct.take(pc.sort_indices(distinct))


def codes(column: pa.ChunkedArray | pa.Array, known: pa.Array) -> IntArray:
    """The place of each id in `known`, (rows,) int64; -1 where it is not there."""
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    found = pc.index_in(column, value_set=known)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def find(keys: IntArray | Places, sorted_keys: IntArray) -> IntArray:
    """The place of each key in a sorted array without repeats, (rows,) int64; -1 if not there."""
    if not len(sorted_keys):
        return np.full(len(keys), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    place[sorted_keys[place] != keys] = -1
    return np.asarray(place, dtype=np.int64)


def contains(keys: IntArray | Places, sorted_keys: IntArray) -> BoolArray:
    """Whether each key is in a sorted array without repeats, (rows,) bool."""
    return np.asarray(find(keys, sorted_keys) >= 0)


def flags(table: pa.Table, name: str, missing: bool) -> BoolArray:
    """A bool column, nulls as False; a column that is not there is `missing` all over."""
    if name not in table.column_names:
        return np.full(table.num_rows, missing)
    column = table.column(name).combine_chunks().fill_null(False)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=bool)


def numbers(table: pa.Table, name: str, missing: float) -> FloatArray:
    """A number column as float64; `missing` for nulls and for a column that is not there."""
    if name not in table.column_names:
        return np.full(table.num_rows, missing)
    column = table.column(name).combine_chunks().cast(pa.float64(), safe=False).fill_null(missing)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def totals(group: IntArray | Places, values: FloatArray, num_groups: int) -> FloatArray:
    """The values added up over each group, (num_groups,) float64; both arguments are (rows,)."""
    return np.asarray(np.bincount(group, weights=values, minlength=num_groups), dtype=np.float64)
