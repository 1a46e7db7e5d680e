"""Percentile bootstrap over queries: every metric of a method on the same resamples at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cprtools.evaluation.coding import FloatArray, IntArray

# resamples are drawn in blocks whose weights take about this many float64 numbers (128 MB)
_BLOCK = 1 << 24
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
    width = sum(len(block.measures) for block in blocks)
    result = np.full((resamples, width), np.nan)
    if not blocks or not num_queries:
        return result
    scales = [_scales(block.parts, num_queries) for block in blocks]
    # sums of whole numbers below 2^53 are exact in any order, so the bytes do not depend on how
    # many threads the matrix product takes
    wholes = [np.rint(b.parts * scale) for b, scale in zip(blocks, scales, strict=True)]
    start = 0
    for weights in _weights(num_queries, resamples, seed):
        stop, column = start + len(weights), 0
        drawn, rows = weights, np.arange(num_queries)
        for block, scale, parts in zip(blocks, scales, wholes, strict=True):
            if not np.array_equal(rows, block.rows):
                rows = block.rows
                drawn = weights if len(rows) == num_queries else np.take(weights, rows, axis=1)
            sums = drawn @ parts / scale
            result[start:stop, column : column + len(block.measures)] = block.combine(sums)
            column += len(block.measures)
        start = stop
    return result


def _scales(parts: FloatArray, num_queries: int) -> FloatArray:
    largest = np.abs(parts).max(axis=0, initial=0.0) * num_queries
    exponent = np.floor(51 - np.log2(np.maximum(largest, 1e-300)))
    return np.asarray(np.exp2(np.clip(exponent, -50, 51)))


def _weights(num_queries: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    generator = np.random.default_rng(seed)
    size = max(1, _BLOCK // num_queries)
    for start in range(0, resamples, size):
        weights = np.empty((min(size, resamples - start), num_queries))
        for row in weights:
            drawn = generator.integers(0, num_queries, num_queries, dtype=np.int32)
            row[:] = np.bincount(drawn, minlength=num_queries)
        yield weights


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
