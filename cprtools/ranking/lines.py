"""A logistic regression over the trees' evidence, beside them: it orders what they take for equal.

A forest gives the best candidates of a query few different answers; a line is smooth there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import SchemaError

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]

# of the line's log-odds in the score; the rest are the trees'
_SHARE = 1 / 3
# deviations from the mean at most: evidence has long tails
_FURTHEST = 8.0
# of each kind of query: with more the others tell nothing new; with fewer there is no line
_MOST_NEGATIVES, _LEAST_POSITIVES = 200_000, 100
_SMALLEST = np.finfo(np.float64).eps
_PENALTY = 1.0
# rows that are added up at once: their columns stay in the processor's cache
_BLOCK = 4096
_INTERCEPT = ""


@dataclass(frozen=True)
class Lines:
    """Two lines: of queries without known pairs of their own (row 0), and of those with some."""

    names: tuple[str, ...]
    """Feature names, in column order."""
    degree: str
    """The feature that is 0 where a query has no pairs."""
    mean: DoubleArray
    """(2, names) of the candidates learnt from."""
    deviation: DoubleArray
    """(2, names) above 0."""
    weight: DoubleArray
    """(2, names) log-odds for each deviation from the mean."""
    intercept: DoubleArray
    """(2,) log-odds."""

    def predict(self, features: FloatArray) -> DoubleArray:
        """Log-odds, (rows,) float64 of features (rows, len(names)) float32."""
        has_pairs = features[:, self.names.index(self.degree)] > 0
        result = np.empty(len(features))
        for kind, rows in enumerate((~has_pairs, has_pairs)):
            places = np.flatnonzero(rows)
            for start in range(0, len(places), _BLOCK):
                block = places[start : start + _BLOCK]
                result[block] = self._sum(np.ascontiguousarray(features[block].T), kind)
        return result

    def _sum(self, columns: FloatArray, kind: int) -> DoubleArray:
        """Column after column: the same bits for any number of rows, and four times as fast."""
        total = np.full(columns.shape[1], self.intercept[kind])
        parts = zip(columns, self.mean[kind], self.deviation[kind], self.weight[kind], strict=True)
        for values, mean, deviation, weight in parts:
            total += _far(values, mean, deviation) * weight
        return total

    def contributions(self, features: FloatArray) -> tuple[DoubleArray, DoubleArray]:
        """The intercept, (rows,), and what each feature adds, (rows, names), both float64."""
        has_pairs = features[:, self.names.index(self.degree)] > 0
        added = np.empty(features.shape)
        for kind, rows in enumerate((~has_pairs, has_pairs)):
            far = _far(features[rows], self.mean[kind], self.deviation[kind])
            added[rows] = far * self.weight[kind]
        return self.intercept[has_pairs.astype(np.int64)], added

    def tables(self) -> dict[str, pa.Table]:
        """Member `ranker_lines`, a row for each line and feature; the intercept's has no name."""
        columns: dict[str, list[Any]] = {
            name: [] for name in ("has_pairs", "feature", "mean", "deviation", "weight")
        }
        for kind in (0, 1):
            columns["has_pairs"] += [bool(kind)] * (len(self.names) + 1)
            columns["feature"] += [_INTERCEPT, *self.names]
            columns["mean"] += [0.0, *self.mean[kind].tolist()]
            columns["deviation"] += [1.0, *self.deviation[kind].tolist()]
            columns["weight"] += [float(self.intercept[kind]), *self.weight[kind].tolist()]
        return {"ranker_lines": pa.table(columns)}


def _far(values: npt.NDArray[Any], mean: Any, deviation: Any) -> DoubleArray:
    """Deviations from the mean, as far as they count."""
    return np.asarray(np.clip((values - mean) / deviation, -_FURTHEST, _FURTHEST))


def beside(of_trees: Any, of_lines: Any) -> Any:
    """Log-odds, or parts of them, of trees and lines together: numbers or arrays of one shape."""
    return of_trees + _SHARE * (of_lines - of_trees)


def load_lines(table: pa.Table, names: tuple[str, ...], degree: str) -> Lines:
    """The stored lines. Raises SchemaError where they are not of these features."""
    size = len(names) + 1
    numbers = [np.asarray(table.column(n), float) for n in ("mean", "deviation", "weight")]
    sound = table.column("feature").to_pylist() == [_INTERCEPT, *names] * 2 and degree in names
    if not sound or not np.isfinite(numbers).all() or (numbers[1] <= 0).any():
        raise SchemaError("the model's ranker is damaged")
    mean, deviation, weight = (values.reshape(2, size) for values in numbers)
    return Lines(names, degree, mean[:, 1:], deviation[:, 1:], weight[:, 1:], weight[:, 0])


def fit_lines(
    features: FloatArray,
    counts: FloatArray,
    names: tuple[str, ...],
    *,
    degree: str,
    seed: int = 0,
) -> Lines | None:
    """Logistic regressions with a quadratic penalty on standardised evidence.

    features (rows, len(names)) float32 without NaN; counts (rows,) as often as the held-out pair
    was bought, 0 where there is none: it counts as often. None where one of the two kinds of
    queries has too few held-out pairs among its candidates.
    """
    has_pairs = features[:, names.index(degree)] > 0
    found = []
    for kind in (~has_pairs, has_pairs):
        positives = np.flatnonzero(kind & (counts > 0))
        negatives = np.flatnonzero(kind & (counts <= 0))
        if len(positives) < _LEAST_POSITIVES or not len(negatives):
            return None
        drawn = negatives
        if len(negatives) > _MOST_NEGATIVES:
            random = np.random.default_rng(seed)
            drawn = random.choice(negatives, _MOST_NEGATIVES, replace=False)
        rows = np.sort(np.concatenate([positives, drawn]))
        is_true = counts[rows] > 0
        each = np.where(is_true, np.maximum(counts[rows], 1), len(negatives) / len(drawn))
        found.append(_fit_line(features[rows], is_true, each))
    return Lines(names, degree, *(np.stack(parts) for parts in zip(*found, strict=True)))


def fit_slope(
    values: FloatArray,
    is_true: npt.NDArray[np.bool_],
    each: npt.NDArray[np.floating],
    known: FloatArray,
) -> tuple[float, float]:
    """Log-odds for each unit of one feature, where others are known already; its standard error.

    values: (rows,) of it; is_true: (rows,) whether the pair was held out; each: (rows,) what a row
    counts; known: (rows,) the log-odds of the others, but for a constant. For the error rows are
    taken as independent.
    """
    mean, deviation, weight, intercept = _fit_line(values[:, None], is_true, each, known)
    line = np.column_stack([np.ones(len(values)), _far(values, mean, deviation)])
    share = _chance(line @ [intercept, weight[0]] + known)
    bend = line.T @ (line * (each * share * (1 - share))[:, None]) + np.diag([_SMALLEST, _PENALTY])
    error = np.sqrt(np.linalg.inv(bend)[1, 1])
    return float(weight[0] / deviation[0]), float(error / deviation[0])


def _fit_line(
    features: FloatArray,
    is_true: npt.NDArray[np.bool_],
    each: npt.NDArray[np.floating],
    known: FloatArray | float = 0.0,
) -> tuple[DoubleArray, DoubleArray, DoubleArray, DoubleArray]:
    """Mean, deviation and weight of every feature, and the intercept: the fields of `Lines`.

    known: (rows,) log-odds that are added to the line's.
    """
    from scipy.optimize import minimize

    values = features.astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation[deviation == 0] = 1.0
    values = _far(values, mean, deviation)

    def loss(line: DoubleArray) -> tuple[float, DoubleArray]:
        odds = values @ line[1:] + line[0] + known
        slope = each * (_chance(odds) - is_true)
        cost = (each * (np.logaddexp(0, odds) - is_true * odds)).sum()
        penalty = _PENALTY * (line[1:] ** 2).sum() / 2
        return cost + penalty, np.concatenate(
            [[slope.sum()], values.T @ slope + _PENALTY * line[1:]]
        )

    start = np.zeros(values.shape[1] + 1)
    # beside counts of 2**53 it rounds to 1, whose odds are infinite
    share = min((each * is_true).sum() / each.sum(), 1 - _SMALLEST)
    start[0] = np.log(share / (1 - share))
    line = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return mean, deviation, line[1:], line[0]


def _chance(odds: DoubleArray) -> DoubleArray:
    with np.errstate(over="ignore"):  # 1 / infinity is the 0 that is meant
        return np.asarray(1 / (1 + np.exp(-odds)))
