"""How the second stage learns: pairs held out, their evidence, the ranker and its calibration."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from cprtools.baselines.contract import Problem, Recommender
from cprtools.ranking.calibration import Calibration, fit_calibration
from cprtools.ranking.evidence import EXPECTED, monotone_columns
from cprtools.ranking.trees import Trees, fit_trees
from cprtools.ranking.two_stage import (
    DEFAULT_SETTINGS,
    Settings,
    TwoStage,
    at_equal_prior,
    candidate_pool,
    known_mask,
    query_blocks,
)

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FitSources = Callable[[Problem], Mapping[str, Recommender]]
Part = tuple[Problem, csr_matrix]
Progress = Callable[[str], None]

_POSITIVES_FOR_LARGE_TREES = 2000
# shares of the trees at which a fit may end
_STAGES = (1 / 6, 1 / 3, 2 / 3, 1)
# with fewer there is nothing for trees to divide, and the model's own order stays
_LEAST_POSITIVES, _LEAST_CANDIDATES = 5, 100


@dataclass(frozen=True)
class Collected:
    """Retrieved candidates of queries with held-out pairs: what a ranker is fitted on."""

    features: FloatArray
    """(rows, features) float32."""
    counts: FloatArray
    """(rows,) float32 weight of the held-out pair, 0 where there is none."""
    groups: IntArray
    """(rows,) query of each row, ascending."""
    cols: IntArray
    """(rows,) candidate of each row."""

    @classmethod
    def joined(cls, parts: "list[Collected]") -> "tuple[Collected, IntArray]":
        """One after the other, groups numbered on, and the (rows,) query of each row."""
        # a part without candidates does not know how many features there are
        parts = [part for part in parts if len(part.groups)] or parts[:1]
        queries = [part.groups for part in parts]
        step = max(int(found.max(initial=-1)) for found in queries) + 1
        groups = np.concatenate([found + i * step for i, found in enumerate(queries)])
        features = np.concatenate([part.features for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        cols = np.concatenate([part.cols for part in parts])
        return cls(features, counts, groups, cols), np.concatenate(queries)


def fit_two_stage(
    problem: Problem,
    parts: Iterable[Part],
    fit_sources: FitSources,
    *,
    settings: Settings = DEFAULT_SETTINGS,
    with_ranker: bool = True,
    keep_known: bool = False,
    not_in_curve: BoolArray | None = None,
    seed: int = 0,
    say: Progress = lambda _: None,
) -> TwoStage:
    """Fit sources and ranker on inner problems, then the sources again on everything.

    parts: the problem without some of its pairs, and these pairs (queries x candidates), as often
    as they are drawn: one draw does where it holds many. The ranker never sees a score that was
    fitted on the pair it judges.
    keep_known: pairs of the inner problem are candidates, since they may be bought again.
    not_in_curve: (candidates,) bool, those that the ranker learns from, but that are not what
    candidates look like where it is used: the calibration leaves them out.
    """
    if not with_ranker:
        # a curve needs fewer pairs than trees do
        parts = islice(parts, 1)
    stage, found, queries = _learn_from(parts, fit_sources, settings, keep_known, seed, say)
    features, counts, groups = found.features, found.counts, found.groups
    names = stage.feature_names()
    # the model's own scores are already among the evidence
    at = names.index(next(iter(stage.sources)))
    what = "fitting the ranker" if with_ranker else "calibrating"
    say(f"{what} on {len(counts):,} candidates")
    fitted: dict[str, Any] = {"settings": settings}
    num_trees = settings.num_trees
    if (counts > 0).sum() >= _LEAST_POSITIVES and len(counts) >= _LEAST_CANDIDATES:
        fit = ranker_fitter(stage, features, counts, names, keep_known, seed)
        if not problem.is_square:
            labels = (counts > 0).astype(np.float32)
            usual = (
                np.ones(len(counts), bool) if not_in_curve is None else ~not_in_curve[found.cols]
            )
            depth = settings.calibration_depth
            own = _calibrate(features[usual, at], labels[usual], groups[usual], depth)
            fitted |= {"calibration": own, "retrieval_calibration": own}
            if with_ranker:
                staged = _scores_out_of_fold(fit, features, labels, queries, settings, seed)
                num_trees = enough_trees(staged, labels, queries, usual, depth)
                say(f"ranker: {num_trees} trees")
                scores = at_equal_prior(staged[num_trees], features, names)
                curve = _calibrate(scores[usual], labels[usual], groups[usual], depth)
                fitted |= {"calibration": curve}
        if with_ranker:
            trees = fit(np.ones(len(counts), dtype=bool))
            fitted |= {"trees": trees.first(num_trees)}
    say("fitting on the whole training part")
    return replace(TwoStage(problem, fit_sources(problem)), **fitted)


def _learn_from(
    parts: Iterable[Part],
    fit_sources: FitSources,
    settings: Settings,
    keep_known: bool,
    seed: int,
    say: Progress,
) -> tuple[TwoStage, Collected, IntArray]:
    """The sources of the last part, and the evidence of all with the query of each row."""
    collected: list[Collected] = []
    num_pairs = 0
    for inner, positives in islice(parts, settings.max_parts):
        say("fitting on the training part without held-out pairs")
        stage = TwoStage(inner, fit_sources(inner), settings=settings)
        stage = stage.restricted(candidate_pool(inner))
        say("collecting evidence")
        collected.append(collect_evidence(stage, positives, keep_known=keep_known, seed=seed))
        num_pairs += int((collected[-1].counts > 0).sum())
        if not 0 < num_pairs < settings.enough_pairs:
            break
    return stage, *Collected.joined(collected)


def _calibrate(
    scores: npt.NDArray[np.floating], labels: FloatArray, groups: IntArray, depth: int
) -> Calibration | None:
    """The curve over each query's `depth` best candidates; None where it cannot be fitted.

    Candidates further down are easy negatives: with them any threshold would look precise.
    """
    best = _first_rows(scores, groups, depth)
    if not labels[best].any() or labels[best].all():
        return None
    return fit_calibration(scores[best], labels[best])


def _first_rows(scores: npt.NDArray[np.floating], groups: IntArray, depth: int) -> IntArray:
    """The rows of each group's `depth` highest scores, group by group."""
    order = np.lexsort((-scores, groups))
    first = np.searchsorted(groups[order], groups[order])
    return np.asarray(order[np.arange(len(order)) - first < depth])


def collect_evidence(
    stage: TwoStage, positives: csr_matrix, *, keep_known: bool = False, seed: int = 0
) -> Collected:
    """Evidence about the candidates of at most `max_queries` queries of `positives`."""
    queries = np.flatnonzero(np.diff(positives.indptr)).astype(np.int64)
    limit = stage.settings.max_queries
    if len(queries) > limit:
        # where pairs recur most purchases follow few queries: these weigh more, but not alone
        sums = np.asarray(positives[queries].sum(axis=1)).ravel()
        chances = np.sqrt(sums) / np.sqrt(sums).sum() if keep_known else None
        drawn = np.random.default_rng(seed).choice(queries, limit, replace=False, p=chances)
        queries = np.sort(drawn)
    features, counts, groups, cols = [], [], [], []
    for block in query_blocks(queries, len(stage.pool.members), len(stage.sources)):
        allowed = known_mask(stage.problem, block, stage.pool, keep_known=keep_known)
        pairs = stage.evidence_block(block, allowed)
        features.append(pairs.features)
        held_out = np.asarray(positives[block[pairs.rows], pairs.cols])
        counts.append(held_out.ravel().astype(np.float32))
        groups.append(block[pairs.rows])
        cols.append(pairs.cols)
    if not features:
        features, counts = [np.zeros((0, 1), np.float32)], [np.zeros(0, np.float32)]
        groups = cols = [np.zeros(0, np.int64)]
    return Collected(
        np.concatenate(features),
        np.concatenate(counts),
        np.concatenate(groups),
        np.concatenate(cols),
    )


def ranker_fitter(
    stage: TwoStage,
    features: FloatArray,
    counts: FloatArray,
    names: tuple[str, ...],
    keep_known: bool,
    seed: int,
) -> Callable[[BoolArray], Trees]:
    """Fits the ranker on some of the rows: what it returns takes a mask of them, (rows,) bool.

    features, counts: those of `collect_evidence`, or some of their columns, with their names.
    Pairs count as often as they were bought.
    """
    # of no use to complements, and in the way of those that start from a guess
    monotone = None if stage.problem.is_square else monotone_columns(names, stage.sources)
    start = EXPECTED if keep_known else None
    labels = counts if keep_known else (counts > 0).astype(np.float32)
    # of listings and ready-made lists all counts are alike
    weights = None if keep_known or counts.max() <= 1 else np.maximum(counts, 1)

    def fit(rows: BoolArray) -> Trees:
        return fit_trees(
            features[rows],
            labels[rows],
            names,
            num_trees=stage.settings.num_trees,
            # few positives cannot carry large trees
            num_leaves=15 if (counts > 0).sum() >= _POSITIVES_FOR_LARGE_TREES else 7,
            monotone=monotone,
            weights=None if weights is None else weights[rows],
            start=start,
            seed=seed,
        )

    return fit


def _scores_out_of_fold(
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
    best = _first_rows(scores, queries, depth)
    size = int(queries.max(initial=-1)) + 1
    positives = np.bincount(queries, labels, minlength=size)
    hits = np.bincount(queries[best], labels[best], minlength=size)
    asked = positives > 0
    return np.asarray(hits[asked] / np.minimum(positives[asked], depth))
