"""Percentile bootstrap over queries: every metric of a method on the same resamples at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cprtools.evaluation.coding import FloatArray, IntArray

# queries are drawn tile by tile, and weights held, in numbers that stay in a processor's cache
_TILE = 1 << 16
_BLOCK = 1 << 21
_LEVEL = (0.025, 0.975)

Combine = Callable[[FloatArray], FloatArray]


def ratios(sums: FloatArray) -> FloatArray:
    """Every column over the first one: (n, 1 + m) sums -> (n, m) values, NaN for nothing over 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(sums[:, :1] > 0, sums[:, 1:] / sums[:, :1], np.nan))


@dataclass(frozen=True)
class Block:
    """Metrics of one segment that are computed from sums over its queries.

    rows: (n,) places of the segment's queries; parts: (n, columns) float64, what each query adds;
    combine: (resamples, columns) sums -> (resamples, len(measures)) values.
    """

    segment: str
    measures: tuple[tuple[str, int], ...]
    rows: IntArray
    parts: FloatArray
    combine: Combine = ratios

    @classmethod
    def of_ratios(
        cls, segment: str, numerators: Mapping[tuple[str, int], FloatArray], denominator: FloatArray
    ) -> "Block":
        """Ratios of sums over one denominator; arrays are (queries,), those at 0 take no part."""
        rows = np.flatnonzero(denominator > 0)
        parts = np.empty((len(rows), len(numerators) + 1))
        parts[:, 0] = denominator[rows]
        for column, values in enumerate(numerators.values(), 1):
            parts[:, column] = values[rows]
        return cls(segment, tuple(numerators), rows, parts)

    def values(self) -> FloatArray:
        """The metrics on all queries as they are, (len(measures),) float64."""
        sums = self.parts.sum(axis=0, keepdims=True)
        return np.asarray(self.combine(sums)[0])


def replicate(blocks: list[Block], num_queries: int, resamples: int, seed: int) -> FloatArray:
    """The blocks' metrics on resampled queries, (resamples, all measures) float64.

    Each resample draws num_queries queries with replacement; the same arguments draw the same
    ones, which is what pairs two methods. NaN where a resample holds no query of a segment.
    """
    if not blocks or not num_queries or not resamples:
        return np.full((resamples, sum(len(block.measures) for block in blocks)), np.nan)
    scales = [_scales(block.parts, num_queries) for block in blocks]
    sums = [np.zeros((resamples, block.parts.shape[1])) for block in blocks]
    generator = np.random.default_rng(seed)
    for start, draws in _tiles(num_queries, resamples, generator):
        size = min(_TILE, num_queries - start)
        # sums of whole numbers below 2^53 are exact in any order, so the bytes do not depend on
        # how many threads the matrix product takes
        inside = [slice(*np.searchsorted(b.rows, (start, start + size))) for b in blocks]
        rows = [b.rows[part] - start for b, part in zip(blocks, inside, strict=True)]
        wholes = [
            np.rint(b.parts[part] * scale)
            for b, part, scale in zip(blocks, inside, scales, strict=True)
        ]
        for first, weights in _weights(size, draws, generator):
            _add_up(sums, weights, rows, wholes, first)
    values = [
        block.combine(total / scale)
        for block, total, scale in zip(blocks, sums, scales, strict=True)
    ]
    return np.concatenate(values, axis=1)


def _add_up(
    sums: list[FloatArray],
    weights: FloatArray,
    rows: list[IntArray],
    wholes: list[FloatArray],
    first: int,
) -> None:
    """Add a tile's weighted sums to the resamples from `first` on, one array to a block."""
    size = weights.shape[1]
    drawn, drawn_rows = weights, np.arange(size)
    for total, own, parts in zip(sums, rows, wholes, strict=True):
        if not np.array_equal(drawn_rows, own):
            drawn_rows = own
            drawn = weights if len(own) == size else np.take(weights, own, axis=1)
        total[first : first + len(weights)] += drawn @ parts


def _scales(parts: FloatArray, num_queries: int) -> FloatArray:
    # the largest magnitude without a copy of all of them
    largest = np.maximum(parts.max(axis=0, initial=0.0), -parts.min(axis=0, initial=0.0))
    exponent = np.floor(51 - np.log2(np.maximum(largest * num_queries, 1e-300)))
    return np.asarray(np.exp2(np.clip(exponent, -50, 51)))


def _tiles(
    num_queries: int, resamples: int, generator: np.random.Generator
) -> Iterator[tuple[int, IntArray]]:
    """The first query of each tile, and how many draws of each resample fall into it.

    Drawing first how many fall into a tile, then which, is drawing from all queries; what is looked
    up at random then fits the cache.
    """
    starts = np.arange(0, num_queries, _TILE)
    if len(starts) == 1:
        yield 0, np.full(resamples, num_queries)
        return
    shares = np.minimum(_TILE, num_queries - starts) / num_queries
    draws = generator.multinomial(num_queries, shares, size=resamples)
    for place, start in enumerate(starts):
        yield int(start), draws[:, place]


def _weights(
    size: int, draws: IntArray, generator: np.random.Generator
) -> Iterator[tuple[int, FloatArray]]:
    """How often each of `size` queries is drawn, (resamples, size) float64, some at a time."""
    step = max(1, _BLOCK // size)
    for first in range(0, len(draws), step):
        weights = np.empty((min(step, len(draws) - first), size))
        for row, number in zip(weights, draws[first:], strict=False):
            drawn = generator.integers(0, size, number, dtype=np.int32)
            row[:] = np.bincount(drawn, minlength=size)
        yield first, weights


def intervals(values: FloatArray, replicates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """95% percentile intervals, (m,) each; NaN without resamples or for a metric that is NaN.

    values: (m,); replicates: (resamples, m). An interval always holds its value: that matters for
    the calibration error, which is larger on resamples than on the queries themselves.
    """
    low = np.full(len(values), np.nan)
    high = np.full(len(values), np.nan)
    for column in range(len(values)):
        known = replicates[:, column]
        known = known[~np.isnan(known)]
        if len(known) and not np.isnan(values[column]):
            bounds = np.quantile(known, _LEVEL)
            low[column] = min(bounds[0], values[column])
            high[column] = max(bounds[1], values[column])
    return low, high
