"""Dense products of the same bits in any batch, in any place and on any number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cprtools.baselines.contract import FloatArray
from cprtools.tables.mapped import MatrixInFile

# columns of one product, some of BLAS's blocks, and those at either end that may be unlike others
_SIZES = ((960, 0), (320, 8))
# bytes of columns that are read at once from a file: the processor's cache holds them
_READ = 1 << 21
# multiplications from which on threads are worth starting
_MUCH = 1 << 26
# numbers of products that a buffer has
_BUFFERED = 1 << 16
# rows of one product, tallest first; a single row is like itself
_HEIGHTS = (96, 48, 24, 12, 8, 4, 1)
# rows of one product where there are as many: columns are laid out anew for each
_TALLER = (384, 192)
# rows of a product whose sides are swapped, least first: OpenBLAS lays out the second one anew
_FEW = (2, 4, 8)
# numbers that are repeated in a trial, a prime, so that no two rows are equal; and the shifts and
# factors of "lowbias32", github.com/skeeto/hash-prospector
_DRAWN = 65_537
_HASH = ((16, 0x7FEB352D), (15, 0x846CA68B))
# places by which rows and columns are turned to compare them with each other: no kernel's sizes
_TURN = (5, 3)
# rows by which a lower height is compared with a taller one
_TRIED = 12


class _Tile(NamedTuple):
    """Columns and rows of one product. What it says of `edge` columns at either end is not used."""

    width: int
    edge: int
    height: int

    @property
    def step(self) -> int:
        """Columns that a product is used for."""
        return self.width - 2 * self.edge

    def inside(self, num_columns: int) -> range:
        """Which tiles, one after the other, need nothing beyond the columns."""
        return range(-(-self.edge // self.step), max(num_columns - self.edge, 0) // self.step)


def stable_product(rows: FloatArray, columns: FloatArray | MatrixInFile) -> FloatArray:
    """Dot products of all rows with all columns, (len(rows), len(columns)) float32.

    rows: (num_rows, dim) float32; columns: (num_columns, dim) float32, in memory or in a file.
    BLAS picks its kernel, and with it the order of summation, by the size of a product and by the
    place in it. So products are made of tiles of one size, in which all rows and columns turn out
    alike on this machine, and of those of more or fewer rows that have the same bits; zeros fill up
    what is smaller. A query's scores are then independent of the queries it is asked with, and
    equal columns have equal scores.
    Raises ValueError where rows and columns are of different dimensions.
    """
    if rows.shape[1] != columns.shape[1]:
        raise ValueError(f"rows of {rows.shape[1]} dimensions, columns of {columns.shape[1]}")
    num_columns, dim = columns.shape
    result = np.empty((len(rows), num_columns), dtype=np.float32)
    with _one_thread_each() as allowed:
        tile = tile_for(dim)
        edge, step, inside = tile.edge, tile.step, tile.inside(num_columns)

        def fill(tiles: range) -> None:
            for some, part in _parts(columns, tile, tiles):
                _fill(rows, part, tile, result[:, some[0] * step : (some[-1] + 1) * step])

        # tiles for each thread; which of them computes a column makes no difference
        threads = allowed if len(rows) * columns.size >= _MUCH else 1
        size = max(-(-len(inside) // threads), 1)
        shares = [inside[at : at + size] for at in range(0, len(inside), size)]
        if threads == 1:
            for tiles in shares:
                fill(tiles)
        else:
            # imported here: most single answers do without
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, shares))
        for at in range(-(-num_columns // step)):
            if at not in inside:
                part = _surrounded(columns, at * step - edge, tile.width)
                _fill(rows, part, tile, result[:, at * step : (at + 1) * step])
    return result


def _parts(
    columns: FloatArray | MatrixInFile, tile: _Tile, tiles: range
) -> Iterator[tuple[range, FloatArray]]:
    """Tiles next to each other and the columns that they need, those of a file in turn."""
    edge, step = tile.edge, tile.step
    together, dim = len(tiles), columns.shape[1]
    buffer = None
    if isinstance(columns, MatrixInFile):
        together = min(together, max(_READ // (step * dim * columns.dtype.itemsize), 1))
        buffer = np.empty((together * step + 2 * edge, dim), dtype=columns.dtype)
    for at in range(0, len(tiles), together):
        some = tiles[at : at + together]
        start, stop = some[0] * step - edge, (some[-1] + 1) * step + edge
        yield some, _between(columns, start, stop, buffer)


def _between(
    columns: FloatArray | MatrixInFile, start: int, stop: int, buffer: FloatArray | None = None
) -> FloatArray:
    """Columns from start to stop; those of a file are read into the buffer."""
    if not isinstance(columns, MatrixInFile):
        return columns[start:stop]
    if buffer is None:
        buffer = np.empty((stop - start, columns.shape[1]), dtype=columns.dtype)
    return columns.read(start, buffer[: stop - start])


def _surrounded(columns: FloatArray | MatrixInFile, start: int, width: int) -> FloatArray:
    """Columns from `start` on, and zeros in the place of those that there are not."""
    found = np.zeros((width, columns.shape[1]), dtype=np.float32)
    part = _between(columns, max(start, 0), min(start + width, len(columns)))
    found[max(-start, 0) :][: len(part)] = part
    return found


def _fill(rows: FloatArray, columns: FloatArray, tile: _Tile, result: FloatArray) -> None:
    """Write the dot products, by tiles that overlap by their edges."""
    width, edge, step = tile.width, tile.edge, tile.step
    dim = columns.shape[1]
    count = (len(columns) - 2 * edge) // step
    # (count, dim, width)
    stacked = as_strided(
        columns, (count, width, dim), (step * columns.strides[0], *columns.strides)
    ).transpose(0, 2, 1)
    start = 0
    while start < len(rows):
        few = few_alike(dim, len(rows) - start)
        height = few or height_alike(dim, len(rows) - start)
        some = rows[start : start + height]
        full = np.zeros((height, dim), dtype=np.float32)
        full[: len(some)] = some
        out = result[start : start + height]
        start += height
        if not few and not edge and len(some) == height and out.shape[1] == count * step:
            np.matmul(full, stacked, out=_by_tile(out, step))
            continue
        # through a buffer that the processor's cache holds
        together = max(_BUFFERED // (height * width), 1)
        buffer = np.empty((together, height, width), dtype=np.float32)
        for at in range(0, count, together):
            those = stacked[at : at + together]
            into = buffer[: len(those)]
            found = _sides_swapped(full, those) if few else np.matmul(full, those, out=into)
            part = out[:, at * step : (at + len(those)) * step]
            used = min(step, part.shape[1])
            _by_tile(part, used)[:] = found[:, : len(some), edge : edge + used]


def _sides_swapped(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """The dot products, (..., rows, width), of columns (..., dim, width) times the rows."""
    result: FloatArray = np.matmul(columns.swapaxes(-1, -2), rows.T)
    return result.swapaxes(-1, -2)


def _by_tile(result: FloatArray, step: int) -> FloatArray:
    """The same numbers, (tiles, rows, step)."""
    shape = result.shape[1] // step, len(result), step
    return as_strided(result, shape, (step * result.itemsize, *result.strides))


@lru_cache(maxsize=1024)
def tile_for(dim: int) -> _Tile:
    """The tallest tile in which rows and columns have the same bits in any place.

    Found by trying: random numbers show in which order they were added up. With its kernel for AVX2
    OpenBLAS adds up differently in the first and last 8 of every 320 columns.
    """
    tiles = (_Tile(*size, height) for height in _HEIGHTS for size in _SIZES)
    return next((tile for tile in tiles if _turns(tile, dim)), _Tile(*_SIZES[0], 1))


def without_filling(num_rows: int) -> int:
    """The most of so many rows that are products of one height, or all where they are few."""
    height = next((height for height in (*_TALLER, _HEIGHTS[0]) if height <= num_rows), 1)
    return num_rows - num_rows % height


def height_alike(dim: int, num_rows: int) -> int:
    """Rows of the next product of so many, by a height at which they have the tile's bits.

    Of more than the tile the tallest that they fill, else the least that they fit in. Heights in
    between are not tried, since an answer of one query waits for this.
    """
    tile = tile_for(dim)
    taller = (height for height in _TALLER if num_rows >= height > tile.height)
    if height := next((height for height in taller if _is_alike(tile, dim, height)), 0):
        return height
    lower = (height for height in reversed(_HEIGHTS) if num_rows <= height < tile.height)
    return next((height for height in lower if _is_alike(tile, dim, height)), tile.height)


def few_alike(dim: int, num_rows: int) -> int:
    """Least height for so few rows at which a product with swapped sides has the bits, or 0."""
    tile = tile_for(dim)
    fit = (height for height in _FEW if num_rows <= height <= tile.height)
    return next((height for height in fit if _is_alike(tile, dim, height, is_swapped=True)), 0)


@lru_cache(maxsize=8)
def _tried(tile: _Tile, dim: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    some = np.resize(_some_numbers(), (tile.height + tile.width, dim))
    rows, columns = some[: tile.height], some[tile.height :]
    return rows, columns, rows @ columns.T


@cache
def _some_numbers() -> FloatArray:
    """(_DRAWN,) float32 between -0.5 and 0.5, whose sums are rounded differently in any order.

    By an integer hash, since numpy's generators take 7 ms to import.
    """
    bits = np.arange(_DRAWN, dtype=np.uint32)
    for shift, factor in _HASH:
        bits ^= bits >> np.uint32(shift)
        bits *= np.uint32(factor)
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2**-24) - np.float32(0.5)


def _turns(tile: _Tile, dim: int) -> bool:
    """Whether rows and columns have the same bits in any place of the tile but its edges."""
    rows, columns, expected = _tried(tile, dim)
    turned = np.roll(rows, _TURN[0], axis=0) @ np.roll(columns, _TURN[1], axis=0).T
    used = slice(tile.edge + _TURN[1], tile.width - tile.edge)
    return np.array_equal(turned[:, used], np.roll(expected, _TURN, axis=(0, 1))[:, used])


@lru_cache(maxsize=1024)
def _is_alike(tile: _Tile, dim: int, height: int, *, is_swapped: bool = False) -> bool:
    """Whether a product of this height, its sides swapped or not, has the tile's bits."""
    rows, columns, expected = _tried(tile, dim)
    used = slice(tile.edge, tile.width - tile.edge)
    if height > tile.height:
        turned = np.resize(np.roll(rows, _TURN[0], axis=0), (height, dim))
        same = np.resize(np.roll(expected, _TURN[0], axis=0), (height, tile.width))
        return np.array_equal((turned @ columns.T)[:, used], same[:, used])
    product = _sides_swapped if is_swapped else np.matmul
    starts = range(0, min(max(height, _TRIED), tile.height) - height + 1, height)
    return all(
        np.array_equal(
            product(rows[at : at + height], columns.T)[:, used], expected[at : at + height, used]
        )
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
