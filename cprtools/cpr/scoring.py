"""The closed form that scores all candidates of a query, in numpy alone."""

from dataclasses import dataclass

import numpy as np

from cprtools.baselines.contract import FloatArray, IntArray
from cprtools.baselines.dense import stable_product


@dataclass(frozen=True)
class FactoredTransitions:
    """P(type | type) as what it is made of: from each of 30,000 types to each would be 4 GB."""

    source: FloatArray
    """(num_types, outputs * width) float32: of several outputs the best one counts."""
    target: FloatArray
    """(num_types, width) float32."""
    bias: FloatArray
    """(num_types,) float32."""

    @property
    def num_types(self) -> int:
        """With the unknown type, which is the last."""
        return len(self.bias)

    def rows(self, types: IntArray) -> FloatArray:
        """Logs of P(type | these types): (len(types), num_types) float32."""
        logits = best_product(self.source[types], self.target) + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        total = np.exp(logits).sum(axis=1, keepdims=True, dtype=np.float64)
        rows: FloatArray = logits - np.log(total).astype(np.float32)
        return rows


@dataclass(frozen=True)
class TransitionTable:
    """P(type | type) as a table, which models of earlier versions hold."""

    table: FloatArray
    """(num_types, num_types) float32 logs."""

    @property
    def num_types(self) -> int:
        """With the unknown type, which is the last."""
        return len(self.table)

    def rows(self, types: IntArray) -> FloatArray:
        """Logs of P(type | these types): (len(types), num_types) float32."""
        return self.table[types]


Transitions = FactoredTransitions | TransitionTable


@dataclass(frozen=True)
class ClosedForm:
    """A trained model as matrices: for every preset, one product and two lookups a score."""

    embeddings: FloatArray
    """(num_products, embedding_dim) float32 Product2Vec embeddings theta."""
    source: FloatArray
    """(num_products, outputs * width) float32: of several outputs the best one scores."""
    target: FloatArray
    """(num_products, width) float32."""
    bias: FloatArray
    """(num_products,) float32."""
    transitions: Transitions
    types: IntArray
    """(num_products,) types of `transitions`."""
    type_weight: float

    def logits(self, query_idx: IntArray) -> FloatArray:
        """Joint score of items and types: (len(query_idx), num_products) float32."""
        # rows first: a source may lie in pieces
        items = best_product(self.source[query_idx], self.target)
        by_type = self.transitions.rows(self.types[query_idx])[:, self.types]
        joint: FloatArray = items + self.bias + np.float32(self.type_weight) * by_type
        return joint

    def probabilities(self, query_idx: IntArray) -> FloatArray:
        """Softmax of the joint scores over all products: positive, each row sums to one."""
        return softmax_rows(self.logits(query_idx))

    def type_probabilities(self, query_idx: IntArray) -> FloatArray:
        """P(complementary type | type of the query): (len(query_idx), num_types) float32."""
        rows: FloatArray = np.exp(self.transitions.rows(self.types[query_idx])[:, :-1])
        return rows


def best_product(source: FloatArray, target: FloatArray) -> FloatArray:
    """The largest product of any output: (rows, outputs * width), (columns, width) to both."""
    width = target.shape[1]
    best = stable_product(source[:, :width], target)
    for start in range(width, source.shape[1], width):
        output = np.ascontiguousarray(source[:, start : start + width])
        np.maximum(best, stable_product(output, target), out=best)
    return best


def softmax_rows(logits: FloatArray) -> FloatArray:
    """(rows, columns) float32 that is positive and sums to one over each row."""
    powers = np.exp(np.maximum(logits - logits.max(axis=1, keepdims=True), np.float32(-80)))
    result: FloatArray = powers / powers.sum(axis=1, keepdims=True, dtype=np.float64)
    return result.astype(np.float32)
