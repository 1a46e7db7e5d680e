"""The closed form that scores all candidates of a query, in numpy alone."""

from dataclasses import dataclass

import numpy as np

from cprtools.baselines.contract import FloatArray, IntArray
from cprtools.baselines.dense import stable_product


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
    transitions: FloatArray
    """(num_types + 1, num_types + 1) float32 log P(type | type); the last is the unknown type."""
    types: IntArray
    """(num_products,) rows of `transitions`."""
    type_weight: float

    def logits(self, query_idx: IntArray) -> FloatArray:
        """Joint score of items and types: (len(query_idx), num_products) float32."""
        width = self.target.shape[1]
        # rows first: a source may lie in pieces
        source = self.source[query_idx]
        items = stable_product(source[:, :width], self.target)
        for start in range(width, source.shape[1], width):
            output = np.ascontiguousarray(source[:, start : start + width])
            np.maximum(items, stable_product(output, self.target), out=items)
        by_type = self.transitions[self.types[query_idx]][:, self.types]
        joint: FloatArray = items + self.bias + np.float32(self.type_weight) * by_type
        return joint

    def probabilities(self, query_idx: IntArray) -> FloatArray:
        """Softmax of the joint scores over all products: positive, each row sums to one."""
        return softmax_rows(self.logits(query_idx))

    def type_probabilities(self, query_idx: IntArray) -> FloatArray:
        """P(complementary type | type of the query): (len(query_idx), num_types) float32."""
        rows: FloatArray = np.exp(self.transitions[self.types[query_idx]][:, :-1])
        return rows


def softmax_rows(logits: FloatArray) -> FloatArray:
    """(rows, columns) float32 that is positive and sums to one over each row."""
    powers = np.exp(np.maximum(logits - logits.max(axis=1, keepdims=True), np.float32(-80)))
    result: FloatArray = powers / powers.sum(axis=1, keepdims=True, dtype=np.float64)
    return result.astype(np.float32)
