"""Matrix factorisation of implicit feedback by alternating least squares, tuned."""

from dataclasses import replace
from operator import itemgetter
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import FloatArray, Problem, ReadTable
from cprtools.baselines.dense import stable_product
from cprtools.baselines.factors import FactorModel
from cprtools.baselines.options import check_choice, check_least, refuse_unknown
from cprtools.baselines.sparse import WEIGHTINGS, canonical, reweight
from cprtools.baselines.tuning import (
    Settings,
    Validation,
    choose,
    hold_out,
    leave_others,
    remembered,
    thinned,
)

_SETTINGS = "mf_settings"
_ITERATIONS = 15
_SMALL = 50_000

_START: Settings = {"factors": 64, "alpha": 10.0, "regularisation": 1.0, "weighting": "log"}
# a second place to climb from: where little but popularity tells, the way from the first may
# lead nowhere
_CAUTIOUS: Settings = {"alpha": 1.0, "regularisation": 30.0}
# of very many pairs, where a way takes minutes, it must begin near what the first one reached
_NEAR = 0.9
_ALPHAS = [0.3, 1.0, 3.0, 10.0, 20.0, 40.0, 100.0, 300.0]
# cheap fits first; alpha comes again since more factors want it smaller
_STEPS: list[tuple[str, list[Any]]] = [
    ("alpha", _ALPHAS),
    ("regularisation", [0.01, 0.1, 1.0, 10.0, 30.0, 100.0, 300.0]),
    ("weighting", ["binary", "log", "raw"]),
    ("factors", [8, 16, 32, 64, 128, 256, 512]),
    ("alpha", _ALPHAS),
]
# of very many pairs, where a way takes minutes and twice as many factors find 3% more
_MOST_FACTORS_OF_MANY = 128


class Factorisation(FactorModel):
    """Scores by the product of a query's and a candidate's factors.

    Confidence of a known pair is alpha f(w) with f `raw` w, `log` log(1 + w) or `binary` 1.
    Source: Hu, Koren and Volinsky, ICDM 2008, solved by conjugate gradients (Takacs et al., RecSys
    2011) in the package implicit, where the confidence of a known pair is alpha w and not
    1 + alpha w.
    """

    method: ClassVar[str] = "mf"

    def __init__(self, queries: FloatArray, candidates: FloatArray, settings: Settings):
        super().__init__(queries, candidates)
        self.settings = settings

    @classmethod
    def fit(cls, problem: Problem, *, seed: int = 0, tune: bool = True, **options: Any) -> Self:
        """Choose settings on a validation part of the pairs, then factorise all of them.

        factors, alpha, regularisation, weighting: taken as given, the others are tuned; with `tune`
        off they keep their starting values. Raises UsageError for values out of range.
        """
        settings = cls.settings_for(problem, seed=seed, tune=tune, **options)
        queries, candidates = _factorise(problem, settings, seed)
        return cls(queries, candidates, settings)

    @classmethod
    def settings_for(
        cls, problem: Problem, *, seed: int = 0, tune: bool = True, **options: Any
    ) -> Settings:
        """The settings that `fit` would use, and `validation`, what they reached if tuned."""
        settings = {**_START, **_check(options)}
        weights = problem.matrix.data
        steps = [(name, values) for name, values in _STEPS if name not in options]
        if not len(weights) or (weights == weights[0]).all():
            # all weights alike: the weighting would only rescale alpha
            steps = [(name, values) for name, values in steps if name != "weighting"]
            settings = {**settings, "weighting": options.get("weighting", "binary")}
        part = thinned(problem, seed)
        validation = hold_out(part, seed) if tune and steps else None
        if validation is not None:
            near = 0.0
            if part is not problem:
                near, steps = _NEAR, _of_many(steps)
            settings = _tune(part, validation, settings, steps, seed, near)
        return settings

    @property
    def chosen(self) -> Settings:
        """The settings in the form that `fit` takes them, to factorise again without tuning."""
        return {name: self.settings[name] for name in _START}

    def tables(self) -> dict[str, pa.Table]:
        """Factors of queries and candidates, one row each, and the settings chosen."""
        settings = {name: [value] for name, value in self.settings.items()}
        return {**super().tables(), _SETTINGS: pa.table(settings)}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored factors. Raises SchemaError where they are not of the problem's shape."""
        return cls(*cls._stored(problem, read), read(_SETTINGS).to_pylist()[0])

    def _with(self, queries: FloatArray, candidates: FloatArray) -> Self:
        return type(self)(queries, candidates, self.settings)


def _check(options: Settings) -> Settings:
    unknown = {name: value for name, value in options.items() if name not in _START}
    refuse_unknown("mf", unknown, list(_START))
    for name, least in (("factors", 1), ("alpha", 1e-9), ("regularisation", 0)):
        if name in options:
            check_least("mf", name, options[name], least)
    if "weighting" in options:
        check_choice("mf", "weighting", options["weighting"], WEIGHTINGS)
    return {**options}


def _of_many(steps: list[tuple[str, list[Any]]]) -> list[tuple[str, list[Any]]]:
    """The steps where a fit of all pairs takes minutes."""
    return [
        (name, [v for v in values if name != "factors" or v <= _MOST_FACTORS_OF_MANY])
        for name, values in steps
    ]


def _tune(
    problem: Problem,
    validation: Validation,
    start: Settings,
    steps: list[tuple[str, list[Any]]],
    seed: int,
    near: float,
) -> Settings:
    inner = replace(problem, matrix=validation.train)

    def measure(settings: Settings) -> float:
        queries, candidates = _factorise(inner, settings, seed)
        found = candidates[validation.pool]
        return validation.measure(
            lambda rows: leave_others(stable_product(queries[rows], found), problem, rows),
            by_weight=validation.per_pair,
        )

    value_of = remembered(measure)
    found = [choose(start, steps, value_of)]
    cautious = {**start, **_CAUTIOUS}
    if _CAUTIOUS.keys() <= {name for name, _ in steps} and value_of(cautious) >= near * found[0][1]:
        found.append(choose(cautious, steps, value_of))
    settings, reached = max(found, key=itemgetter(1))
    return {**settings, "validation": reached}


def _factorise(problem: Problem, settings: Settings, seed: int) -> tuple[FloatArray, FloatArray]:
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    # a product without a pair has no factors; of a marketplace's millions most have none
    wide = problem.wide
    used = np.flatnonzero(wide.getnnz(axis=0))
    matrix = wide[:, used]
    # one BLAS thread: faster here, and the sums stay in one order whatever the number of threads;
    # implicit's own threads solve each row by itself
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings["factors"],
            regularization=settings["regularisation"],
            alpha=settings["alpha"],
            iterations=_ITERATIONS,
            num_threads=1 if matrix.nnz < _SMALL else 0,
            random_state=seed,
        )
        model.fit(canonical(reweight(matrix, settings["weighting"])), show_progress=False)
    candidates = np.zeros((wide.shape[1], settings["factors"]), dtype=np.float32)
    candidates[used] = model.item_factors
    return np.asarray(model.user_factors), candidates[: problem.num_candidates].copy()
