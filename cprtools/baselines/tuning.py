"""Choose settings on a validation part of the training pairs, one setting at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import FloatArray, IntArray, Problem, Recommender
from cprtools.baselines.sparse import canonical
from cprtools.retrieval import top_k

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DoubleArray = npt.NDArray[np.float64]
Settings = dict[str, Any]
ScoreRows = Callable[[IntArray], FloatArray]
_BLOCK = 128
# settings of more pairs than this are chosen on some of the queries
_MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class Validation:
    """Pairs taken out of a matrix to judge settings by."""

    train: csr_matrix
    """The matrix without the pairs held out."""
    held_out: csr_matrix
    """Pairs held out, rows of `queries` only."""
    queries: IntArray
    """Rows to measure, ascending."""
    k: int
    """Length of the list that is judged."""
    per_pair: bool
    """Whether pairs count alike (Hit@k), or rows do (Recall@k)."""
    keep_known: bool = False
    """Whether pairs of `train` may be found again, as in orders to come."""
    is_candidate: npt.NDArray[np.bool_] | None = None
    """(candidates,) what may be found at all; None: everything."""

    @cached_property
    def pool(self) -> IntArray:
        """(pool,) candidates that scores are of, ascending: what may be found at all."""
        if self.is_candidate is None:
            return np.arange(self.train.shape[1])
        return np.flatnonzero(self.is_candidate)

    @cached_property
    def _inside(self) -> tuple[csr_matrix, csr_matrix]:
        """The pool's columns of what is known and of what was held out."""
        if self.is_candidate is None:
            return self.train, self.held_out
        return self.train[:, self.pool], self.held_out[:, self.pool]

    def narrow(self, model: Recommender) -> Recommender:
        """The model with the candidates of the pool alone."""
        return model if self.is_candidate is None else model.restricted(self.pool)

    def measure(self, score: ScoreRows, *, by_weight: bool = False) -> float:
        """Hit@k over held-out pairs or Recall@k over rows, the pairs of `train` left out.

        by_weight: pairs count by their weight, as they do in the reported Hit@k.
        """
        return self.measure_each(lambda rows: [score(rows)], by_weight=by_weight)[0]

    def measure_each(
        self, score_each: Callable[[IntArray], Iterable[FloatArray]], *, by_weight: bool = False
    ) -> list[float]:
        """`measure` of several scores that are made together, in their order.

        Scores are of the pool's candidates; the arrays are written to.
        """
        hits, sizes = [], []
        for start in range(0, len(self.queries), _BLOCK):
            rows = self.queries[start : start + _BLOCK]
            truth = self._inside[1][rows].toarray().astype(np.float64)
            if not by_weight:
                truth = (truth > 0).astype(np.float64)
            hits.append([self._hits(rows, truth, scores) for scores in score_each(rows)])
            sizes.append(truth.sum(axis=1))
        size = np.concatenate(sizes)
        found = np.concatenate(hits, axis=1)  # (scores, queries)
        if self.per_pair:
            return [float(row.sum() / size.sum()) for row in found]
        return [float((row / np.minimum(self.k, size)).mean()) for row in found]

    def _hits(self, rows: IntArray, truth: DoubleArray, scores: FloatArray) -> DoubleArray:
        if not self.keep_known:
            scores[self._inside[0][rows].nonzero()] = -np.inf
        best, _ = top_k(scores, min(self.k, scores.shape[1]))
        found = np.take_along_axis(truth, np.maximum(best, 0), axis=1) * (best >= 0)
        return np.asarray(found.sum(axis=1))


def hold_out(
    problem: Problem, seed: int, share: float = 0.15, min_pairs: int = 5, max_rows: int = 4000
) -> Validation | None:
    """Take a share of the pairs of rows with at least `min_pairs` out, None where there are none.

    Complements: both directions of a pair go together, as in the split that is reported, and Hit@10
    is measured; sellers: Recall@100. At most `max_rows` rows are measured, drawn by the seed.
    A problem with `later` pairs names what is held out itself.
    """
    if problem.later is not None:
        return _hold_out_later(problem, seed, max_rows)
    known = canonical(problem.matrix)
    sizes = np.diff(known.indptr)
    rows = np.repeat(np.arange(known.shape[0]), sizes)
    random = np.random.default_rng([seed, 1])
    # a pair can be drawn by either of its directions, and takes the other one with it
    drawn = random.random(known.nnz) < (share / 2 if problem.is_square else share)
    chosen = drawn & (sizes[rows] >= min_pairs)
    if problem.is_candidate is not None:
        # what is never recommended is not to be foretold either
        chosen &= problem.is_candidate[known.indices]
    if not chosen.any():
        return None
    entries = rows[chosen], known.indices[chosen]
    from scipy.sparse import csr_matrix

    out = csr_matrix((np.ones(chosen.sum(), np.float32), entries), shape=known.shape)
    if problem.is_square:
        out = out.maximum(out.T).tocsr()
    train = canonical(known - known.multiply(out).tocsr())
    held_out = canonical(known - train)
    queries = np.unique(entries[0])
    if len(queries) > max_rows:
        queries = np.sort(random.choice(queries, max_rows, replace=False))
    k = 10 if problem.is_square else 100
    return Validation(
        train,
        held_out,
        queries,
        k,
        per_pair=problem.is_square,
        is_candidate=problem.is_candidate,
    )


def _hold_out_later(problem: Problem, seed: int, max_rows: int) -> Validation | None:
    train, held_out = divide_later(problem)
    queries = np.flatnonzero(np.diff(held_out.indptr)).astype(np.int64)
    if not len(queries):
        return None
    if len(queries) > max_rows:
        random = np.random.default_rng([seed, 1])
        queries = np.sort(random.choice(queries, max_rows, replace=False))
    return Validation(train, held_out, queries, 10, per_pair=True, keep_known=True)


def divide_later(problem: Problem) -> tuple[csr_matrix, csr_matrix]:
    """The pairs of the earlier and of the later orders.

    They are counted apart and not subtracted: a customer who bought a pair in both parts counts
    once in the whole, so that a difference would hide just those pairs that come back. Raises
    ValueError for a problem without them.
    """
    if problem.earlier is None or problem.later is None:
        raise ValueError("the problem has no earlier and later pairs")
    return canonical(problem.earlier), canonical(problem.later)


def fit_tuned(
    method: type[Recommender],
    problem: Problem,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Recommender:
    """Fit a method with the settings that `tune` chooses. Raises what `fit` raises."""
    chosen = tune(method, problem, seed=seed, say=say, **options)
    return method.fit(problem, seed=seed, **chosen)


def tune(
    method: type[Recommender],
    problem: Problem,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Settings:
    """Options for `fit`: those given, and of the method's `search` what does best in validation.

    Settings climb from the defaults of `fit`. What was tried, and the measure it reached, go to
    `say`. Raises what `fit` raises.
    """
    problem = thinned(problem, seed)
    own = method.choose_settings(problem, seed=seed, say=say)
    if own is not None:
        return {**own, **options}
    steps = [(name, values) for name, values in method.search if name not in options]
    weights = problem.matrix.data
    if not len(weights) or (weights == weights[0]).all():
        # equal weights stay equal: another weighting only rescales the scores
        steps = [(name, values) for name, values in steps if name != "weighting"]
    validation = hold_out(problem, seed) if steps else None
    if validation is None:
        return options
    inner = replace(problem, matrix=validation.train)

    def measure(settings: Settings) -> float:
        fitted = method.fit(inner, seed=seed, **{**options, **settings})
        scores = partial(scores_of_others, validation.narrow(fitted).score, problem)
        reached = validation.measure(scores, by_weight=problem.is_square)
        say(f"{method.method}: {listed(settings)}: {reached:.4f} on the validation part")
        return reached

    defaults = signature(method.fit).parameters
    start = {name: defaults[name].default for name, _ in steps}
    best, _ = choose(start, steps, measure)
    say(f"{method.method}: chosen {listed(best)}")
    return {**options, **best}


def thinned(problem: Problem, seed: int) -> Problem:
    """The problem with some of its sellers, drawn by the seed, where it has very many pairs.

    Settings that are chosen on a million listings are those of ten million, near enough.
    """
    share = _MOST_PAIRS / max(problem.matrix.nnz, 1)
    if problem.is_square or share >= 1:
        return problem
    count = max(1, int(problem.num_queries * share))
    rows = np.random.default_rng([seed, 2]).choice(problem.num_queries, count, replace=False)
    return replace(problem, matrix=problem.matrix[np.sort(rows)])


def scores_of_others(score: ScoreRows, problem: Problem, rows: IntArray) -> FloatArray:
    """Scores with what is never returned taken out: the query itself and its similar products."""
    return leave_others(score(rows), problem, rows)


def leave_others(scores: FloatArray, problem: Problem, rows: IntArray) -> FloatArray:
    """The same of scores that are there already, written over: (len(rows), num_candidates)."""
    if problem.is_square:
        scores[np.arange(len(rows)), rows] = -np.inf
        if problem.similar is not None:
            scores[problem.similar[rows].nonzero()] = -np.inf
    return scores


def listed(settings: Settings) -> str:
    """Settings as a message names them."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def choose(
    start: Settings,
    steps: Sequence[tuple[str, Sequence[Any]]],
    measure: Callable[[Settings], float],
) -> tuple[Settings, float]:
    """Improve one setting after the other by climbing along its values while that helps.

    start: settings that occur among the values; steps: names and ordered values, in the order of
    climbing; a name may return. Returns the best settings and their measure; of equal ones the
    first measured. Each combination is measured once.
    """
    value_of = remembered(measure)
    best = dict(start)
    for name, values in steps:
        for direction in (1, -1):
            best = _climb(best, name, values, direction, value_of)
    return best, value_of(best)


def remembered(measure: Callable[[Settings], float]) -> Callable[[Settings], float]:
    """The measure, asked once for each combination."""
    known: dict[str, float] = {}

    def value_of(settings: Settings) -> float:
        key = repr(sorted(settings.items()))
        if key not in known:
            known[key] = measure(settings)
        return known[key]

    return value_of


def _climb(
    best: Settings,
    name: str,
    values: Sequence[Any],
    direction: int,
    value_of: Callable[[Settings], float],
) -> Settings:
    at = values.index(best[name]) + direction
    while 0 <= at < len(values):
        tried = {**best, name: values[at]}
        if value_of(tried) <= value_of(best):
            break
        best, at = tried, at + direction
    return best
