"""Exact top-k with a total order: score first, then the lower candidate index."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# columns to a block whose largest score stands for it, and blocks that there are for each of the k
_BLOCK = 32
_BLOCKS_PER_K = 4


def top_k(
    scores: FloatArray, k: int, allowed: BoolArray | None = None
) -> tuple[IntArray, FloatArray]:
    """The k best columns of each row, best first; ties go to the lower column.

    scores: (rows, candidates) float32; -inf marks a candidate that must not be returned, as does
    False in `allowed`, (rows, candidates) bool.
    Returns indices (rows, k) int64 and scores (rows, k) float32; where fewer than k candidates
    exist the rest is -1 and -inf.
    """
    rows = len(scores)
    indices = np.full((rows, k), -1, dtype=np.int64)
    values = np.full((rows, k), -np.inf, dtype=np.float32)
    for row in range(rows):
        own = None if allowed is None else allowed[row]
        best = _top_of_row(scores[row], k, own)
        indices[row, : len(best)] = best
        values[row, : len(best)] = scores[row, best]
    return indices, values


def first_rows(scores: npt.NDArray[np.floating], groups: IntArray, depth: int) -> IntArray:
    """The rows of each group's `depth` highest scores, group by group, ties to the first row.

    scores, groups: (rows,) of flat lists.
    """
    order = np.lexsort((-scores, groups))
    first = np.searchsorted(groups[order], groups[order])
    return np.asarray(order[np.arange(len(order)) - first < depth])


def _top_of_row(row: FloatArray, k: int, allowed: BoolArray | None) -> IntArray:
    if k < 1 or not len(row):
        return np.empty(0, dtype=np.int64)
    if allowed is None:
        return _best(row, k)
    forbidden = len(row) - int(np.count_nonzero(allowed))
    if forbidden <= k or _has_few(row, k + forbidden):
        # as many more as are forbidden: the k best allowed ones are surely among them
        best = _best(row, k + forbidden)
        return best[allowed[best]][:k]
    # putting that many in order would take longer than to copy the allowed ones
    members = np.flatnonzero(allowed)
    return members[_best(row[members], k)]


def _has_few(row: FloatArray, k: int) -> bool:
    """Whether the k best ones are few of all, so that most blocks have none of them."""
    return len(row) // _BLOCK >= _BLOCKS_PER_K * k


def _best(row: FloatArray, k: int) -> IntArray:
    chosen = _candidates(row, k)
    kept = row[chosen]
    if k < len(chosen):
        threshold = np.partition(kept, len(kept) - k)[len(kept) - k]
        above = kept > threshold
        # only as many of the ties at the border as there is room for, lowest index first
        above[np.flatnonzero(kept == threshold)[: k - np.count_nonzero(above)]] = True
        chosen, kept = chosen[above], kept[above]
    chosen = chosen[np.argsort(-kept, kind="stable")]
    # -inf comes last
    return chosen[: len(kept) - np.count_nonzero(kept == -np.inf)]


def _candidates(row: FloatArray, k: int) -> IntArray:
    """Columns, ascending, that have the k best among them: where possible, few others.

    The k-th largest of the maxima of blocks is a score that k entries reach, and hardly below the
    k-th best one. The columns of a block are one stride apart, so that the maxima of all blocks are
    taken side by side, and best scores in neighbouring columns spread over the blocks.
    """
    if not _has_few(row, k):
        return np.arange(len(row))
    blocks = len(row) // _BLOCK
    # (blocks * _BLOCK,) -> (_BLOCK, blocks)
    grid = row[: blocks * _BLOCK].reshape(_BLOCK, blocks)
    maxima = grid.max(axis=0)
    bound = np.partition(maxima, blocks - k)[blocks - k]
    reaching = np.flatnonzero(maxima >= bound)
    if len(reaching) > _BLOCKS_PER_K * k:
        return _with_first_ties(row, bound, k)
    line, block = np.nonzero(grid[:, reaching] >= bound)
    tail = np.arange(blocks * _BLOCK, len(row))
    return np.concatenate([line * blocks + reaching[block], tail])


def _with_first_ties(row: FloatArray, bound: np.float32, k: int) -> IntArray:
    """Columns, ascending, that have the k best among them, where many have the score `bound`.

    Such as 0 where there is no evidence. Of them the lowest columns are enough. At least k entries
    reach `bound`.
    """
    above = np.flatnonzero(row > bound)
    missing = k - len(above)
    if missing <= 0:
        return above
    end = _BLOCK * k
    ties = np.flatnonzero(row[:end] == bound)
    while len(ties) < missing and end < len(row):
        end *= _BLOCKS_PER_K
        ties = np.flatnonzero(row[:end] == bound)
    return np.sort(np.concatenate([above, ties[:missing]]))
