"""Two stages: retrieve candidates with several cheap sources, rank them by their evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import Problem, Recommender
from cprtools.baselines.dense import without_filling
from cprtools.baselines.rows import Rows, owners
from cprtools.errors import SchemaError
from cprtools.ranking.calibration import Calibration
from cprtools.ranking.evidence import REVERSE, Evidence, Pairs
from cprtools.ranking.lines import Lines, beside
from cprtools.ranking.trees import Trees
from cprtools.retrieval import Pool, first_rows, top_k

if TYPE_CHECKING:
    from cprtools.baselines.rows import Sparse

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# memory of one block's dense scores, per source, in entries
_BLOCK_ENTRIES = 16_000_000
# log of 1 + the seller's listings: to this the odds of a candidate before any evidence are in
# proportion
PRIOR = "query_degree"
# log-odds that a known complement is ahead of a guess, beside the log of its count
_KNOWN_FIRST = 6.0


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
    enough_pairs: int = 1000
    """With fewer held-out pairs among the candidates, others are held out as well."""
    max_parts: int = 4
    """Times at most that pairs are held out, and sources fitted without them."""


DEFAULT_SETTINGS = Settings()


@dataclass(frozen=True)
class Explained:
    """What each piece of evidence adds to the ranker's scores of some candidates of one query.

    `base` and a row of `added` add up to the score.
    """

    names: tuple[str, ...]
    base: float
    values: FloatArray
    """(candidates, names) float32 evidence."""
    added: npt.NDArray[np.float64]
    """(candidates, names) log-odds; of trees of counts, logs of the expected count."""
    is_ranked: BoolArray
    """(candidates,) False for what was not retrieved and fills the list up."""


@dataclass
class TwoStage:
    """The fitted sources, and the ranker over their evidence where there is one.

    `sources` start with the model itself: with no ranker its scores alone decide.
    """

    problem: Problem
    sources: Mapping[str, Recommender]
    trees: Trees | None = None
    lines: Lines | None = None
    """Beside the trees; complements that nobody has bought yet alone."""
    calibration: Calibration | None = None
    """Of the final score: the ranker's, or without one the model's."""
    retrieval_calibration: Calibration | None = None
    """Of the model's own score, for answers that stop after retrieval."""
    settings: Settings = DEFAULT_SETTINGS
    scored: InitVar[Pool | None] = None
    pool: Pool = field(init=False)
    """The candidates that the sources score: `scored`, or all of the problem's. `replace` does not
    keep it."""

    def __post_init__(self, scored: Pool | None) -> None:
        # millions of numbers, where only a part is scored: not made in vain
        self.pool = Pool.all_of(self.problem.num_candidates) if scored is None else scored

    def restricted(self, pool: Pool) -> TwoStage:
        """The same stages where the candidates of the pool are all there are."""
        if len(pool.members) == len(self.pool.members):
            return self
        sources = {name: source.restricted(pool.members) for name, source in self.sources.items()}
        return replace(self, sources=sources, scored=pool)

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
            best, scores = self.model.best(query_idx, min(depth, allowed.shape[1]), allowed)
            self._checked(scores[best >= 0])
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

    def _linked(self, query_idx: IntArray) -> tuple[Sparse, ...]:
        """Complements: the pairs known from each query, towards it, and of late, by their rows."""
        if not self.problem.is_square:
            return ()
        known = (self.problem.matrix, self.problem.towards, self.problem.recent)
        return tuple(pairs[query_idx] for pairs in known if pairs is not None)

    def _rank(self, trees: Trees, pairs: Pairs) -> FloatArray:
        """The ranker's scores; where it learned from unknown pairs alone, known ones go first."""
        features = self._as_learnt(trees, pairs.features)
        odds = trees.predict(features)
        if self.lines is not None:
            odds = beside(odds, self.lines.predict(features))
        scores = odds.astype(np.float32)
        if not self.problem.is_square:
            return at_equal_prior(scores, pairs.features, trees.names)
        if not trees.start:
            scores += known_first(pairs.features, trees.names)
        return scores

    def _as_learnt(self, trees: Trees, features: FloatArray) -> FloatArray:
        """The evidence as the ranker met it: of unknown pairs alone, where it learned from those.

        There a known reverse speaks against a pair that is not known, and pairs were held out with
        both directions. Of a pair that is known in both it would speak against what it is.
        """
        if not self.problem.is_square or trees.start:
            return features
        known = features[:, trees.names.index("bought")] > 0
        if not known.any():
            return features
        features = features.copy()
        for name in REVERSE:
            features[known, trees.names.index(name)] = 0
        return features

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
            rest = allowed[row : row + 1].copy()
            rest[0, self.pool.places(cols)] = False
            more, _ = top_k(self.model.score(query_idx[row : row + 1]), missing, rest)
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
        linked = self._linked(query_idx)
        rows, places = retrieve(scores, allowed, self.settings.per_source, linked)
        return self._with_features(query_idx, rows, self.pool.members[places], scores)

    def _with_features(
        self, query_idx: IntArray, rows: IntArray, cols: IntArray, scores: Mapping[str, FloatArray]
    ) -> Pairs:
        columns = self._evidence().features(query_idx, rows, cols, scores)
        names = self.trees.names if self.trees is not None else tuple(columns)
        if missing := [name for name in names if name not in columns]:
            raise SchemaError(f"the model's ranker needs evidence that it lacks: {missing[0]}")
        features = np.column_stack([columns[name] for name in names]).astype(np.float32)
        return Pairs(query_idx, rows, cols, features)

    def explain(
        self, query: int, cols: IntArray, ranked: FloatArray, *, use_ranker: bool = True
    ) -> Explained | None:
        """What the ranker's scores of these candidates are made of; None where none ranks.

        ranked: (len(cols),) float32, as `lists` gave them.
        Raises SchemaError where the trees are those of an earlier version.
        """
        if self.trees is None or not use_ranker:
            return None
        query_idx = np.array([query], dtype=np.int64)
        scores = {name: source.score(query_idx) for name, source in self.sources.items()}
        pairs = self._with_features(query_idx, np.zeros(len(cols), np.int64), cols, scores)
        features = self._as_learnt(self.trees, pairs.features)
        base, added = self.trees.contributions(features)
        if self.lines is not None and len(cols):
            own, more = self.lines.contributions(features)
            base, added = beside(base, float(own[0])), beside(added, more)
        names = self.trees.names
        if not self.problem.is_square:
            added[:, names.index(PRIOR)] += at_equal_prior(0.0, pairs.features, names)
        elif not self.trees.start:
            added[:, names.index("bought")] += known_first(pairs.features, names)
        # what fills a list up follows the model's own order
        is_ranked = self._rank(self.trees, pairs) == ranked
        return Explained(names, base, pairs.features, added, is_ranked)

    def _evidence(self) -> Evidence:
        if not hasattr(self, "_built"):
            kind = Evidence
            if self.problem.is_square and isinstance(self.problem.matrix, Rows):
                from cprtools.ranking.evidence_in_place import EvidenceInPlace

                kind = EvidenceInPlace
            self._built = kind(self.problem, self.sources, self.pool)
        return self._built

    def feature_names(self) -> tuple[str, ...]:
        """Names of the evidence columns, in order."""
        one = np.zeros(1, dtype=np.int64)
        scores = {name: source.score(one) for name, source in self.sources.items()}
        return tuple(self._evidence().features(one, one, self.pool.members[:1], scores))


def retrieve(
    scores: Mapping[str, FloatArray],
    allowed: BoolArray,
    per_source: int,
    linked: Sequence[Sparse] = (),
) -> tuple[IntArray, IntArray]:
    """The union of each source's best allowed candidates: flat (rows, cols), sorted.

    linked: (queries, candidates) each, whose largest entries are candidates as well.
    """
    chosen = np.zeros(allowed.shape, dtype=bool)
    for dense in scores.values():
        best, values = top_k(dense, min(per_source, dense.shape[1]), allowed)
        rows = np.repeat(np.arange(len(best)), best.shape[1])
        found = (best.ravel() >= 0) & np.isfinite(values.ravel())
        chosen[rows[found], best.ravel()[found]] = True
    for pairs in linked:
        chosen[_largest_entries(pairs, allowed, per_source)] = True
    rows, cols = np.nonzero(chosen)
    return rows, cols


def _largest_entries(pairs: Sparse, allowed: BoolArray, number: int) -> tuple[IntArray, IntArray]:
    """Of each row the `number` largest allowed entries, ties to the first: (rows, cols)."""
    row, col = owners(pairs), pairs.indices
    free = allowed[row, col] & (pairs.data > 0)
    row, col, weight = row[free], col[free], pairs.data[free]
    best = first_rows(weight, row, number)
    return row[best], col[best]


def query_blocks(query_idx: IntArray, num_candidates: int, sources: int) -> Iterator[IntArray]:
    """The queries in blocks whose dense scores fit in memory."""
    most = max(1, min(512, _BLOCK_ENTRIES // max(1, num_candidates * max(1, sources) // 4)))
    size = without_filling(most)
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


def known_first(features: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """What puts known complements before guesses: (rows,) float32 log-odds."""
    count = features[:, names.index("bought")]
    return np.where(count > 0, _KNOWN_FIRST + count, 0).astype(np.float32)


def at_equal_prior(
    scores: npt.NDArray[Any] | float, features: FloatArray, names: tuple[str, ...]
) -> npt.NDArray[Any]:
    """Log-odds (rows,) without what they owe to the seller's number of listings.

    Who lists twice as much will add twice as much, so the odds before any evidence are in
    proportion to 1 + listings. With them no candidate of a small seller would ever be likely.
    The order of a seller's candidates stays.
    """
    return scores - features[:, names.index(PRIOR)]
