"""How a seller model is put together: the method asked for, and what backs it up."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scipy.sparse import csr_matrix

from cprtools.baselines import (
    BASELINES,
    Blend,
    Bpr,
    Ease,
    Factorisation,
    ItemKnn,
    LightGcn,
    Problem,
    Recommender,
    TextKnn,
)
from cprtools.baselines.tuning import tune
from cprtools.errors import UsageError, percent
from cprtools.graph.homogeneous import SAMPLINGS
from cprtools.linkpred.model import GraphModel
from cprtools.linkpred.options import INITS
from cprtools.linkpred.problem import BuiltProblem
from cprtools.ranking import (
    DrawnAsNew,
    Settings,
    TwoStage,
    fit_two_stage,
    hold_out_listings,
    share_held_out,
    shares_at_sellers,
    unlisted_by_draw,
)
from cprtools.text.encoders import PRECISIONS, choose_precision
from cprtools.training.run import Run

if TYPE_CHECKING:
    from cprtools.linkpred.training import Trainer

# the baselines that make sense for sellers; the others need product pairs
_SELLER_BASELINES = (
    "popularity",
    ItemKnn.method,
    TextKnn.method,
    Factorisation.method,
    Bpr.method,
    Ease.method,
    LightGcn.method,
    Blend.method,
)
# share of the products that the ranker meets as if nobody listed them yet
_NEW_PRODUCTS = 0.1
TRAINED = GraphModel.method
METHODS = (TRAINED, *_SELLER_BASELINES)
# of a seller's products the three nearest texts count: no product of two vectors
MAY_BE_INDEXED = tuple(name for name in METHODS if name != TextKnn.method)
Say = Callable[[str], None]
# listings from which on the weights learnt without the held-out ones serve the whole graph
_TRAINED_ONCE = 200_000
# networks that are trained on fewer listings than this: what one learns there depends on its seed
_NETWORKS, _FEW_LISTINGS = 3, 100_000
# share of the co-purchases with a seller of both products from which on it is worth a word, and
# that share by chance up to which it is no matter of large sellers
_AT_SELLERS, _BY_CHANCE = 0.95, 0.5
# what the command passes where nobody asked; other options are None then
_UNSET = {"fanout": "3", "precision": "auto", "sampling": "stratified", "init": "vectors"}
# multiplications from which on comparing all listed with all candidate texts takes too long; the
# ranker still compares those that other sources retrieve
_MOST_TEXT_WORK = 2e12


def method_options(
    method: str, *, fanout: str, precision: str = "auto", device: str = "cpu", **options: Any
) -> dict[str, Any]:
    """The options of a method's `fit`, unset ones left out.

    precision: as of `choose_precision`, for the device. Raises UsageError for values that are out
    of range, and for options that the method does not have.
    """
    if method != GraphModel.method:
        asked = {"fanout": fanout, "precision": precision, **options}
        for name, value in asked.items():
            if value != _UNSET.get(name):
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} is for {GraphModel.method}, not for {method}")
        return {}
    allowed = {
        "sampling": SAMPLINGS,
        "init": INITS,
        "sampler": ("dgl", "torch", None),
        "precision": PRECISIONS,
    }
    options["precision"] = precision
    for name, values in allowed.items():
        if options[name] not in values:
            listed = ", ".join(value for value in values if value)
            raise UsageError(f"--{name} must be one of {listed}, got {options[name]!r}")
    options["precision"] = choose_precision(precision, device)
    try:
        sizes = [int(part) for part in fanout.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise UsageError(f"--fanout must be whole numbers of at least 1, got {fanout!r}")
    layers = options["num_layers"]
    if layers is not None and len(sizes) not in (1, layers):
        raise UsageError(f"--fanout names {len(sizes)} layers, but --num-layers is {layers}")
    if layers is None and len(sizes) > 1:
        options = {**options, "num_layers": len(sizes)}
    given = {name: value for name, value in options.items() if value is not None}
    return {"fanout": sizes[0] if len(sizes) == 1 else sizes, **given}


def told(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of a method's options what was chosen for this machine, for the model's facts."""
    return {name: options[name] for name in ("precision",) if name in options}


def train(
    built: BuiltProblem,
    method: str,
    *,
    options: Mapping[str, Any] | None = None,
    with_ranker: bool = True,
    purchases_at_sellers: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    say: Say = lambda _: None,
    run: Run | None = None,
) -> TwoStage:
    """Fit a method on the problem and calibrate it on listings held out inside it.

    `gnn` gets the second stage over its own and the cheap sources' evidence; baselines answer by
    their own calibrated scores. `options` go to the method's `fit`; `run` is how the training of
    `gnn` is carried out; `purchases_at_sellers` as for `hold_out_listings`. Raises UsageError for a
    method that does not exist.
    """
    if method not in METHODS:
        raise UsageError(f"--method must be one of {', '.join(METHODS)}, got {method!r}")
    is_gnn = method == GraphModel.method
    own = dict(options or {})
    if is_gnn:
        few = built.problem.matrix.nnz < _FEW_LISTINGS
        own = {"run": run, "networks": _NETWORKS if few else 1, **own}
    with_ranker = is_gnn and with_ranker
    # only a ranker learns from them; to a curve they are not what candidates look like
    products = _NEW_PRODUCTS if with_ranker else 0.0
    if is_gnn and not purchases_at_sellers:
        _ask_where_bought(built.problem, say)
    inner, positives = hold_out_listings(
        built.problem, products=products, purchases_at_sellers=purchases_at_sellers, seed=seed
    )
    drawn_as_new = None
    if products:
        unlisted = unlisted_by_draw(built.problem, inner, seed=seed)
        drawn_as_new = DrawnAsNew(unlisted, share_held_out(built.problem, positives, unlisted))
    return fit_two_stage(
        built.problem,
        [(inner, positives)],
        SourceFitter(method, own, built.views, seed, with_support=with_ranker, say=say),
        settings=settings or Settings(),
        with_ranker=with_ranker,
        drawn_as_new=drawn_as_new,
        seed=seed,
        say=say,
    )


def _ask_where_bought(problem: Problem, say: Say) -> None:
    share, by_chance = shares_at_sellers(problem)
    if share >= _AT_SELLERS and by_chance <= _BY_CHANCE:
        say(
            f"{percent(share, 0)} of the co-purchases have a seller that lists both products, of "
            f"random pairs of these products {percent(by_chance, 0)}: where they were bought at "
            "these sellers, --purchases-at-sellers says so"
        )


class SourceFitter:
    """Fits every source on a problem; what the first fit tuned is kept for the next."""

    def __init__(
        self,
        method: str,
        options: dict[str, Any],
        views: csr_matrix,
        seed: int,
        *,
        with_support: bool,
        say: Say,
    ):
        self.say = say
        self.method = method
        self.views = views
        self.options = options
        self.seed = seed
        self.with_support = with_support
        self.tuned: dict[str, Any] = {}
        self.trainers: Sequence[Trainer] = ()
        self.compares_texts: bool | None = None

    def __call__(self, problem: Problem) -> Mapping[str, Recommender]:
        """The fitted sources by name, the method that was asked for first."""
        if self.method != GraphModel.method:
            return {self.method: self._baseline(self.method, problem)}
        # views of held-out listings must not be seen either
        views = self.views.multiply(problem.matrix > 0).tocsr()
        graph_model = self._graph_model(problem, views)
        sources: dict[str, Recommender] = {self.method: graph_model}
        if self.with_support:
            for name in (Factorisation.method, ItemKnn.method):
                sources[name] = self._baseline(name, problem)
            if self.compares_texts is None:
                # of the first problem: what the ranker learnt from must be there again
                known = problem.vectors is not None
                self.compares_texts = known and _text_work(problem) <= _MOST_TEXT_WORK
            if self.compares_texts:
                sources[TextKnn.method] = self._baseline(TextKnn.method, problem)
        return sources

    def _graph_model(self, problem: Problem, views: csr_matrix) -> GraphModel:
        if self.trainers and problem.matrix.nnz >= _TRAINED_ONCE:
            return GraphModel.moved(self.trainers, problem, views)
        fitted = GraphModel.fit(problem, seed=self.seed, views=views, **self.options)
        if fitted.effort is not None and fitted.effort.epochs:
            # a fit taken whole from a checkpoint cost nothing
            count = len(fitted.trainers)
            over = f", over {count} networks" if count > 1 else ""
            self.say(f"gnn: {fitted.effort}{over}")
        # the second fit trains as long as the first found best, on everything
        self.options |= fitted.chosen
        # and not the model: its vectors are large, and are made anew
        self.trainers = fitted.trainers
        return fitted

    def _baseline(self, name: str, problem: Problem) -> Recommender:
        if name != Factorisation.method:
            # only the method that was asked for is worth the time of choosing its settings
            if name == self.method and not self.tuned:
                self.tuned = tune(BASELINES[name], problem, seed=self.seed, say=self.say)
            settings = self.tuned if name == self.method else {}
            return BASELINES[name].fit(problem, seed=self.seed, **settings)
        fitted = Factorisation.fit(problem, seed=self.seed, **self.tuned)
        self.tuned = fitted.chosen
        return fitted


def _text_work(problem: Problem) -> float:
    candidates = problem.num_candidates
    if problem.is_candidate is not None:
        candidates = int(problem.is_candidate.sum())
    dim = 0 if problem.vectors is None else problem.vectors.shape[1]
    return float(problem.matrix.nnz) * candidates * dim
