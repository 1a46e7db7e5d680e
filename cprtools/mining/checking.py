"""What one customer shows of given pairs, without looking at all the pairs the customer makes.

A shared account or a crawler may touch a hundred thousand products within a week: five billion
pairs, of which a least count of two leaves only those that somebody else shows as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cprtools.mining.grouping import Spans, expand, spans_of
from cprtools.mining.observing import Join
from cprtools.mining.records import BLOCK, PRODUCT_BITS, SIGN_BITS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Side:
    """The rows of one side of a join by product and place."""

    rows: Ints
    """Row numbers, sorted by product, then place."""
    products: Ints
    places: Ints
    """Product and place of each row in that order."""
    packed: Ints


def check_pairs(joins: Sequence[Join], pairs: Ints) -> Ints:
    """Records of one customer for those of the pairs that it shows.

    joins: of the customer's events alone. pairs: (pairs,) low << PRODUCT_BITS | high, distinct.
    """
    signs = np.zeros(len(pairs), np.int64)
    low, high = pairs >> PRODUCT_BITS, pairs & ((1 << PRODUCT_BITS) - 1)
    for join in joins:
        if not len(join.left.key) or not len(join.right.key):
            continue
        places = np.unique(np.concatenate([join.left.key + join.step, join.right.key]))
        left = _side(join.left.product, np.searchsorted(places, join.left.key + join.step))
        right = _side(join.right.product, np.searchsorted(places, join.right.key))
        _meet(join, left, right, (low, high), signs)
        if not join.is_ordered:
            _meet(join, left, right, (high, low), signs)
    shown = signs != 0
    records: Ints = (pairs[shown] << SIGN_BITS) | signs[shown]
    return records


def _side(products: Ints, places: Ints) -> _Side:
    rows = np.lexsort((places, products))
    products, places = products[rows], places[rows]
    return _Side(rows, products, places, _pack(products, places))


def _pack(products: Ints, places: Ints) -> Ints:
    # a customer has fewer places than rows, and rows are fewer than 2^33
    return (products << (62 - PRODUCT_BITS)) | places


def _meet(join: Join, left: _Side, right: _Side, pair: tuple[Ints, Ints], signs: Ints) -> None:
    """Add to `signs` what rows of the first product show with rows of the second, by place."""
    one, other = pair
    spans = spans_of(left.products, one)
    candidates = np.flatnonzero(spans.end > spans.start)
    before = np.append(0, np.cumsum((spans.end - spans.start)[candidates]))
    first = 0
    while first < len(candidates):
        stop = max(first + 1, int(np.searchsorted(before, before[first] + BLOCK, "right")) - 1)
        some = candidates[first:stop]
        number, row = expand(Spans(spans.start[some], spans.end[some]))
        number = some[number]
        wanted = _pack(other[number], left.places[row])
        place = np.minimum(np.searchsorted(right.packed, wanted), len(right.packed) - 1)
        met = np.flatnonzero(right.packed[place] == wanted)
        number, a, b = number[met], left.rows[row[met]], right.rows[place[met]]
        np.bitwise_or.at(signs, number, join.signs(a, b, one[number] < other[number]))
        first = stop
