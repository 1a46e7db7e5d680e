"""Exact top-k with a total order: score first, then the lower candidate index."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def top_k(scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k best columns of each row, best first; ties go to the lower column.

    scores: (rows, candidates) float32; -inf marks a candidate that must not be returned.
    Returns indices (rows, k) int64 and scores (rows, k) float32; where fewer than k candidates
    exist the rest is -1 and -inf.
    """
    rows, n = scores.shape
    indices = np.full((rows, k), -1, dtype=np.int64)
    values = np.full((rows, k), -np.inf, dtype=np.float32)
    for row in range(rows):
        best = _top_of_row(scores[row], min(k, n))
        indices[row, : len(best)] = best
        values[row, : len(best)] = scores[row, best]
    return indices, values


def _top_of_row(row: FloatArray, k: int) -> IntArray:
    if k < 1:
        return np.empty(0, dtype=np.int64)
    if k < len(row):
        threshold = np.partition(row, len(row) - k)[len(row) - k]
        above = np.flatnonzero(row > threshold)
        # only as many of the ties at the border as there is room for, lowest index first
        at = np.flatnonzero(row == threshold)[: k - len(above)]
        chosen = np.sort(np.concatenate([above, at]))
    else:
        chosen = np.arange(len(row))
    chosen = chosen[row[chosen] > -np.inf]
    order = np.argsort(-row[chosen], kind="stable")
    return np.asarray(chosen[order][:k], dtype=np.int64)
