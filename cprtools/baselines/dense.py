"""Dense products whose rows are the same bits in any batch and on any number of threads."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import numpy as np

from cprtools.baselines.contract import FloatArray

# columns of one product: some of BLAS's blocks
_WIDTH = 960
# bytes of columns that are copied at once where they lie at odd addresses: the processor's cache
# holds them
_COPIED = 1 << 21
# multiplications, and numbers of all columns to read, from which on threads are worth starting
_MUCH, _MANY = 1 << 26, 1 << 22
# rows of one product, tallest first; a single row is like itself
_HEIGHTS = (96, 48, 24, 12, 8, 4, 1)
TALLEST = _HEIGHTS[0]
"""Rows in multiples of this are taken without filling up."""
# places by which rows are turned to compare these with each other: no height of a kernel's
_TURN = 5
# rows by which a lower height is compared with a taller one
_TRIED = 48


def stable_product(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Dot products of all rows with all columns, (len(rows), len(columns)) float32.

    rows: (num_rows, dim) float32; columns: (num_columns, dim) float32.
    BLAS picks its kernel, and with it the order of summation, by the size of a product and by the
    place in it. So products are made of parts, always the same ones of the columns, and of heights
    at which all rows turn out alike on this machine; rows of zeros fill the last one up. A query's
    scores are then independent of the queries it is asked with. Columns at any byte of a file may
    be given: they are read through a small copy, since numpy multiplies only aligned numbers.
    Raises ValueError where rows and columns are of different dimensions.
    """
    if rows.shape[1] != columns.shape[1]:
        raise ValueError(f"rows of {rows.shape[1]} dimensions, columns of {columns.shape[1]}")
    num_rows, num_columns = len(rows), len(columns)
    whole = num_columns - num_columns % _WIDTH
    result = np.empty((num_rows, num_columns), dtype=np.float32)
    with _one_thread_each() as allowed:
        is_much = num_rows * columns.size >= _MUCH or columns.size >= _MANY
        threads = allowed if is_much else 1
        # a part for each thread; which of them computes a column makes no difference
        step = max(-(-whole // (threads * _WIDTH)), 1) * _WIDTH
        if not columns.flags.aligned:
            step = min(step, max(_COPIED // (_WIDTH * columns.strides[0]), 1) * _WIDTH)
        parts = [slice(start, min(start + step, whole)) for start in range(0, whole, step)]
        parts += [slice(whole, num_columns)] * (whole < num_columns)

        def fill(part: slice) -> None:
            some = np.require(columns[part], requirements="A")
            _fill(rows, some, min(_WIDTH, part.stop - part.start), result[:, part])

        if threads == 1:
            for part in parts:
                fill(part)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, parts))
    return result


def _fill(rows: FloatArray, columns: FloatArray, width: int, result: FloatArray) -> None:
    """Write the dot products, by products of `width` columns each."""
    dim = columns.shape[1]
    count = len(columns) // width
    # (count, dim, width)
    stacked = columns.reshape(count, width, dim).transpose(0, 2, 1)
    step = height_alike(width, dim, TALLEST)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        height = height_alike(width, dim, len(some))
        full = np.zeros((height, dim), dtype=np.float32)
        full[: len(some)] = some
        out = result[start : start + len(some)]
        if len(some) < height:
            out = np.empty((height, len(columns)), dtype=np.float32)
        by_part = np.lib.stride_tricks.as_strided(
            out,
            (count, height, width),
            (width * out.itemsize, out.strides[0], out.itemsize),
        )
        np.matmul(full, stacked, out=by_part)
        if len(some) < height:
            result[start : start + len(some)] = out[: len(some)]


@lru_cache(maxsize=1024)
def height_alike(width: int, dim: int, num_rows: int) -> int:
    """Least height for so many rows, or the tallest, at which a row has the same bits in any place.

    Found by trying: random numbers show in which order they were added up. Heights in between are
    not tried, since an answer of one query waits for this.
    """
    tallest = next((height for height in _HEIGHTS if _turns(width, dim, height)), 1)
    lower = (height for height in reversed(_HEIGHTS) if num_rows <= height < tallest)
    return next((height for height in lower if _is_alike(width, dim, height, tallest)), tallest)


@lru_cache(maxsize=8)
def _tried(width: int, dim: int) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(0)
    sizes = ((TALLEST, dim), (width, dim))
    rows, columns = (random.random(size, dtype=np.float32) - np.float32(0.5) for size in sizes)
    return rows, columns


@lru_cache(maxsize=1024)
def _turns(width: int, dim: int, height: int) -> bool:
    """Whether a row has the same bits in any place of a product of this height."""
    rows, columns = _tried(width, dim)
    turned = np.roll(rows[:height], _TURN, axis=0) @ columns.T
    return np.array_equal(turned, np.roll(rows[:height] @ columns.T, _TURN, axis=0))


def _is_alike(width: int, dim: int, height: int, tallest: int) -> bool:
    """Whether a product of this height has the bits of the tallest one's."""
    rows, columns = _tried(width, dim)
    expected = rows[:tallest] @ columns.T
    starts = range(0, min(max(height, _TRIED), tallest) - height + 1, height)
    return all(
        np.array_equal(rows[at : at + height] @ columns.T, expected[at : at + height])
        for at in starts
    )


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """BLAS computes each product by one thread; how many it may use otherwise."""
    blas = _blas()
    threads = max((library.num_threads for library in blas.lib_controllers), default=1)
    if threads == 1:
        yield 1
        return
    with blas.limit(limits=1):
        yield threads


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
