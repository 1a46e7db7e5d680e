"""How the second stage learns: pairs held out, their evidence, the ranker and its calibration."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from cprtools.baselines.contract import Problem, Recommender
from cprtools.ranking.calibration import Calibration, fit_calibration
from cprtools.ranking.collecting import (
    Collected,
    DrawnAsNew,
    collect_evidence,
    evidence_of,
    usual_rows,
)
from cprtools.ranking.lines import Lines, fit_lines
from cprtools.ranking.listed import RELATIVE
from cprtools.ranking.ranker import enough_trees, ranker_fitter, scores_out_of_fold
from cprtools.ranking.scales import match_quantiles
from cprtools.ranking.trees import Trees
from cprtools.ranking.two_stage import (
    DEFAULT_SETTINGS,
    PRIOR,
    Settings,
    TwoStage,
    at_equal_prior,
    candidate_pool,
)
from cprtools.retrieval import first_rows

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FitSources = Callable[[Problem], Mapping[str, Recommender]]
Part = tuple[Problem, csr_matrix]
Progress = Callable[[str], None]

# with fewer there is nothing for trees to divide, and the model's own order stays
_LEAST_POSITIVES, _LEAST_CANDIDATES = 5, 100
_TOO_FEW = "too few pairs were held out to learn from: the model's own order stays"


def fit_two_stage(
    problem: Problem,
    parts: Iterable[Part],
    fit_sources: FitSources,
    *,
    settings: Settings = DEFAULT_SETTINGS,
    with_ranker: bool = True,
    keep_known: bool = False,
    drawn_as_new: DrawnAsNew | None = None,
    seed: int = 0,
    say: Progress = lambda _: None,
) -> TwoStage:
    """Fit sources and ranker on inner problems, then the sources again on everything.

    parts: the problem without some of its pairs, and these pairs (queries x candidates), as often
    as they are drawn: one draw does where it holds many. The ranker never sees a score that was
    fitted on the pair it judges.
    keep_known: pairs of the inner problem are candidates, since they may be bought again.
    drawn_as_new: candidates all of whose pairs the parts hold out.
    """
    if not with_ranker:
        # a curve needs fewer pairs than trees do
        parts = islice(parts, 1)
    drawn = _learn_from(parts, fit_sources, settings, keep_known, drawn_as_new, seed, say)
    learnt = _Learnt()
    if drawn is None:
        say(_TOO_FEW)
    else:
        learnt = _second_stage(drawn, with_ranker, keep_known, seed, say)
        # its sources are as large as those that come now
        drawn = replace(drawn, stage=None)
    say("fitting on the whole training part")
    whole = TwoStage(problem, fit_sources(problem), settings=settings)
    if drawn is not None and not problem.is_square:
        learnt = _at_scale_of(whole, learnt, drawn)
    return replace(
        whole,
        trees=learnt.trees,
        lines=learnt.lines,
        calibration=learnt.curve,
        retrieval_calibration=learnt.own_curve,
    )


@dataclass(frozen=True)
class _Drawn:
    """What was held out, and what is known of it."""

    stage: TwoStage | None
    """The sources of the last part."""
    found: Collected
    """The evidence of all parts."""
    queries: IntArray
    """(rows,) the query of each row."""
    usual: BoolArray
    """(rows,) whether the curve is of it."""
    weights: FloatArray
    """(rows,) what each counts for the ranker, beside its count."""

    @property
    def is_enough(self) -> bool:
        """Whether there is something for trees to divide."""
        num_positives = int((self.found.counts > 0).sum())
        return num_positives >= _LEAST_POSITIVES and len(self.queries) >= _LEAST_CANDIDATES


@dataclass(frozen=True)
class _Learnt:
    """What the second stage adds to its sources."""

    trees: Trees | None = None
    curve: Calibration | None = None
    """Of the final score."""
    own_curve: Calibration | None = None
    """Of the model's own score."""
    scores: npt.NDArray[np.floating] | None = None
    """(rows,) final scores of the candidates learnt from."""
    own_scores: npt.NDArray[np.floating] | None = None
    """(rows,) the model's own scores of them."""
    lines: Lines | None = None
    """Beside the trees, of complements."""


def _second_stage(
    drawn: _Drawn, with_ranker: bool, keep_known: bool, seed: int, say: Progress
) -> _Learnt:
    stage, found = drawn.stage, drawn.found
    what = "fitting the ranker" if with_ranker else "calibrating"
    say(f"{what} on {len(found.counts):,} candidates")
    if stage is None or not drawn.is_enough:
        say(_TOO_FEW)
        return _Learnt()
    fit = None
    if with_ranker:
        names = stage.feature_names()
        fit = ranker_fitter(
            stage, found.features, found.counts, names, keep_known, seed, drawn.weights
        )
    if not stage.problem.is_square:
        return _learn(stage, fit, found, drawn.queries, drawn.usual, seed, say)
    if fit is None:
        return _Learnt()
    learnt = _Learnt(fit(np.ones(len(drawn.queries), dtype=bool)))
    if keep_known:
        return learnt
    lines = fit_lines(found.features, found.counts, names, degree=PRIOR, seed=seed)
    return replace(learnt, lines=lines)


def _learn(
    stage: TwoStage,
    fit: Callable[[BoolArray], Trees] | None,
    found: Collected,
    queries: IntArray,
    usual: BoolArray,
    seed: int,
    say: Progress,
) -> _Learnt:
    """Sellers: the curves, and where there is something that fits it the ranker."""
    labels = (found.counts > 0).astype(np.float32)
    depth = stage.settings.calibration_depth
    names = stage.feature_names()

    def curve_of(scores: npt.NDArray[np.floating]) -> Calibration | None:
        return _calibrate(scores[usual], labels[usual], found.groups[usual], depth)

    # the model's own scores are already among the evidence
    own = found.features[:, names.index(next(iter(stage.sources)))]
    own_curve = curve_of(own)
    if fit is None:
        return _Learnt(None, own_curve, own_curve, own, own)
    staged = scores_out_of_fold(fit, found.features, labels, queries, stage.settings, seed)
    num_trees = enough_trees(staged, labels, queries, usual, depth)
    say(f"ranker: {num_trees} trees")
    scores = at_equal_prior(staged[num_trees], found.features, names)
    trees = fit(np.ones(len(queries), dtype=bool)).first(num_trees)
    return _Learnt(trees, curve_of(scores), own_curve, scores, own)


def _at_scale_of(whole: TwoStage, learnt: _Learnt, drawn: _Drawn) -> _Learnt:
    """What was learnt from a part of the listings, at the scale of evidence from all of them.

    Compared are candidates that are such in both, but for those that were drawn as new: of these
    something else is known now.
    """
    if learnt.scores is None or learnt.own_scores is None:
        return learnt
    found, queries = drawn.found, drawn.queries
    narrow = replace(whole, trees=learnt.trees).restricted(candidate_pool(whole.problem))
    names = narrow.feature_names() if learnt.trees is None else learnt.trees.names
    now = evidence_of(narrow, np.unique(queries))
    size = whole.problem.num_candidates
    rows = np.flatnonzero(drawn.usual)
    keys = queries[rows] * size + found.cols[rows], now.groups * size + now.cols
    _, then, at = np.intersect1d(*keys, return_indices=True)
    rows, features = rows[then], now.features[at]
    own = features[:, names.index(next(iter(whole.sources)))]
    own_scale = scale = match_quantiles(learnt.own_scores[rows], own)
    trees = learnt.trees
    if trees is not None:
        # counts mean the same in both: what is left out of a count is in proportion to it
        scales = {
            name: match_quantiles(found.features[rows, i], features[:, i])
            for i, name in enumerate(names)
            if name.removesuffix(RELATIVE) in whole.sources
        }
        trees = trees.moved(scales)
        scores = at_equal_prior(trees.predict(features), features, names)
        scale = match_quantiles(learnt.scores[rows], scores)
    return _Learnt(
        trees,
        None if learnt.curve is None else learnt.curve.moved(scale),
        None if learnt.own_curve is None else learnt.own_curve.moved(own_scale),
    )


def _learn_from(
    parts: Iterable[Part],
    fit_sources: FitSources,
    settings: Settings,
    keep_known: bool,
    drawn_as_new: DrawnAsNew | None,
    seed: int,
    say: Progress,
) -> _Drawn | None:
    """None where there is nothing to learn from: of a tiny shop everything may be held out."""
    stage = None
    collected: list[Collected] = []
    usual: list[BoolArray] = []
    num_pairs = 0
    for inner, positives in islice(parts, settings.max_parts):
        if not inner.matrix.nnz or not _can_be_enough(inner, positives):
            continue
        say("fitting on the training part without held-out pairs")
        stage = TwoStage(inner, fit_sources(inner), settings=settings)
        stage = stage.restricted(candidate_pool(inner))
        say("collecting evidence")
        found = collect_evidence(stage, positives, keep_known=keep_known, seed=seed)
        collected.append(found)
        usual.append(usual_rows(found, positives, drawn_as_new))
        num_pairs += int((found.counts > 0).sum())
        if not 0 < num_pairs < settings.enough_pairs:
            break
    if stage is None:
        return None
    found, queries = Collected.joined(collected)
    weights = np.ones(len(queries), dtype=np.float32)
    if drawn_as_new is not None:
        weights[drawn_as_new.which[found.cols] & (found.counts > 0)] = drawn_as_new.weight
    return _Drawn(stage, found, queries, np.concatenate(usual), weights)


def _can_be_enough(inner: Problem, positives: csr_matrix) -> bool:
    """Whether, were all candidates found, there would be something for trees to divide.

    Of complements several parts may add up to that. The sources of a tiny market would be fitted
    for nothing.
    """
    if inner.is_square:
        return True
    asked = np.flatnonzero(positives.getnnz(axis=1))
    candidates = len(asked) * candidate_pool(inner).size
    return bool(positives.nnz >= _LEAST_POSITIVES and candidates >= _LEAST_CANDIDATES)


def _calibrate(
    scores: npt.NDArray[np.floating], labels: FloatArray, groups: IntArray, depth: int
) -> Calibration | None:
    """The curve over each query's `depth` best candidates; None where it cannot be fitted.

    Candidates further down are easy negatives: with them any threshold would look precise.
    """
    best = first_rows(scores, groups, depth)
    if not labels[best].any() or labels[best].all():
        return None
    return fit_calibration(scores[best], labels[best])
