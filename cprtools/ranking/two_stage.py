"""Two stages: retrieve candidates with several cheap sources, rank them by their evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import Problem, Recommender
from cprtools.baselines.rows import Rows
from cprtools.errors import SchemaError
from cprtools.ranking.calibration import Calibration, fit_calibration
from cprtools.ranking.evidence import EXPECTED, Evidence, Pairs, monotone_columns
from cprtools.ranking.trees import Trees, fit_trees
from cprtools.retrieval import Pool, top_k

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FitSources = Callable[[Problem], Mapping[str, Recommender]]
Progress = Callable[[str], None]

# memory of one block's dense scores, per source, in entries
_BLOCK_ENTRIES = 8_000_000
# log-odds that a known complement is ahead of a guess, beside the log of its count
_KNOWN_FIRST = 6.0
_POSITIVES_FOR_LARGE_TREES = 2000
# with fewer there is nothing for trees to divide, and the model's own order stays
_LEAST_POSITIVES, _LEAST_CANDIDATES = 5, 100


@dataclass(frozen=True)
class Settings:
    """How the second stage is fitted and applied."""

    per_source: int = 200
    """Candidates that each source retrieves per query."""
    max_queries: int = 2500
    """Queries at most whose candidates the ranker learns from."""
    calibration_depth: int = 100
    """Best candidates per query that the probability is a share of: a list's usual length."""
    num_trees: int = 150
    folds: int = 5


DEFAULT_SETTINGS = Settings()


@dataclass(frozen=True)
class Collected:
    """Retrieved candidates of queries with held-out pairs: what a ranker is fitted on."""

    features: FloatArray
    """(rows, features) float32."""
    counts: FloatArray
    """(rows,) float32 weight of the held-out pair, 0 where there is none."""
    groups: IntArray
    """(rows,) query of each row, ascending."""


@dataclass
class TwoStage:
    """The fitted sources, and the ranker over their evidence where there is one.

    `sources` start with the model itself: with no ranker its scores alone decide.
    """

    problem: Problem
    sources: Mapping[str, Recommender]
    trees: Trees | None = None
    calibration: Calibration | None = None
    """Of the final score: the ranker's, or without one the model's."""
    retrieval_calibration: Calibration | None = None
    """Of the model's own score, for answers that stop after retrieval."""
    settings: Settings = DEFAULT_SETTINGS
    pool: Pool = field(init=False)
    """The candidates that the sources score: all of the problem's, unless restricted."""

    def __post_init__(self) -> None:
        self.pool = Pool.all_of(self.problem.num_candidates)

    def restricted(self, pool: Pool) -> TwoStage:
        """The same stages where the candidates of the pool are all there are."""
        if len(pool.members) == len(self.pool.members):
            return self
        sources = {name: source.restricted(pool.members) for name, source in self.sources.items()}
        narrow = replace(self, sources=sources)
        narrow.pool = pool
        return narrow

    @property
    def model(self) -> Recommender:
        """The first source: the method that was asked for."""
        return next(iter(self.sources.values()))

    def lists(
        self, query_idx: IntArray, allowed: BoolArray, depth: int, *, use_ranker: bool = True
    ) -> list[tuple[IntArray, FloatArray]]:
        """For each query its best candidates and their scores, best first.

        allowed: (len(query_idx), pool) bool. A list holds at least `depth` candidates where as many
        are allowed: past those that were retrieved and ranked, the model's own order.
        """
        if self.trees is None or not use_ranker:
            own = self._checked(self.model.score(query_idx))
            masked = np.where(allowed, own, -np.inf).astype(np.float32)
            best, scores = top_k(masked, min(depth, masked.shape[1]))
            return [
                (self.pool.members[row[row >= 0]], values[row >= 0])
                for row, values in zip(best, scores, strict=True)
            ]
        pairs = self.evidence_block(query_idx, allowed)
        scores = self._rank(self.trees, pairs)
        order = np.lexsort((pairs.cols, -scores, pairs.rows))
        bounds = np.searchsorted(pairs.rows, np.arange(len(query_idx) + 1))
        ranked = [(pairs.cols[order[a:b]], scores[order[a:b]]) for a, b in pairwise(bounds)]
        return self._fill(query_idx, allowed, depth, ranked)

    def _checked(self, scores: FloatArray) -> FloatArray:
        """The scores; of a model in memory the vectors were checked as it was opened.

        Raises SchemaError where they hold NaN or infinity.
        """
        if isinstance(self.problem.matrix, Rows) and not np.isfinite(scores).all():
            raise SchemaError("the model is damaged: its vectors hold NaN or infinity")
        return scores

    def _known_scores(self, query_idx: IntArray) -> dict[str, FloatArray]:
        """Counts of known complements, -inf elsewhere: they are retrieved, too, where allowed."""
        if not self.problem.is_square:
            return {}
        counts = self.problem.matrix[query_idx].toarray()
        return {"known": np.where(counts > 0, counts, -np.inf).astype(np.float32)}

    def _rank(self, trees: Trees, pairs: Pairs) -> FloatArray:
        """The trees' scores; where these learned from unknown pairs alone, known ones go first."""
        scores = trees.predict(pairs.features).astype(np.float32)
        if not self.problem.is_square:
            return at_equal_prior(scores, pairs.features, trees.names)
        if trees.start is None:
            count = pairs.features[:, trees.names.index("bought")]
            scores += np.where(count > 0, _KNOWN_FIRST + count, 0).astype(np.float32)
        return scores

    def _fill(
        self,
        query_idx: IntArray,
        allowed: BoolArray,
        depth: int,
        ranked: list[tuple[IntArray, FloatArray]],
    ) -> list[tuple[IntArray, FloatArray]]:
        for row, (cols, scores) in enumerate(ranked):
            missing = min(depth, int(allowed[row].sum())) - len(cols)
            if missing <= 0:
                continue
            rest = np.where(allowed[row], self.model.score(query_idx[row : row + 1])[0], -np.inf)
            rest[self.pool.place[cols]] = -np.inf
            more, _ = top_k(rest[None, :].astype(np.float32), missing)
            # below everything that was ranked, in falling order
            floor = float(scores.min(initial=0)) - 1 - np.arange(missing) * 1e-3
            ranked[row] = (
                np.concatenate([cols, self.pool.members[more[0]]]),
                np.concatenate([scores, floor.astype(np.float32)]),
            )
        return ranked

    def evidence_block(self, query_idx: IntArray, allowed: BoolArray) -> Pairs:
        """Retrieved candidates of a block of queries with their features."""
        scores = {
            name: self._checked(source.score(query_idx)) for name, source in self.sources.items()
        }
        known = self._known_scores(query_idx)
        rows, places = retrieve({**scores, **known}, allowed, self.settings.per_source)
        cols = self.pool.members[places]
        columns = self._evidence().features(query_idx, rows, cols, scores)
        names = self.trees.names if self.trees is not None else tuple(columns)
        features = np.column_stack([columns[name] for name in names]).astype(np.float32)
        return Pairs(query_idx, rows, cols, features)

    def _evidence(self) -> Evidence:
        if not hasattr(self, "_built"):
            self._built = Evidence(self.problem, self.sources, self.pool)
        return self._built

    def feature_names(self) -> tuple[str, ...]:
        """Names of the evidence columns, in order."""
        one = np.zeros(1, dtype=np.int64)
        scores = {name: source.score(one) for name, source in self.sources.items()}
        return tuple(self._evidence().features(one, one, self.pool.members[:1], scores))


def retrieve(
    scores: Mapping[str, FloatArray], allowed: BoolArray, per_source: int
) -> tuple[IntArray, IntArray]:
    """The union of each source's best allowed candidates: flat (rows, cols), sorted."""
    chosen = np.zeros(allowed.shape, dtype=bool)
    for dense in scores.values():
        masked = np.where(allowed, dense, -np.inf).astype(np.float32)
        best, values = top_k(masked, min(per_source, masked.shape[1]))
        rows = np.repeat(np.arange(len(best)), best.shape[1])
        found = (best.ravel() >= 0) & np.isfinite(values.ravel())
        chosen[rows[found], best.ravel()[found]] = True
    rows, cols = np.nonzero(chosen)
    return rows, cols


def query_blocks(query_idx: IntArray, num_candidates: int, sources: int) -> Iterator[IntArray]:
    """The queries in blocks whose dense scores fit in memory."""
    size = max(1, min(512, _BLOCK_ENTRIES // max(1, num_candidates * max(1, sources) // 4)))
    for start in range(0, len(query_idx), size):
        yield query_idx[start : start + size]


def candidate_pool(problem: Problem) -> Pool:
    """The candidates that may be returned at all."""
    if problem.is_candidate is None:
        return Pool.all_of(problem.num_candidates)
    return Pool.where(problem.is_candidate)


def known_mask(
    problem: Problem, query_idx: IntArray, pool: Pool, *, keep_known: bool = False
) -> BoolArray:
    """What of the pool may be learnt from as a candidate: not the query itself, nothing similar.

    Known pairs are no candidates either, unless `keep_known` says so. (len(query_idx), pool) bool.
    """
    allowed = np.ones((len(query_idx), len(pool.members)), dtype=bool)
    if not keep_known:
        pool.forbid(allowed, problem.matrix, query_idx)
    if problem.is_square:
        allowed[np.arange(len(query_idx)), query_idx] = False
        pool.forbid(allowed, problem.similar, query_idx)
    return allowed


def fit_two_stage(
    problem: Problem,
    inner: Problem,
    positives: csr_matrix,
    fit_sources: FitSources,
    *,
    settings: Settings = DEFAULT_SETTINGS,
    with_ranker: bool = True,
    keep_known: bool = False,
    seed: int = 0,
    say: Progress = lambda _: None,
) -> TwoStage:
    """Fit sources and ranker on the inner problem, then the sources again on everything.

    inner: the problem without the pairs of `positives` (queries x candidates, held out inside the
    training part). The ranker never sees a score that was fitted on the pair it judges.
    keep_known: pairs of the inner problem are candidates, since they may be bought again.
    """
    say("fitting on the training part without held-out pairs")
    stage = TwoStage(inner, fit_sources(inner), settings=settings)
    stage = stage.restricted(candidate_pool(inner))
    say("collecting evidence")
    found = collect_evidence(stage, positives, keep_known=keep_known, seed=seed)
    features, counts, groups = found.features, found.counts, found.groups
    names = stage.feature_names()
    # the model's own scores are already among the evidence
    at = names.index(next(iter(stage.sources)))
    what = "fitting the ranker" if with_ranker else "calibrating"
    say(f"{what} on {len(counts):,} candidates")
    fitted: dict[str, Any] = {"settings": settings}
    if (counts > 0).sum() >= _LEAST_POSITIVES and len(counts) >= _LEAST_CANDIDATES:
        fit = ranker_fitter(stage, features, counts, names, keep_known, seed)
        if not problem.is_square:
            labels = (counts > 0).astype(np.float32)
            own = _calibrate(features[:, at], labels, groups, settings.calibration_depth)
            fitted |= {"calibration": own, "retrieval_calibration": own}
            if with_ranker:
                scores = _scores_out_of_fold(fit, features, labels, groups, settings.folds, seed)
                scores = at_equal_prior(scores, features, names)
                curve = _calibrate(scores, labels, groups, settings.calibration_depth)
                fitted |= {"calibration": curve}
        if with_ranker:
            fitted |= {"trees": fit(np.ones(len(counts), dtype=bool))}
    say("fitting on the whole training part")
    return replace(TwoStage(problem, fit_sources(problem)), **fitted)


def at_equal_prior(
    scores: npt.NDArray[Any], features: FloatArray, names: tuple[str, ...]
) -> npt.NDArray[Any]:
    """Log-odds (rows,) without what they owe to the seller's number of listings.

    Who lists twice as much will add twice as much, so the odds before any evidence are in
    proportion to 1 + listings. With them no candidate of a small seller would ever be likely.
    The order of a seller's candidates stays.
    """
    return scores - features[:, names.index("query_degree")]


def _calibrate(
    scores: npt.NDArray[np.floating], labels: FloatArray, groups: IntArray, depth: int
) -> Calibration | None:
    """The curve over each query's `depth` best candidates; None where it cannot be fitted.

    Candidates further down are easy negatives: with them any threshold would look precise.
    """
    order = np.lexsort((-scores, groups))
    first = np.searchsorted(groups[order], groups[order])
    best = order[np.arange(len(order)) - first < depth]
    if not labels[best].any() or labels[best].all():
        return None
    return fit_calibration(scores[best], labels[best])


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
    features, counts, groups = [], [], []
    for block in query_blocks(queries, len(stage.pool.members), len(stage.sources)):
        allowed = known_mask(stage.problem, block, stage.pool, keep_known=keep_known)
        pairs = stage.evidence_block(block, allowed)
        features.append(pairs.features)
        held_out = np.asarray(positives[block[pairs.rows], pairs.cols])
        counts.append(held_out.ravel().astype(np.float32))
        groups.append(block[pairs.rows])
    if not features:
        empty = np.zeros(0, dtype=np.float32)
        return Collected(np.zeros((0, 1), dtype=np.float32), empty, np.zeros(0, dtype=np.int64))
    return Collected(np.concatenate(features), np.concatenate(counts), np.concatenate(groups))


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
    groups: IntArray,
    folds: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Scores of every row by trees that were fitted on other queries: an honest calibration."""
    fold = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % folds
    held_out = np.zeros(len(labels))
    for number in range(folds):
        rows = fold != number
        if labels[rows].any():
            held_out[~rows] = fit(rows).predict(features[~rows])
    return held_out
