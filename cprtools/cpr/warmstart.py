"""Where the default network's tables begin: a truncated factorisation of the known pairs."""

import numpy as np
from scipy.sparse import csr_matrix, diags

from cprtools.baselines.contract import FloatArray
from cprtools.cpr.batches import damped

# what a known pair scores on average at the start, about the logit that training ends with
_START_LOGIT = 4.0
# how much a product that leads to the query says, against one that the query leads to
_REVERSE_SHARE = 0.3
_OVERSAMPLING = 16
_ITERATIONS = 5


def start_tables(matrix: csr_matrix, dim: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Identity (num_products, dim) and history (2 * num_products, dim) rows to begin with.

    A query's history sum then scores candidates as a rank `dim` approximation of the pair matrix
    does; products without pairs have zero rows.
    """
    weights = damped(matrix)
    sizes = np.maximum(np.diff(weights.indptr), 1)
    arrivals = np.maximum(np.asarray((weights > 0).sum(axis=0)).ravel(), 1)
    columns = arrivals**-0.25
    scaled = (diags(sizes**-0.5) @ weights @ diags(columns)).astype(np.float32).tocsr()
    right = right_factors(scaled, dim, seed)
    entries = scaled.tocoo()
    known = np.einsum("ij,ij->i", (scaled @ right)[entries.row], right[entries.col])
    factor = np.sqrt(_START_LOGIT / max(float(known.mean()), 1e-9))
    forward = factor * right * columns[:, None]
    history = np.concatenate([forward, _REVERSE_SHARE * forward])
    return (factor * right).astype(np.float32), history.astype(np.float32)


def right_factors(matrix: csr_matrix, dim: int, seed: int) -> FloatArray:
    """Leading right singular vectors by subspace iteration: (columns, dim), zeros beyond the rank.

    Source: Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4.
    """
    random = np.random.default_rng([seed, 3])
    width = min(dim + _OVERSAMPLING, *matrix.shape)
    basis = random.standard_normal((matrix.shape[1], width)).astype(np.float32)
    left = np.linalg.qr(matrix @ basis)[0]
    for _ in range(_ITERATIONS):
        left = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ left)[0])[0]
    _, values, rows = np.linalg.svd((matrix.T @ left).T, full_matrices=False)
    rank = min(dim, int((values > 1e-5 * max(values.max(initial=0), 1e-30)).sum()))
    result = np.zeros((matrix.shape[1], dim), dtype=np.float32)
    result[:, :rank] = rows[:rank].T
    # products without pairs: zero, and not the rounding errors of zero
    result[np.asarray(abs(matrix).sum(axis=0)).ravel() == 0] = 0
    return result
