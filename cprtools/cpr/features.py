"""What is known of a product besides behaviour, as numbers: x_i of Product2Vec."""

from dataclasses import dataclass

import numpy as np

from cprtools.baselines.contract import FloatArray, IntArray, Problem


@dataclass(frozen=True)
class Features:
    """Inputs of Product2Vec for every product."""

    dense: FloatArray
    """(num_products, width) float32: vector, whether there is one, price, whether it is known."""
    codes: IntArray
    """(num_products, columns) int64: type, then attributes; unknown has a code of its own."""
    sizes: tuple[int, ...]
    """Number of codes of each column, the unknown one included."""


def encode_features(problem: Problem) -> Features:
    """The features of all products.

    Raises ValueError where types or attributes do not cover the candidates.
    """
    n = problem.num_candidates
    columns = [(problem.types, problem.num_types)]
    for codes in problem.attributes.values():
        columns.append((codes, int(codes.max(initial=-1)) + 1))
    if any(len(codes) != n for codes, _ in columns):
        raise ValueError("types and attributes need one entry per candidate")
    filled = [np.where(codes < 0, size, codes) for codes, size in columns]
    return Features(
        dense=np.concatenate([_vectors(problem), _prices(problem)], axis=1),
        codes=np.stack(filled, axis=1).astype(np.int64),
        sizes=tuple(size + 1 for _, size in columns),
    )


def _vectors(problem: Problem) -> FloatArray:
    if problem.vectors is None:
        return np.zeros((problem.num_candidates, 0), dtype=np.float32)
    known = problem.vectors.any(axis=1, keepdims=True)
    return np.concatenate([problem.vectors, known], axis=1).astype(np.float32)


def _prices(problem: Problem) -> FloatArray:
    """(num_products, 2) float32: standardised log of the price (0 where unknown), known or not."""
    n = problem.num_candidates
    result = np.zeros((n, 2), dtype=np.float32)
    if problem.prices is None:
        return result
    known = np.isfinite(problem.prices) & (problem.prices >= 0)
    if known.any():
        logs = np.log1p(problem.prices[known].astype(np.float64))
        result[known, 0] = (logs - logs.mean()) / max(logs.std(), 1e-6)
        result[known, 1] = 1
    return result
