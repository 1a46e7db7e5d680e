"""What is known of a product besides behaviour, as numbers: x_i of Product2Vec."""

from dataclasses import dataclass

import numpy as np

from cprtools.baselines.contract import FloatArray, IntArray, Problem


@dataclass(frozen=True)
class Features:
    """Inputs of Product2Vec for every product."""

    dense: FloatArray
    """(num_products, width) float32: vector, whether there is one, then every number (the price
    first), each followed by whether it is known."""
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
        dense=np.concatenate([_vectors(problem), _prices(problem), *_numbers(problem)], axis=1),
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
    if problem.prices is None:
        return np.zeros((problem.num_candidates, 2), dtype=np.float32)
    return _standardised(np.log1p(np.where(problem.prices >= 0, problem.prices, np.nan)))


def _numbers(problem: Problem) -> list[FloatArray]:
    """Of each number column: (num_products, 2) float32, its value and whether it is known."""
    return [_standardised(values) for _, values in sorted(problem.numbers.items())]


def _standardised(values: FloatArray) -> FloatArray:
    """(num_products, 2) float32: mean 0 and deviation 1 over what is known, 0 elsewhere; known."""
    result = np.zeros((len(values), 2), dtype=np.float32)
    known = np.isfinite(values)
    if known.any():
        exact = values[known].astype(np.float64)
        result[known, 0] = (exact - exact.mean()) / max(exact.std(), 1e-6)
        result[known, 1] = 1
    return result
