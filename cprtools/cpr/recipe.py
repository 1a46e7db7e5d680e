"""How a complement model is put together: the method asked for, and what backs it up."""

from collections.abc import Callable, Mapping
from typing import Any

from cprtools.baselines import (
    BASELINES,
    SELLERS_ONLY,
    CoPurchase,
    Ease,
    Factorisation,
    ItemKnn,
    Problem,
    Recommender,
    Reverse,
    TextKnn,
    TypePopularity,
)
from cprtools.baselines.ease import QUICK_ITEMS
from cprtools.baselines.tuning import fit_tuned
from cprtools.cpr.config import PRESETS
from cprtools.cpr.model import PCompanion
from cprtools.cpr.triplet import Triplet
from cprtools.errors import UsageError
from cprtools.ranking import (
    Settings,
    TwoStage,
    draws,
    fit_two_stage,
    hold_out_later,
)
from cprtools.training.run import Run

SIMPLE: Mapping[str, type[Recommender]] = {
    **{name: method for name, method in BASELINES.items() if name not in SELLERS_ONLY},
    Triplet.method: Triplet,
}
TRAINED = PCompanion.method
METHODS = (TRAINED, *SIMPLE)
# queries whose candidates the ranker learns from
_RANKED_QUERIES = 5000
# chosen on a part of the training pairs of amazon-cellphones
_EASE: Mapping[str, Any] = {"regularisation": 50.0, "weighting": "log", "neighbours": 500}
Say = Callable[[str], None]


def method_options(
    method: str, *, preset: str, epochs: int | None, variant: str | None = None
) -> dict[str, Any]:
    """The options of a method's `fit`. Raises UsageError where they do not belong together."""
    if preset not in PRESETS:
        raise UsageError(f"--preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    if variant is not None and method not in (CoPurchase.method, Reverse.method):
        raise UsageError(f"--variant is an option of co-purchase and reverse, not of {method}")
    if method != PCompanion.method:
        if preset != "default" or epochs is not None:
            raise UsageError(f"--preset and --epochs are options of p-companion, not of {method}")
        return {} if variant is None else {"variant": variant}
    return {"preset": preset} | ({} if epochs is None else {"epochs": epochs})


def train(
    problem: Problem,
    method: str,
    *,
    options: Mapping[str, Any] | None = None,
    with_ranker: bool = True,
    settings: Settings | None = None,
    seed: int = 0,
    say: Say = lambda _: None,
    run: Run | None = None,
) -> TwoStage:
    """Fit a method on the problem; `p-companion` gets the second stage, baselines stand alone.

    `options` go to the method's `fit`; `run` is how the training of p-companion is carried out.
    Raises UsageError for a method that does not exist.
    """
    if method not in METHODS:
        raise UsageError(f"--method must be one of {', '.join(METHODS)}, got {method!r}")
    own = dict(options or {})
    if method != PCompanion.method:
        return TwoStage(
            problem, {method: fit_tuned(SIMPLE[method], problem, seed=seed, say=say, **own)}
        )
    own["run"] = run
    if not with_ranker:
        return TwoStage(problem, {method: PCompanion.fit(problem, seed=seed, **own)})
    keep_known = problem.later is not None
    parts = [hold_out_later(problem)] if keep_known else draws(problem, seed)
    return fit_two_stage(
        problem,
        parts,
        SourceFitter(own, seed),
        settings=settings or Settings(max_queries=_RANKED_QUERIES),
        keep_known=keep_known,
        seed=seed,
        say=say,
    )


class SourceFitter:
    """Fits every source on a problem; what the first fit tuned is kept for the next."""

    def __init__(self, options: dict[str, Any], seed: int):
        self.options = options
        self.seed = seed
        self.tuned: dict[str, Any] = {}

    def __call__(self, problem: Problem) -> Mapping[str, Recommender]:
        """The sources by name, the model itself first."""
        # first: a checkpoint of other data or settings is refused before anything is tuned
        own = PCompanion.fit(problem, seed=self.seed, **self.options)
        factorisation = Factorisation.fit(problem, seed=self.seed, **self.tuned)
        self.tuned = factorisation.chosen
        sources: dict[str, Recommender] = {
            PCompanion.method: own,
            Factorisation.method: factorisation,
            ItemKnn.method: ItemKnn.fit(problem),
        }
        if (problem.types >= 0).any():
            sources[TypePopularity.method] = TypePopularity.fit(problem)
        if problem.num_candidates <= QUICK_ITEMS:
            sources[Ease.method] = Ease.fit(problem, **_EASE)
        if problem.vectors is not None:
            sources[TextKnn.method] = TextKnn.fit(problem)
        return sources
