"""The trained networks for products that they never saw, in numpy: new products need no torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import FloatArray, IntArray, Problem, ReadTable
from cprtools.baselines.dense import stable_product
from cprtools.baselines.weights import Weights, check_shapes, load_weights, weights_table
from cprtools.cpr.features import Encoding, Features, dense_width, encode_features

Shapes = Iterator[tuple[str, tuple[int, int]]]


class ColdFactors(NamedTuple):
    """What the closed form holds of new products, one row each; see `scoring.ClosedForm`."""

    theta: FloatArray
    source: FloatArray
    target: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class FeatureWeights:
    """Weights by their names in the network's state, biases as (1, width), and the encoding."""

    weights: Weights
    encoding: Encoding

    def tables(self, start: str) -> dict[str, pa.Table]:
        """Members `<start>_network` and `<start>_features`."""
        network, features = _members(start)
        return {network: weights_table(self.weights), features: self.encoding.table()}

    @classmethod
    def load(cls, read: ReadTable, start: str) -> "FeatureWeights":
        """Those stored. Raises SchemaError where they are none."""
        network, features = _members(start)
        weights = load_weights(read(network), network)
        return cls(weights, Encoding.load(read(features), features))

    def check(self, expected: Shapes, start: str) -> None:
        """Raise SchemaError where the weights are not of these shapes."""
        check_shapes(self.weights, dict(expected), _members(start)[0])

    def encode(self, problem: Problem, start: int) -> Features:
        """Features of the products from `start` on. Raises SchemaError where they do not fit."""
        return encode_features(problem, self.encoding, start=start)


def _members(start: str) -> tuple[str, str]:
    return f"{start}_network", f"{start}_features"


def product2vec_shapes(
    at: str, encoding: Encoding, problem: Problem, settings: Mapping[str, Any]
) -> Shapes:
    """Shapes of the Product2Vec whose weights' names start with `at`."""
    width, hidden, dim = dense_width(problem), settings["hidden_dim"], settings["embedding_dim"]
    for i, size in enumerate(encoding.sizes.values()):
        yield f"{at}.tables.{i}.weight", (size, settings["attribute_dim"])
        width += settings["attribute_dim"]
    yield from _linear(f"{at}.ffn.0", width, hidden)
    yield from _linear(f"{at}.ffn.3", hidden, dim)


def network_shapes(encoding: Encoding, problem: Problem, settings: Mapping[str, Any]) -> Shapes:
    """Shapes of what a preset's network does to a product without pairs."""
    yield from product2vec_shapes("product2vec", encoding, problem, settings)
    dim, width, types = settings["embedding_dim"], settings["type_dim"], problem.num_types + 1
    if settings["preset"] == "article":
        half = width // 2 + 1
        yield "outputs_of_type.query.weight", (types, width)
        yield from _linear("outputs_of_type.encoder.0", width, half)
        yield from _linear("outputs_of_type.decoder", half, settings["num_outputs"] * width)
        yield from _linear("join", dim + width, dim)
        return
    yield "transition.complement.weight", (types, width)
    yield from _linear("projection", width, dim)
    if settings["preset"] == "default":
        yield from _linear("source", dim, dim)
        yield from _linear("target", dim, dim)
        yield from _linear("feature_bias", dim, 1)


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (1, outputs)


def embed(weights: Weights, at: str, features: Features) -> FloatArray:
    """Product2Vec without dropout: (products, embedding_dim) float32; see `product2vec.py`."""
    tables = [weights[f"{at}.tables.{i}.weight"] for i in range(features.codes.shape[1])]
    embedded = [table[features.codes[:, i]] for i, table in enumerate(tables)]
    inputs = np.concatenate([features.dense, *embedded], axis=1)
    hidden = np.maximum(_apply(weights, f"{at}.ffn.0", inputs), 0)
    return _apply(weights, f"{at}.ffn.3", hidden)


def cold_factors(weights: Weights, features: Features, settings: Mapping[str, Any]) -> ColdFactors:
    """What `factors` of the preset's network gives products without pairs; see `pcompanion.py`."""
    theta = embed(weights, "product2vec", features)
    margin: Any = np.float32(settings["margin"] or 1.0)
    types = features.codes[:, 0]
    if settings["preset"] == "article":
        return _article(weights, theta, types, margin, int(settings["num_outputs"]))
    complement = weights["transition.complement.weight"][types]
    projected = _apply(weights, "projection", complement)
    if settings["preset"] == "paper":
        source = np.concatenate([2 * theta, -np.square(theta)], axis=1) / margin
        target = np.concatenate([projected * theta, np.square(projected)], axis=1)
        return ColdFactors(theta, source, target, -np.square(theta).sum(axis=1) / margin)
    source = _apply(weights, "source", theta)
    target = projected * _apply(weights, "target", theta)
    return ColdFactors(theta, source, target, _apply(weights, "feature_bias", theta)[:, 0])


def _article(
    weights: Weights, theta: FloatArray, types: IntArray, margin: Any, num_outputs: int
) -> ColdFactors:
    at = "outputs_of_type"
    hidden = _apply(weights, f"{at}.encoder.0", weights[f"{at}.query.weight"][types])
    gamma = _apply(weights, f"{at}.decoder", np.maximum(hidden, 0))
    sources = []
    for part in np.split(gamma, num_outputs, axis=1):
        output = _apply(weights, "join", np.concatenate([theta, part], axis=1))
        length = np.square(output).sum(axis=1, keepdims=True)
        sources.append(np.concatenate([2 * output, -length], axis=1) / margin)
    target = np.concatenate([theta, np.ones((len(theta), 1), np.float32)], axis=1)
    bias = -np.square(theta).sum(axis=1) / margin
    return ColdFactors(theta, np.concatenate(sources, axis=1), target, bias)


def _apply(weights: Weights, name: str, rows: FloatArray) -> FloatArray:
    product = stable_product(np.ascontiguousarray(rows, np.float32), weights[f"{name}.weight"])
    result: FloatArray = product + weights[f"{name}.bias"]
    return result
