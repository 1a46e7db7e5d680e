"""What is fitted on some queries and judged on the others: an honest choice, and honest scores."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from cprtools.ranking.lines import Lines, beside
from cprtools.ranking.trees import Trees
from cprtools.ranking.two_stage import Settings
from cprtools.retrieval import first_rows

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# shares of the trees at which a fit may end
_STAGES = (1 / 6, 1 / 3, 2 / 3, 1)


def fold_of(queries: IntArray, settings: Settings, seed: int) -> IntArray:
    """(rows,) the fold of each row: that of its query."""
    order = np.random.default_rng(seed).permutation(int(queries.max()) + 1)
    return np.asarray(order[queries] % settings.folds)


def scores_out_of_fold(
    fit: Callable[[BoolArray], Trees],
    features: FloatArray,
    labels: FloatArray,
    fold: IntArray,
    settings: Settings,
) -> dict[int, npt.NDArray[np.float64]]:
    """Scores of every row by trees that were fitted on other queries: an honest calibration.

    Those of several numbers of trees, by the number.
    """
    numbers = sorted({max(1, round(settings.num_trees * share)) for share in _STAGES})
    staged = {number: np.zeros(len(labels)) for number in numbers}
    for number in range(settings.folds):
        rows = fold != number
        if labels[rows].any():
            trees = fit(rows)
            for count, scores in staged.items():
                scores[~rows] = trees.first(count).predict(features[~rows])
    return staged


def enough_trees(
    staged: Mapping[int, npt.NDArray[np.float64]],
    labels: FloatArray,
    queries: IntArray,
    usual: BoolArray,
    depth: int,
) -> int:
    """How many trees to keep: all, unless with fewer the first `depth` clearly find more.

    staged: scores (rows,) out of fold by number of trees; labels (rows,) 0 or 1; queries (rows,);
    usual: (rows,) bool, the rows that count. Clearly: the mean difference of the queries' recalls
    is above its standard error. Where little can be learnt the last trees fit noise.
    """
    most = max(staged)
    recalls = {
        number: _recalls(scores[usual], labels[usual], queries[usual], depth)
        for number, scores in staged.items()
    }
    if not len(recalls[most]):
        return most
    best = max(sorted(staged, reverse=True), key=lambda number: recalls[number].mean())
    gains = recalls[best] - recalls[most]
    error = gains.std() / np.sqrt(len(gains))
    return best if gains.mean() > error else most


def _recalls(
    scores: npt.NDArray[np.float64], labels: FloatArray, queries: IntArray, depth: int
) -> npt.NDArray[np.float64]:
    """Recall among each query's first `depth`, of the queries with a positive."""
    best = first_rows(scores, queries, depth)
    size = int(queries.max(initial=-1)) + 1
    positives = np.bincount(queries, labels, minlength=size)
    hits = np.bincount(queries[best], labels[best], minlength=size)
    asked = positives > 0
    return np.asarray(hits[asked] / np.minimum(positives[asked], depth))


def lines_out_of_fold(
    fit: Callable[[BoolArray], Lines | None],
    features: FloatArray,
    odds: npt.NDArray[np.float64],
    fold: IntArray,
) -> tuple[Lines | None, npt.NDArray[np.float64]]:
    """The line that goes beside the trees, and the odds of both; odds: (rows,) of the trees.

    None, and the trees' own odds, where any part has too few positives for a line.
    """
    lines = fit(np.ones(len(fold), dtype=bool))
    joint = odds.copy()
    for number in np.unique(fold):
        rows = fold == number
        part = None if lines is None else fit(~rows)
        if part is None:
            return None, odds
        joint[rows] = beside(odds[rows], part.predict(features[rows]))
    return lines, joint
