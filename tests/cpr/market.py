"""A market whose complements are known: type t is completed by type t + 1 of the same brand."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem

SMALL = {
    "embedding_dim": 16, "type_dim": 8, "hidden_dim": 32, "attribute_dim": 8, "batch_size": 32,
    "num_negatives": 500, "epochs": 12, "learning_rate": 0.01,
}  # fmt: skip


@dataclass(frozen=True)
class Market:
    """Products by type, brand and copy; the last copy of each has no pairs at all."""

    problem: Problem
    types: np.ndarray
    brands: np.ndarray
    is_new: np.ndarray
    held_out: np.ndarray
    """(pairs, 2) complements that training does not see, both products known."""
    next_type: np.ndarray


def make_market(num_types=5, num_brands=5, copies=7, seed=0) -> Market:
    """Every product is completed by the same brand's products of one other type, never back."""
    random = np.random.default_rng(seed)
    n = num_types * num_brands * copies
    order = random.permutation(n)
    types, brands = order // (num_brands * copies), order // copies % num_brands
    is_new = order % copies == copies - 1
    next_type = np.roll(np.arange(num_types), -1)
    true = (next_type[types][:, None] == types) & (brands[:, None] == brands)
    seen = true & ~is_new[:, None] & ~is_new
    out = seen & (random.random((n, n)) < 0.15)
    similar = (types[:, None] == types) & (brands[:, None] == brands) & ~np.eye(n, dtype=bool)
    similar &= ~is_new[:, None] & ~is_new
    problem = Problem(
        matrix=csr_matrix((seen & ~out).astype(np.float32)),
        types=types.astype(np.int64),
        num_types=num_types,
        attributes={"brand": brands.astype(np.int64)},
        similar=csr_matrix(similar),
        is_square=True,
    )
    return Market(problem, types, brands, is_new, np.argwhere(out), next_type)


def share_of_right_heads(market: Market, scores: np.ndarray, queries: np.ndarray) -> float:
    """Queries whose best other product, known pairs left out, has the right type and brand."""
    scores = scores.copy()
    scores[np.arange(len(queries)), queries] = -np.inf
    scores[market.problem.matrix[queries].nonzero()] = -np.inf
    best = scores.argmax(axis=1)
    right = market.types[best] == market.next_type[market.types[queries]]
    return float((right & (market.brands[best] == market.brands[queries])).mean())
