"""Blend: the best fixed mixture of two simple methods, chosen on validation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import (
    FloatArray,
    IntArray,
    NotInPlace,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.ease import QUICK_ITEMS, Ease
from cprtools.baselines.factorisation import Factorisation
from cprtools.baselines.itemknn import ItemKnn
from cprtools.baselines.options import check_choice, refuse_unknown
from cprtools.baselines.tuning import (
    Settings,
    Validation,
    hold_out,
    leave_others,
    listed,
    tune,
)
from cprtools.errors import SchemaError, UsageError

if TYPE_CHECKING:
    from cprtools.baselines.stored import Stored

_PARTS: Mapping[str, type[Recommender]] = {
    method.method: method for method in (ItemKnn, Factorisation, Ease)
}
_WEIGHTS = tuple(step / 10 for step in range(1, 10))
_SCALINGS = ("all", "evidence")
_OPTIONS = ("first", "second", "weight", "scaling", "settings")
_MEMBERS = "blend_"
_SETTINGS = _MEMBERS + "settings"
Say = Callable[[str], None]


class Blend(Recommender):
    """Scores c for q by weight z(first) + (1 - weight) z(second), z the z-score within q's row.

    The bar for anything that mixes evidence: two methods, one number, the same for every query.
    Source: Vogt and Cottrell, Information Retrieval 1999 (linear combination of scores), with the
    zero mean and unit variance of Montague and Aslam, CIKM 2001.
    """

    method: ClassVar[str] = "blend"

    def __init__(self, parts: Sequence[Recommender], weight: float, scaling: str):
        self.parts = tuple(parts)
        self.weight = weight
        self.scaling = scaling

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        first: str = ItemKnn.method,
        second: str = Factorisation.method,
        weight: float = 0.5,
        scaling: str = "all",
        settings: Mapping[str, Settings] | None = None,
        **options: Any,
    ) -> Self:
        """Fit both parts on everything.

        first, second: two of `item-knn`, `mf` and `ease`; weight: share of the first; scaling: what
        mean and deviation are taken over, see `standardise`; settings: options of a part's `fit` by
        its name. Raises UsageError for values out of range.
        """
        refuse_unknown(cls.method, options, _OPTIONS)
        for name, value in (("first", first), ("second", second)):
            check_choice(cls.method, name, value, tuple(_PARTS))
        check_choice(cls.method, "scaling", scaling, _SCALINGS)
        if first == second:
            raise UsageError(f"blend: first and second must be two methods, got {first!r} twice")
        if not 0 <= weight <= 1:
            raise UsageError(f"blend: weight must be between 0 and 1, got {weight}")
        given = settings or {}
        parts = [_PARTS[n].fit(problem, seed=seed, **given.get(n, {})) for n in (first, second)]
        return cls(parts, weight, scaling)

    @classmethod
    def choose_settings(cls, problem: Problem, *, seed: int, say: Say) -> Settings:
        """The parts' own settings first, then the pair, the scaling and the weight.

        All on one validation part. EASE takes part up to 12,000 products or queries.
        """
        parts = [name for name in _PARTS if name != Ease.method or _is_quick(problem)]
        settings = {name: _part_settings(name, problem, seed, say) for name in parts}
        validation = hold_out(problem, seed)
        if validation is None:
            return {"settings": settings}
        inner = replace(problem, matrix=validation.train)
        fitted = {name: _PARTS[name].fit(inner, seed=seed, **settings[name]) for name in parts}
        choice = choose_mixture(fitted, problem, validation, say)
        used = {name: settings[name] for name in (choice["first"], choice["second"])}
        return {**choice, "settings": used}

    def score(self, query_idx: IntArray) -> FloatArray:
        """The weighted sum of the z-scores: (len(query_idx), num_candidates) float32."""
        first, second = (standardise(part.score(query_idx), self.scaling) for part in self.parts)
        return mix(first, second, self.weight)

    def tables(self) -> dict[str, pa.Table]:
        """The tables of both parts, and how they are mixed."""
        first, second = self.parts
        mixture = {
            "first": [first.method],
            "second": [second.method],
            "weight": [float(self.weight)],
            "scaling": [self.scaling],
        }
        members = {_MEMBERS + name: t for part in self.parts for name, t in part.tables().items()}
        return {**members, _SETTINGS: pa.table(mixture)}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """Both stored parts. Raises SchemaError where they do not fit the problem."""
        mixture = _known_mixture(read)
        names = mixture["first"], mixture["second"]
        parts = [_PARTS[name].load(problem, lambda part: read(_MEMBERS + part)) for name in names]
        return cls(parts, mixture["weight"], mixture["scaling"])

    @classmethod
    def opened(cls, problem: Problem, stored: "Stored") -> Recommender:
        """Both parts in place. Raises NotInPlace where these would score a part of the candidates.

        Means and deviations are over all of them.
        """
        if problem.is_candidate is not None and not problem.is_candidate.all():
            raise NotInPlace(cls.method)
        mixture = _known_mixture(stored.read)
        under = stored.under(_MEMBERS)
        names = mixture["first"], mixture["second"]
        parts = [_PARTS[name].opened(problem, under) for name in names]
        return cls(parts, mixture["weight"], mixture["scaling"])

    def extended(self, problem: Problem) -> Self:
        """Both parts extended; means and deviations are over the new products, too."""
        parts = [part.extended(problem) for part in self.parts]
        return type(self)(parts, self.weight, self.scaling)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return self.parts[0].num_candidates


def _known_mixture(read: ReadTable) -> dict[str, Any]:
    mixture: dict[str, Any] = read(_SETTINGS).to_pylist()[0]
    unknown = [name for name in (mixture["first"], mixture["second"]) if name not in _PARTS]
    if unknown or mixture["scaling"] not in _SCALINGS:
        raise SchemaError(f"{_SETTINGS}: this version does not know {mixture}")
    return mixture


def standardise(scores: FloatArray, scaling: str) -> FloatArray:
    """z-scores of each row, (s - mean) / standard deviation: the shape of `scores`, float32.

    scores: (queries, candidates) float32. scaling: mean and deviation of `all` candidates, or of
    those with `evidence`, a score above 0; they scale every score of the row. A row whose scores do
    not differ is divided by its mean, so that a single piece of evidence is 1 above none.
    """
    # in double precision and without a cast inside the sums: a row's bits are its own alone
    values = scores.astype(np.float64)
    counted = values > 0 if scaling == "evidence" else np.ones_like(values, dtype=bool)
    count = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    mean = np.where(counted, values, 0).sum(axis=1, keepdims=True) / count
    squares = np.where(counted, (values - mean) ** 2, 0)
    deviation = np.sqrt(squares.sum(axis=1, keepdims=True) / count)
    unit = np.where(deviation > 0, deviation, np.where(mean > 0, mean, 1))
    return np.asarray((values - mean) / unit, dtype=np.float32)


def mix(first: FloatArray, second: FloatArray, weight: float) -> FloatArray:
    """The weighted sum, `weight` of the first and the rest of the second: float32."""
    return np.float32(weight) * first + np.float32(1 - weight) * second


def choose_mixture(
    fitted: Mapping[str, Recommender], problem: Problem, validation: Validation, say: Say
) -> Settings:
    """`first`, `second`, `weight` and `scaling` of the highest measure, of equal ones the first.

    fitted: the parts, fitted without the pairs held out. What was reached goes to `say`.
    """
    mixtures = list(product(combinations(fitted, 2), _SCALINGS, _WEIGHTS))
    narrow = {name: validation.narrow(part) for name, part in fitted.items()}

    def scores_of_each(rows: IntArray) -> Iterator[FloatArray]:
        scores = {name: part.score(rows) for name, part in narrow.items()}
        scaled = {
            (name, scaling): leave_others(standardise(values, scaling), problem, rows)
            for name, values in scores.items()
            for scaling in _SCALINGS
        }
        for (first, second), scaling, weight in mixtures:
            yield mix(scaled[first, scaling], scaled[second, scaling], weight)

    reached = validation.measure_each(scores_of_each, by_weight=problem.is_square)
    for start in range(0, len(mixtures), len(_WEIGHTS)):
        (first, second), scaling, _ = mixtures[start]
        values = " ".join(f"{value:.4f}" for value in reached[start : start + len(_WEIGHTS)])
        say(f"blend: {first} + {second}, z-scores over {scaling}, weights 0.1 to 0.9: {values}")
    best = int(np.argmax(reached))
    (first, second), scaling, weight = mixtures[best]
    say(
        f"blend: chosen {weight:.1f} {first} + {1 - weight:.1f} {second}, z-scores over {scaling}: "
        f"{reached[best]:.4f} on the validation part"
    )
    return {"first": first, "second": second, "weight": weight, "scaling": scaling}


def _is_quick(problem: Problem) -> bool:
    return min(problem.num_queries, problem.num_candidates) <= QUICK_ITEMS


def _part_settings(name: str, problem: Problem, seed: int, say: Say) -> Settings:
    if name != Factorisation.method:
        return tune(_PARTS[name], problem, seed=seed, say=say)
    # factorisation has a climb of its own
    settings = Factorisation.settings_for(problem, seed=seed)
    settings.pop("validation", None)
    say(f"mf: chosen {listed(settings)}")
    return settings
