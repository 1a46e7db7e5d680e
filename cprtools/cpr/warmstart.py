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
# squared singular values below this share of the largest are rounding errors
_LEAST_SHARE = 1e-9


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
    # summed by row first: a number for each pair and dimension would take gigabytes
    known = np.vdot(scaled @ right, (scaled > 0).astype(np.float32) @ right) / max(scaled.nnz, 1)
    factor = np.sqrt(_START_LOGIT / max(float(known), 1e-9))
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
    left = _orthonormal(matrix @ basis)
    for _ in range(_ITERATIONS):
        left = _orthonormal(matrix @ _orthonormal(matrix.T @ left))
    # left is orthonormal, so these are right singular vectors, the leading one first
    vectors = _orthonormal(matrix.T @ left)[:, :dim]
    result = np.zeros((matrix.shape[1], dim), dtype=np.float32)
    result[:, : vectors.shape[1]] = vectors
    # products without pairs: zero, and not the rounding errors of zero
    result[np.asarray(abs(matrix).sum(axis=0)).ravel() == 0] = 0
    return result


def _orthonormal(columns: FloatArray) -> FloatArray:
    """An orthonormal basis of the columns by falling singular value, zeros beyond their rank.

    By the Gram matrix: for tall matrices far faster than QR, and exact enough here.
    """
    wide = columns.astype(np.float64)
    values, vectors = np.linalg.eigh(wide.T @ wide)
    values, vectors = values[::-1], vectors[:, ::-1]
    is_kept = values > _LEAST_SHARE * max(float(values[0]), 1e-30)
    scale = np.where(is_kept, np.maximum(values, 1e-30) ** -0.5, 0)
    basis: FloatArray = (wide @ (vectors * scale)).astype(np.float32)
    return basis
