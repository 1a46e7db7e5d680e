"""Sorting and joining of integer columns with numpy: what the mining kernel is built from."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# what one packed key can hold; a sign bit and one bit of room are left
_KEY_BITS = 62


class Spans(NamedTuple):
    """For each row of one table a range of rows of another: start and end, (rows,) int64."""

    start: Ints
    end: Ints


def bits_of(column: Ints) -> int:
    """Bits that hold every value of a column of non-negative integers."""
    return max(1, int(column.max()).bit_length()) if len(column) else 1


def order_by(*columns: Ints) -> Ints:
    """The permutation that sorts by the first column, ties by the next, and so on."""
    if sum(bits_of(column) for column in columns) <= _KEY_BITS:
        return np.argsort(_packed(columns))
    return np.lexsort(columns[::-1])


def distinct(*columns: Ints) -> tuple[Ints, ...]:
    """The distinct rows of non-negative columns, sorted."""
    if sum(bits_of(column) for column in columns) <= _KEY_BITS:
        packed = np.sort(_packed(columns))
        return _unpacked(packed[starts_of(packed)], [bits_of(column) for column in columns])
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    starts = starts_of(*ordered)
    return tuple(column[starts] for column in ordered)


def _packed(columns: tuple[Ints, ...]) -> Ints:
    packed = columns[0]
    for column in columns[1:]:
        packed = (packed << bits_of(column)) | column
    return packed


def _unpacked(packed: Ints, widths: list[int]) -> tuple[Ints, ...]:
    columns = []
    for width in reversed(widths):
        columns.append(packed & ((1 << width) - 1))
        packed = packed >> width
    return tuple(reversed(columns))


def starts_of(*columns: Ints) -> Ints:
    """The row numbers at which a new group of equal rows begins; the rows are sorted."""
    if not len(columns[0]):
        return np.empty(0, np.int64)
    changed = np.ones(len(columns[0]), np.bool_)
    changed[1:] = columns[0][1:] != columns[0][:-1]
    for column in columns[1:]:
        changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed)


def spans_of(keys: Ints, wanted: Ints) -> Spans:
    """For each wanted key its rows in the sorted `keys`."""
    groups = starts_of(keys)
    if not len(groups):
        nothing = np.zeros(len(wanted), np.int64)
        return Spans(nothing, nothing)
    ends = np.append(groups, len(keys))[1:]
    place = np.minimum(np.searchsorted(keys[groups], wanted), len(groups) - 1)
    found = keys[groups[place]] == wanted
    start = np.where(found, groups[place], 0)
    return Spans(start, np.where(found, ends[place], 0))


def cut(sizes: Ints, most: int) -> list[tuple[int, int]]:
    """Neighbours taken together up to about `most`, one at least: the first and last of each."""
    group = (np.cumsum(sizes) - 1) // max(1, most)
    starts = starts_of(group)
    ends = np.append(starts, len(sizes))[1:]
    return list(zip(starts.tolist(), (ends - 1).tolist(), strict=True))


def later_rows(keys: Ints) -> Spans:
    """For each row the rows after it that have its key; the keys are sorted."""
    groups = starts_of(keys)
    sizes = np.diff(np.append(groups, len(keys)))
    return Spans(np.arange(1, len(keys) + 1), np.repeat(groups + sizes, sizes))


def expand(spans: Spans) -> tuple[Ints, Ints]:
    """Each row's number beside each row number of its span: two columns, one row per pair."""
    sizes = spans.end - spans.start
    left = np.repeat(np.arange(len(sizes)), sizes)
    before = np.cumsum(sizes) - sizes
    right = np.arange(len(left)) + np.repeat(spans.start - before, sizes)
    return left, right


def is_in(keys: Ints, allowed: Ints) -> Bools:
    """Which keys are among the sorted, distinct `allowed` ones."""
    if not len(allowed):
        return np.zeros(len(keys), np.bool_)
    place = np.minimum(np.searchsorted(allowed, keys), len(allowed) - 1)
    found: Bools = allowed[place] == keys
    return found
