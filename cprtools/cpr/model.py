"""P-Companion as a recommender: trained with torch, answers with numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import (
    FEATURES,
    FloatArray,
    IntArray,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.options import require_square
from cprtools.cpr.cold import FeatureWeights, cold_factors, network_shapes
from cprtools.cpr.config import METHOD, make_config
from cprtools.cpr.features import make_encoding
from cprtools.cpr.scoring import ClosedForm, FactoredTransitions, Transitions, TransitionTable
from cprtools.errors import SchemaError
from cprtools.tables import to_matrix, vector_array

if TYPE_CHECKING:
    from cprtools.baselines.stored import Stored
    from cprtools.training.run import Run

_ITEMS, _TYPES, _SETTINGS = "p_companion_items", "p_companion_types", "p_companion_settings"
_START = "p_companion"
_THETA, _SOURCE, _TARGET, _BIAS = "theta", "source", "target", "bias"
# instead of the three, in models of earlier versions
_TRANSITION = "transition"


class PCompanion(Recommender):
    """Complementary types, then complementary products within them, scored jointly.

    Source: Hao et al., "P-Companion: A Principled Framework for Diversified Complementary Product
    Recommendation", CIKM 2020. `preset="paper"` follows it; the default departs from it where
    docs/methods/complements.md says so.
    """

    method: ClassVar[str] = METHOD
    knows_by: ClassVar[str] = FEATURES

    def __init__(
        self, form: ClosedForm, settings: dict[str, Any], features: Callable[[], FeatureWeights]
    ):
        self._form = form
        self.settings = settings
        # only new products need the network itself: until then it is not read
        self._features = cache(features)

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        run: Run | None = None,
        **options: Any,
    ) -> Self:
        """Train on the complement pairs; options are the fields of `CprConfig`.

        run: what it shows and where it computes; it changes no number.
        Raises UsageError for unknown options and values out of range, SchemaError for sellers and
        for a problem without pairs.
        """
        config = make_config(options, seed)
        require_square(METHOD, problem)
        from cprtools.cpr.training import train

        trained = train(problem, config, run)
        settings = asdict(config) | {
            "epochs_run": len(trained.hits),
            "validation_hit": max(trained.hits, default=float("nan")),
        }
        encoding = make_encoding(problem)
        names = [name for name, _ in network_shapes(encoding, problem, settings)]
        features = FeatureWeights({name: trained.weights[name] for name in names}, encoding)
        return cls(trained.form, settings, lambda: features)

    @property
    def embeddings(self) -> FloatArray:
        """Product2Vec embeddings theta: (num_candidates, embedding_dim) float32."""
        return self._form.embeddings

    def score(self, query_idx: IntArray) -> FloatArray:
        """P(candidate | query) over the whole catalogue: positive, rows sum to one."""
        return self._form.probabilities(query_idx)

    def type_scores(self, query_idx: IntArray) -> FloatArray:
        """P(complementary type | the query's type): (len(query_idx), num_types) float32."""
        return self._form.type_probabilities(query_idx)

    def tables(self) -> dict[str, pa.Table]:
        """Vectors and biases of the products, the type transition, settings, and the network."""
        form = self._form
        return {
            _ITEMS: pa.table({_THETA: vector_array(form.embeddings), **_sides(form)}),
            _TYPES: pa.table(_types(form.transitions)),
            _SETTINGS: pa.table({name: [value] for name, value in self.settings.items()}),
            **self._features().tables(_START),
        }

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored closed form. Raises SchemaError where it does not fit the problem."""
        items, settings = read(_ITEMS), read(_SETTINGS).to_pylist()[0]
        theta, source, target = (
            to_matrix(items.column(name), _ITEMS) for name in (_THETA, _SOURCE, _TARGET)
        )
        outputs = int(settings["num_outputs"]) if settings["preset"] == "article" else 1
        _check_sides(_ITEMS, source, target, outputs)
        transitions = _transitions(read(_TYPES), outputs)
        num_types = problem.num_types + 1
        if len(theta) != problem.num_candidates or transitions.num_types != num_types:
            raise SchemaError(
                f"{_ITEMS}: {len(theta)} products and {transitions.num_types - 1} types; "
                f"need {problem.num_candidates} and {problem.num_types}"
            )
        form = ClosedForm(
            embeddings=theta,
            source=source,
            target=target,
            bias=items.column(_BIAS).to_numpy().astype(np.float32),
            transitions=transitions,
            types=np.where(problem.types < 0, problem.num_types, problem.types),
            type_weight=float(settings["type_weight"]),
        )
        return cls(form, settings, lambda: FeatureWeights.load(read, _START))

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Recommender:
        """The closed form in place: the query's source is read, and every target."""
        settings = stored.read(_SETTINGS).to_pylist()[0]
        form = ClosedForm(
            embeddings=stored.numbers(_ITEMS, _THETA),
            source=stored.numbers(_ITEMS, _SOURCE),
            target=stored.pooled(_ITEMS, _TARGET),
            bias=stored.pooled(_ITEMS, _BIAS),
            transitions=_transitions_in_place(stored),
            types=np.where(problem.types < 0, problem.num_types, problem.types),
            type_weight=float(settings["type_weight"]),
        )
        num_types = problem.num_types + 1
        is_whole = form.transitions.num_types == num_types
        if len(form.bias) != problem.num_candidates or not is_whole:
            raise SchemaError(f"{_ITEMS}: does not fit the rest of the model")
        return cls(form, settings, lambda: FeatureWeights.load(stored.read, _START))

    def extended(self, problem: Problem) -> Self:
        """New products by the features alone, through the weights of the trained network."""
        features, form = self._features(), self._form
        features.check(network_shapes(features.encoding, problem, self.settings), _START)
        inputs = features.encode(problem, start=self.num_candidates)
        new = cold_factors(features.weights, inputs, self.settings)
        longer = replace(
            form,
            embeddings=np.concatenate([form.embeddings, new.theta]),
            source=np.concatenate([form.source, new.source]),
            target=np.concatenate([form.target, new.target]),
            bias=np.concatenate([form.bias, new.bias]),
            types=np.concatenate([form.types, inputs.codes[:, 0]]),
        )
        return type(self)(longer, self.settings, self._features)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._form.bias)


def _sides(form: ClosedForm | FactoredTransitions) -> dict[str, pa.Array]:
    return {
        _SOURCE: vector_array(form.source),
        _TARGET: vector_array(form.target),
        _BIAS: pa.array(form.bias, pa.float32()),
    }


def _types(transitions: Transitions) -> dict[str, pa.Array]:
    if isinstance(transitions, FactoredTransitions):
        return _sides(transitions)
    return {_TRANSITION: vector_array(transitions.rows(np.arange(transitions.num_types)))}


def _transitions(table: pa.Table, outputs: int) -> Transitions:
    """What `_types` stored. Raises SchemaError where its columns do not fit together."""
    if _TRANSITION in table.column_names:
        found = to_matrix(table.column(_TRANSITION), _TYPES)
        if len(found) != found.shape[1]:
            raise SchemaError(f"{_TYPES}: {len(found)} rows from {found.shape[1]} types")
        return TransitionTable(found)
    source, target = (to_matrix(table.column(name), _TYPES) for name in (_SOURCE, _TARGET))
    _check_sides(_TYPES, source, target, outputs)
    return FactoredTransitions(source, target, table.column(_BIAS).to_numpy().astype(np.float32))


def _transitions_in_place(stored: Stored) -> Transitions:
    if _TRANSITION in stored.table(_TYPES).names:
        return TransitionTable(stored.numbers(_TYPES, _TRANSITION))
    return FactoredTransitions(
        *(stored.numbers(_TYPES, name) for name in (_SOURCE, _TARGET, _BIAS))
    )


def _check_sides(member: str, source: FloatArray, target: FloatArray, outputs: int) -> None:
    if source.shape[1] != outputs * target.shape[1]:
        raise SchemaError(f"{member}: {_SOURCE} and {_TARGET} do not fit together")
