"""From a score to a probability at equal prior: isotonic regression on held-out pairs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import SchemaError
from cprtools.ranking.scales import Scale

Array = npt.NDArray[np.floating]

_BINS = 200
# positives that each step of the curve is thought to hold beside its own, with as much weight of
# negatives: without them a step with none, or with nothing else, would claim to be certain
_PRIOR_POSITIVES = 0.5


@dataclass(frozen=True)
class Calibration:
    """A rising curve through (score, probability) points; linear between, flat outside."""

    scores: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]

    def apply(self, scores: Array) -> npt.NDArray[np.float64]:
        """Probabilities (rows,) of scores (rows,): never falling as the score rises."""
        # where the curve is steep, interpolation overshoots by its rounding error
        return np.round(np.interp(scores, self.scores, self.probabilities), 12)

    def moved(self, scale: Scale) -> "Calibration":
        """The same curve for scores at another scale."""
        points, point = np.unique(scale.apply(self.scores), return_inverse=True)
        means = np.bincount(point, self.probabilities) / np.bincount(point)
        return Calibration(points, np.maximum.accumulate(means))

    def table(self) -> pa.Table:
        """Member `calibration`."""
        return pa.table({"score": self.scores, "probability": self.probabilities})


def fit_calibration(scores: Array, labels: Array) -> Calibration:
    """The curve fitted to scores (rows,) and labels (rows,) 0 or 1, both kinds weighing the same.

    Affinity is the probability of a listing among retrieved candidates at a 1:1 prior, so positives
    together count as much as negatives together. Source: Zadrozny and Elkan, KDD 2002 (isotonic
    calibration); scores are first averaged in equal-mass bins, which keeps the curve smooth, and
    each step is drawn to one half, the more the fewer its positives (Jeffreys' prior).
    Raises ValueError where one kind is missing.
    """
    from scipy.optimize import isotonic_regression

    positives = float(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ValueError("calibration needs both positives and negatives")
    weights = np.where(labels > 0, 0.5 / positives, 0.5 / negatives)
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(weights[order])
    bins = np.minimum((mass * _BINS).astype(np.int64), _BINS - 1)
    # equal scores must share a bin, or a tie would get two probabilities
    ranked = scores[order]
    first = np.concatenate([[True], ranked[1:] != ranked[:-1]])
    bins = bins[np.maximum.accumulate(np.where(first, np.arange(len(ranked)), 0))]
    _, inverse = np.unique(bins, return_inverse=True)
    total = np.bincount(inverse, weights[order])
    mean_score = np.bincount(inverse, weights[order] * ranked) / total
    mean_label = np.bincount(inverse, weights[order] * labels[order]) / total
    curve = isotonic_regression(mean_label, weights=total).x
    # neighbours that differ by rounding alone are one step
    _, step = np.unique(np.round(curve, 12), return_inverse=True)
    mass, prior = np.bincount(step, total)[step], _PRIOR_POSITIVES * 0.5 / positives
    drawn = (curve * mass + prior) / (mass + 2 * prior)
    # a short step is drawn further than a long one next to it
    return Calibration(mean_score, isotonic_regression(drawn, weights=total).x)


def load_calibration(table: pa.Table) -> Calibration:
    """The stored curve. Raises SchemaError where it does not rise or leaves 0..1."""
    columns = [table.column(name) for name in ("score", "probability")]
    if any(column.null_count or column.type != pa.float64() for column in columns):
        raise SchemaError("the model's calibration is damaged")
    scores, probabilities = (column.to_numpy() for column in columns)
    rising = np.all(np.diff(scores) >= 0) and np.all(np.diff(probabilities) >= 0)
    if not (len(scores) and rising and probabilities.min() >= 0 and probabilities.max() <= 1):
        raise SchemaError("the model's calibration is damaged")
    return Calibration(scores, probabilities)
