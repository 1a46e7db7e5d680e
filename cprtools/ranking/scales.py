"""What was fitted on a part of the listings is used with all of them: counts and scores are larger.

A product with 40 listings of the part has 50 of the whole, a factorisation of more listings gives
higher scores, and so on for most evidence. Thresholds and curves that were learnt at the one scale
are moved to the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """A rising map of values, linear between its points; beyond them the step stays as it is."""

    points: DoubleArray
    steps: DoubleArray

    def apply(self, values: DoubleArray) -> DoubleArray:
        """Where these values, rising, lie on the other scale: rising, too."""
        moved = values + np.interp(values, self.points, self.steps)
        # where the map is flat, rounding could let it fall
        return np.asarray(np.maximum.accumulate(moved))


def match_quantiles(before: npt.NDArray[np.floating], after: npt.NDArray[np.floating]) -> Scale:
    """The scale of values of the same candidates, (rows,) before and (rows,) after.

    Their quantiles are matched (Panofsky and Brier, 1968), not the values of each candidate: what
    is told of one may well change, what is told of all hardly does. Without rows nothing moves.
    """
    if not len(before):
        return Scale(np.zeros(1), np.zeros(1))
    points, place = np.unique(before.astype(np.float64), return_inverse=True)
    matched = np.bincount(np.sort(place), np.sort(after)) / np.bincount(place)
    return Scale(points, matched - points)
