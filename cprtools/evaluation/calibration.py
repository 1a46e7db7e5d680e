"""What affinities are worth: error and resolution over equal-mass bins, precision at 0.5."""

import numpy as np
import pyarrow as pa

from cprtools.evaluation.coding import BoolArray, FloatArray, IntArray, Places, totals
from cprtools.evaluation.resampling import Block
from cprtools.evaluation.results import ALL

NUM_BINS = 10
THRESHOLD = 0.5


def equal_mass_bins(affinity: FloatArray, is_true: BoolArray, num_bins: int = NUM_BINS) -> IntArray:
    """The bin of each retrieved candidate, (rows,) int64 in [0, num_bins).

    True and false candidates weigh 1/2 in total each, the 1:1 prior that an affinity is defined
    at; bins hold equal weight as far as equal affinities, which share a bin, let them.
    """
    positives = int(is_true.sum())
    # whole numbers: a weight of 1/(2 positives) against 1/(2 negatives), both times 2 p n
    mass = np.where(is_true, len(is_true) - positives, positives).astype(np.int64)
    return _cut(affinity, mass, num_bins)


def _cut(values: FloatArray, mass: IntArray, num_bins: int) -> IntArray:
    """Bins of equal mass over the sorted values; equal ones share that of their mass's middle."""
    levels, level = np.unique(values, return_inverse=True)
    per_level = np.zeros(len(levels), dtype=np.int64)
    np.add.at(per_level, level, mass)
    before = np.cumsum(per_level) - per_level
    bins = num_bins * (2 * before + per_level) // max(2 * int(per_level.sum()), 1)
    return np.asarray(np.minimum(bins, num_bins - 1)[level], dtype=np.int64)


def calibration_blocks(
    seller: IntArray | Places, affinity: FloatArray, is_true: BoolArray, num_sellers: int
) -> list[Block]:
    """Calibration error, resolution and precision at the threshold, of retrieved candidates.

    seller, affinity, is_true: (rows,). Where all candidates are true, or all false, there are no
    error and no resolution; where none reaches the threshold there is no precision.
    """
    blocks = []
    if is_true.any() and not is_true.all():
        parts = _bin_sums(seller, affinity, is_true, num_sellers)
        rows = np.flatnonzero(np.bincount(seller, minlength=num_sellers))
        measures = ("CalibrationError", 0), ("CalibrationResolution", 0)
        blocks.append(Block(ALL, measures, rows, parts[rows], _of_bins))
    above = (affinity >= THRESHOLD).astype(np.float64)
    shown = totals(seller, above, num_sellers)
    right = totals(seller, above * is_true, num_sellers)
    blocks.append(Block.of_ratios(ALL, {("PrecisionAtThreshold", 0): right}, shown))
    return [block for block in blocks if len(block.rows)]


def _bin_sums(
    seller: IntArray | Places, affinity: FloatArray, is_true: BoolArray, num_sellers: int
) -> FloatArray:
    """(sellers, 4 * bins): true and false candidates, then their affinities, in each bin."""
    cell = seller * NUM_BINS + equal_mass_bins(affinity, is_true)
    true = is_true.astype(np.float64)
    columns = [
        totals(cell, values, num_sellers * NUM_BINS).reshape(num_sellers, NUM_BINS)
        for values in (true, 1 - true, affinity * true, affinity * (1 - true))
    ]
    return np.hstack(columns)


def _shares(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mass, true mass and affinity mass of each bin at the 1:1 prior, (resamples, bins) each."""
    true, false, of_true, of_false = np.split(sums, 4, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_true = 0.5 / true.sum(axis=1, keepdims=True)
        per_false = 0.5 / false.sum(axis=1, keepdims=True)
        right = true * per_true
        return right + false * per_false, right, of_true * per_true + of_false * per_false


def _of_bins(sums: FloatArray) -> FloatArray:
    """Error and resolution, (resamples, 2); NaN where all candidates are true, or all false."""
    mass, right, claimed = _shares(sums)
    error = np.abs(right - claimed).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # over all bins one half is true; of the uncertainty, 1/4, this is what the bins explain
        away = np.where(mass > 0, (right / mass - 0.5) ** 2, 0)
    resolution = 4 * (mass * away).sum(axis=1)
    found = np.stack([error, resolution], axis=1)
    return np.asarray(np.where(np.isfinite(error)[:, None], found, np.nan))


def calibration_table(affinity: FloatArray, is_true: BoolArray) -> pa.Table | None:
    """The bins: candidates, mean affinity and share of true ones at the 1:1 prior; None if none."""
    if not is_true.any() or is_true.all():
        return None
    one = np.zeros(len(affinity), dtype=np.int64)
    sums = _bin_sums(one, affinity, is_true, 1)
    mass, right, claimed = (part[0] for part in _shares(sums))
    rows = np.bincount(equal_mass_bins(affinity, is_true), minlength=NUM_BINS)
    used = np.flatnonzero(rows)
    return pa.table(
        {
            "bin": used + 1,
            "candidates": rows[used],
            "affinity": claimed[used] / mass[used],
            "observed": right[used] / mass[used],
        }
    )


def score_table(score: FloatArray, is_true: BoolArray) -> pa.Table | None:
    """Tenths of what was recommended by its score: candidates, mean score, share of true ones.

    A score is no probability: the shares tell whether a higher one means more. None without any.
    """
    known = ~np.isnan(score)
    score, is_true = score[known], is_true[known]
    if not len(score):
        return None
    place = _cut(score, np.ones(len(score), dtype=np.int64), NUM_BINS)
    rows = np.bincount(place, minlength=NUM_BINS)
    used = np.flatnonzero(rows)
    sums = totals(place, score, NUM_BINS), totals(place, is_true.astype(np.float64), NUM_BINS)
    return pa.table(
        {
            "bin": used + 1,
            "candidates": rows[used],
            "score": sums[0][used] / rows[used],
            "observed": sums[1][used] / rows[used],
        }
    )
