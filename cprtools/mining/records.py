"""Records: what a customer shows of a pair of products, as one integer each; and their counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cprtools.mining.grouping import Spans, bits_of, expand, starts_of
from cprtools.mining.observing import SIGNS, Join

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PRODUCT_BITS = 29
SIGN_BITS = 5
MOST_PRODUCTS = 1 << PRODUCT_BITS
_SIGNS = (1 << SIGN_BITS) - 1
_PRODUCTS = MOST_PRODUCTS - 1
_KEY_BITS = 63

# pairs looked at together: few enough for the processor's cache, enough to be worth a call
BLOCK = 1 << 21


@dataclass(frozen=True)
class Counts:
    """Customers by unordered pair of products low < high, sorted by both; all (pairs,) int64."""

    low: Ints
    high: Ints
    bought_up: Ints
    bought_down: Ints
    viewed: Ints
    after_up: Ints
    after_down: Ints

    def columns(self) -> tuple[Ints, ...]:
        """Both products and the five counts."""
        counts = (self.bought_up, self.bought_down, self.viewed, self.after_up, self.after_down)
        return self.low, self.high, *counts

    def take(self, pairs: Bools) -> "Counts":
        """These pairs alone."""
        return Counts(*(column[pairs] for column in self.columns()))


@dataclass(frozen=True)
class Packing:
    """How pair, customer and signs share one integer while records of a block are sorted."""

    product_bits: int
    customer_bits: int
    first_customer: int

    def keys(self, one: Ints, other: Ints, customer: Ints, signs: Ints) -> Ints:
        """Integers that sort by pair, then customer."""
        pair = (np.minimum(one, other) << self.product_bits) | np.maximum(one, other)
        return (
            ((pair << self.customer_bits) | (customer - self.first_customer)) << SIGN_BITS
        ) | signs

    def records(self, keys: Ints) -> Ints:
        """The same without the customer, in the same order."""
        pair = keys >> (SIGN_BITS + self.customer_bits)
        low, high = pair >> self.product_bits, pair & ((1 << self.product_bits) - 1)
        return (low << (PRODUCT_BITS + SIGN_BITS)) | (high << SIGN_BITS) | (keys & _SIGNS)


def count_meetings(joins: Sequence[Join]) -> Ints:
    """How many pairs of rows must be looked at for each customer, (customers,)."""
    customers = max(
        (int(join.left.customer[-1]) + 1 for join in joins if len(join.left.key)), default=0
    )
    meetings = np.zeros(customers, np.int64)
    for join in joins:
        before = np.append(0, np.cumsum(join.spans.end - join.spans.start))
        rows = np.searchsorted(join.left.customer, np.arange(customers + 1))
        meetings += np.diff(before[rows])
    return meetings


def records_of(joins: Sequence[Join], meetings: Ints) -> Iterator[Ints]:
    """Blocks of records, one per customer and pair, each block sorted by low, high.

    meetings: what `count_meetings` says of the joins.
    A record is low, high and the signs of observing.py, packed to sort in this order.
    """
    width = max(bits_of(join.right.product) for join in joins)
    most = 1 << max(0, _KEY_BITS - SIGN_BITS - 2 * width)
    for start, end in _customer_blocks(meetings, most):
        packing = Packing(width, (end - start - 1).bit_length(), start)
        keys = _once_per_customer(joins, (start, end), packing)
        if len(keys):
            yield packing.records(keys)


def shown_kinds(joins: Sequence[Join]) -> int:
    """Signs that a customer's pairs show, one at least of each join that shows any."""
    packing = Packing(1, 0, 0)
    signs = 0
    for join in joins:
        last = int(join.left.customer[-1]) + 1 if len(join.left.key) else 0
        for keys in _meetings(join, (0, last), packing):
            if len(keys):
                signs |= int(np.bitwise_or.reduce(keys & _SIGNS))
                break
    return signs


def first_record(low: Ints) -> Ints:
    """The smallest record of the pairs whose lower product is `low`."""
    return low << (PRODUCT_BITS + SIGN_BITS)


def all_signs(block: Ints) -> int:
    """The signs that any record of a block has."""
    return int(np.bitwise_or.reduce(block)) & _SIGNS


def count_records(records: Ints, least: int = 1) -> Counts:
    """Customers by pair, from records of distinct customers in any order; sorts `records`.

    Pairs of fewer than `least` customers are left out before anything is counted.
    """
    records.sort()
    starts = starts_of(records >> SIGN_BITS)
    sizes = np.diff(np.append(starts, len(records)))
    if least > 1:
        enough = sizes >= least
        records, sizes = records[np.repeat(enough, sizes)], sizes[enough]
        starts = np.cumsum(sizes) - sizes
    pair = records[starts] >> SIGN_BITS
    counts = [
        np.add.reduceat((records & sign) // sign, starts) if len(starts) else records
        for sign in SIGNS
    ]
    return Counts(pair >> PRODUCT_BITS, pair & _PRODUCTS, *counts)


def difference(now: Counts, before: Counts) -> Counts:
    """What added to `before` gives `now`: pairs that change, with negative numbers too."""
    pairs = np.concatenate([(c.low << PRODUCT_BITS) | c.high for c in (now, before)])
    order = np.argsort(pairs)
    starts = starts_of(pairs[order])
    columns = [
        np.add.reduceat(np.concatenate([one, -other])[order], starts) if len(starts) else one
        for one, other in zip(now.columns()[2:], before.columns()[2:], strict=True)
    ]
    pair = pairs[order][starts]
    changed = np.any(columns, axis=0)
    return Counts(pair >> PRODUCT_BITS, pair & _PRODUCTS, *columns).take(changed)


def _customer_blocks(meetings: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of customers of about BLOCK meetings: one customer at least, `most` at most."""
    before = np.cumsum(meetings) - meetings
    start = 0
    while start < len(meetings):
        end = int(np.searchsorted(before, before[start] + BLOCK))
        end = min(max(end, start + 1), start + most, len(meetings))
        yield start, end
        start = end


def _once_per_customer(joins: Sequence[Join], customers: tuple[int, int], packing: Packing) -> Ints:
    found: list[Ints] = []
    limit = 8 * BLOCK
    for join in joins:
        for keys in _meetings(join, customers, packing):
            found.append(keys)
            if sum(map(len, found)) > limit:
                # one customer's long history: what it shows again and again becomes one record
                found = [_merge(found)]
                # of as many others: else all of them were sorted again at every block
                limit = max(limit, len(found[0]) * 5 // 4)
    return _merge(found)


def _meetings(join: Join, customers: tuple[int, int], packing: Packing) -> Iterator[Ints]:
    """Keys of what these customers' rows show, about BLOCK meetings at a time."""
    left, right = join.left, join.right
    first, last = (int(row) for row in np.searchsorted(left.customer, customers))
    spans = Spans(join.spans.start[first:last], join.spans.end[first:last])
    before = np.append(0, np.cumsum(spans.end - spans.start))
    row = 0
    while row < last - first and before[-1]:
        stop = int(np.searchsorted(before, before[row] + BLOCK, side="right")) - 1
        stop = max(stop, row + 1)
        a, b = expand(Spans(spans.start[row:stop], spans.end[row:stop]))
        a += first + row
        one, other = left.product[a], right.product[b]
        signs = join.signs(a, b, one < other)
        keys = packing.keys(one, other, left.customer[a], signs)
        yield keys[(signs != 0) & (one != other)]
        row = stop


def _merge(found: Sequence[Ints]) -> Ints:
    """Sorted keys, one for each pair and customer, with all their signs."""
    keys = np.concatenate(found) if found else np.empty(0, np.int64)
    keys.sort()
    starts = starts_of(keys >> SIGN_BITS)
    if len(starts) in (0, len(keys)):
        return keys
    signs = np.bitwise_or.reduceat(keys & _SIGNS, starts)
    return (keys[starts] & ~np.int64(_SIGNS)) | signs
