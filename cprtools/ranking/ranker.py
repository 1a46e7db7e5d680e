"""The ranker of the second stage: its trees, what they start from, and how many are kept."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from cprtools.ranking.evidence import EXPECTED, POPULARITY, monotone_columns
from cprtools.ranking.lines import fit_slope
from cprtools.ranking.trees import Trees, fit_trees
from cprtools.ranking.two_stage import PRIOR, Settings, TwoStage
from cprtools.retrieval import first_rows

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_POSITIVES_FOR_LARGE_TREES = 2000
# shares of the trees at which a fit may end
_STAGES = (1 / 6, 1 / 3, 2 / 3, 1)


def ranker_fitter(
    stage: TwoStage,
    features: FloatArray,
    counts: FloatArray,
    names: tuple[str, ...],
    keep_known: bool,
    seed: int,
    more: FloatArray | None = None,
) -> Callable[[BoolArray], Trees]:
    """Fits the ranker on some of the rows: what it returns takes a mask of them, (rows,) bool.

    features, counts: those of `collect_evidence`, or some of their columns, with their names.
    Pairs count as often as they were bought; more: (rows,) by what that is multiplied.
    """
    # of no use to complements, and in the way of those that start from a guess
    monotone = None if stage.problem.is_square else monotone_columns(names, stage.sources)
    labels = counts if keep_known else (counts > 0).astype(np.float32)
    # of listings and ready-made lists all counts are alike
    weights = None if keep_known or counts.max() <= 1 else np.maximum(counts, 1)
    if more is not None and (more != 1).any():
        weights = more if weights is None else weights * more

    def fit(rows: BoolArray) -> Trees:
        own, answers = features[rows], labels[rows]
        each = None if weights is None else weights[rows]
        start = {EXPECTED: 1.0} if keep_known else {}
        if not stage.problem.is_square:
            start = first_guess(own, answers, np.ones(len(own)) if each is None else each, names)
        return fit_trees(
            own,
            answers,
            names,
            num_trees=stage.settings.num_trees,
            # few positives cannot carry large trees
            num_leaves=15 if (counts > 0).sum() >= _POSITIVES_FOR_LARGE_TREES else 7,
            monotone=monotone,
            weights=each,
            start=start,
            of_counts=keep_known,
            seed=seed,
        )

    return fit


def first_guess(
    features: FloatArray,
    labels: FloatArray,
    each: npt.NDArray[np.floating],
    names: tuple[str, ...],
) -> dict[str, float]:
    """What the trees of sellers correct: a candidate's odds by the seller's size and popularity.

    In trees alone popular products fall into a few leaves, and where a listing follows popularity
    these are the first of most sellers. each: (rows,) what a row counts.
    """
    # the seller's size is what `at_equal_prior` takes off again: trees learn nothing but evidence
    guess = {PRIOR: 1.0}
    if POPULARITY in names:
        values, size = (features[:, names.index(name)] for name in (POPULARITY, PRIOR))
        slope, error = fit_slope(values, labels > 0, each, size)
        # what is not clear is for the trees, and that the less popular is likelier among what other
        # evidence found
        guess[POPULARITY] = max(slope - 2 * error, 0.0)
    return guess


def scores_out_of_fold(
    fit: Callable[[BoolArray], Trees],
    features: FloatArray,
    labels: FloatArray,
    queries: IntArray,
    settings: Settings,
    seed: int,
) -> dict[int, npt.NDArray[np.float64]]:
    """Scores of every row by trees that were fitted on other queries: an honest calibration.

    Those of several numbers of trees, by the number.
    """
    folds = settings.folds
    fold = np.random.default_rng(seed).permutation(int(queries.max()) + 1)[queries] % folds
    numbers = sorted({max(1, round(settings.num_trees * share)) for share in _STAGES})
    staged = {number: np.zeros(len(labels)) for number in numbers}
    for number in range(folds):
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
