"""Which pairs each customer shows: the definition of DESIGN.md 3, once, for every engine.

An engine hands over the events of whole customers and counts the records that come back. Products
are coded as integers in the order of their ids; times are microseconds from any moment before the
first event.

Time is cut into buckets as long as the window. Within one, x was followed by y if the first x came
no later than the last y; from a bucket to the next, if the first y came within the window of the
last x; buckets further apart never meet. So the first and the last of a customer's rows of one
product in one bucket stand for all of them, and a history is never joined with all of itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cprtools.mining.grouping import (
    Spans,
    bits_of,
    is_in,
    later_rows,
    order_by,
    spans_of,
    starts_of,
)
from cprtools.mining.rules import Rules, micros

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_SESSION = -1
NO_TIME = -1
# microseconds before 1970 from which times are counted, so that none of a real log is negative
LONG_AGO = 1 << 58
SIGNS = BOUGHT_UP, BOUGHT_DOWN, VIEWED, AFTER_UP, AFTER_DOWN = 1, 2, 4, 8, 16
"""Signs of a pair low < high: bought low then high, high then low, viewed both, viewed low then
bought high, viewed high then bought low."""


SAME, NEXT = 0, 1
_BOUGHT = (BOUGHT_UP, BOUGHT_DOWN)
_AFTER = (AFTER_UP, AFTER_DOWN)
_SEEN = (VIEWED, VIEWED)
# a customer and a bucket fit into one integer
_KEY_BITS = 62


@dataclass(frozen=True)
class Events:
    """Rows of whole customers, in any order, repeated or not.

    customer, session (taken within its customer; NO_SESSION where none), product, time (NO_TIME
    where missing): (rows,) int64, numbers from 0. is_purchase: (rows,) bool.
    """

    customer: Ints
    session: Ints
    product: Ints
    is_purchase: Bools
    time: Ints

    def take(self, rows: Ints | Bools) -> "Events":
        """These rows alone."""
        return Events(
            self.customer[rows],
            self.session[rows],
            self.product[rows],
            self.is_purchase[rows],
            self.time[rows],
        )


@dataclass(frozen=True)
class Stretches:
    """A customer's rows of one product in one place (a bucket of time, a session) as one row.

    Sorted by customer, key, product; key + 1 is the customer's next bucket. first, last: earliest
    and latest time. is_buyer: whether the customer bought the product anywhere in the log.
    is_asked: whether the pairs with this product are asked for.
    """

    customer: Ints
    key: Ints
    product: Ints
    first: Ints
    last: Ints
    is_buyer: Bools
    is_asked: Bools


Signs = Callable[[Ints, Ints, Bools], Ints]


@dataclass(frozen=True)
class Join:
    """Each row of `left` meets rows of `right` in the same or the next place.

    step: 0 for the same place, where rows of one table meet those of higher products alone; 1 for
    the next. signs(left rows, right rows, is left the lower product) -> (pairs,) int64: what a
    meeting shows, 0 for nothing.
    """

    left: Stretches
    right: Stretches
    step: int
    signs: Signs
    only_asked: bool = False

    @property
    def is_ordered(self) -> bool:
        """Whether left is always the lower product."""
        return self.step == 0 and self.left is self.right

    @cached_property
    def spans(self) -> Spans:
        """For each row of left the rows of right that it meets."""
        if self.is_ordered:
            spans = later_rows(self.left.key)
        else:
            spans = spans_of(self.right.key, self.left.key + self.step)
        if not self.only_asked:
            return spans
        # most places have no row that is asked for: nothing is looked at there
        asked = np.append(0, np.cumsum(self.right.is_asked))
        is_met = self.left.is_asked | (asked[spans.end] > asked[spans.start])
        return Spans(spans.start, np.where(is_met, spans.end, spans.start))


def find_bots(events: Events, max_session: int) -> Bools:
    """Rows of visits with more than `max_session` distinct products, (rows,)."""
    is_bot = np.zeros(len(events.session), np.bool_)
    rows, starts = _visits(events, events.session != NO_SESSION)
    sizes = np.diff(np.append(starts, len(rows)))
    for number in np.flatnonzero(sizes > max_session):
        visit = rows[starts[number] : starts[number] + sizes[number]]
        is_bot[visit] = len(np.unique(events.product[visit])) > max_session
    return is_bot


def _visits(events: Events, rows: Bools) -> tuple[Ints, Ints]:
    """These rows in the order of their customers and sessions, and where each session starts."""
    kept = np.flatnonzero(rows)
    order = kept[order_by(events.customer[kept], events.session[kept])]
    return order, starts_of(events.customer[order], events.session[order])


def find_joins(
    events: Events,
    rules: Rules,
    purchased: Bools | None = None,
    viewed: Bools | None = None,
    asked: Bools | None = None,
) -> list[Join]:
    """What must be looked at for the pairs of each customer.

    events: without the sessions of bots. purchased, viewed: (products,) whose purchases and views
    can still reach a least count; all where None. asked: (rows,) which rows' customer and product
    are asked for; pairs of others are left out.
    Source: DESIGN.md 3; the relations are those of Hao et al., CIKM 2020, section 3.
    """
    window, view_window = micros(rules.window), micros(rules.view_window)
    is_view, is_purchase = ~events.is_purchase, events.is_purchase
    is_buyer = np.zeros(len(is_view), np.bool_) if rules.count_buyers else _buys_it(events)
    if viewed is not None:
        is_view &= viewed[events.product]
    if purchased is not None:
        is_purchase = is_purchase & purchased[events.product]
    bucket, view_bucket = _buckets(events, window), _buckets(events, view_window)

    marks = (is_buyer, np.zeros(len(is_view), np.bool_) if asked is None else asked)
    bought = _stretches(events, bucket, is_purchase, marks)
    before = _stretches(events, bucket, is_view & ~is_buyer, marks)
    baskets = _stretches(events, events.session, is_purchase, marks)
    seen = _stretches(events, view_bucket, is_view, marks)
    visits = _stretches(
        events, events.session, is_view & _beyond(events, is_view, view_window), marks
    )
    near = _within(seen, seen, view_window, _SEEN)
    compared = _always(VIEWED)
    joins = [
        Join(bought, bought, SAME, _in_order(bought, bought, _BOUGHT)),
        Join(bought, bought, NEXT, _within(bought, bought, window, _BOUGHT)),
        Join(baskets, baskets, SAME, _always(BOUGHT_UP | BOUGHT_DOWN)),
        Join(before, bought, SAME, _in_order(before, bought, _AFTER)),
        Join(before, bought, NEXT, _within(before, bought, window, _AFTER)),
        Join(seen, seen, SAME, _unless_both(seen, compared)),
        Join(seen, seen, NEXT, _unless_both(seen, near)),
        Join(visits, visits, SAME, _unless_both(visits, compared)),
    ]
    if asked is None:
        return joins
    return [replace(join, signs=_if_asked(join), only_asked=True) for join in joins]


def _buys_it(events: Events) -> Bools:
    """Whether the row's customer bought the row's product anywhere in the log."""
    width = bits_of(events.product)
    keys = (events.customer << width) | events.product
    return is_in(keys, np.sort(keys[events.is_purchase]))


def _buckets(events: Events, window: int) -> Ints:
    """The number of each row's stretch of time as long as the window; NO_TIME where it has none."""
    bucket = np.where(events.time == NO_TIME, NO_TIME, events.time // max(1, window))
    if bits_of(bucket) + bits_of(events.customer) < _KEY_BITS:
        return bucket
    # a window of microseconds: number the buckets that occur, and keep gaps between them
    occurring, place = np.unique(bucket, return_inverse=True)
    steps = np.minimum(np.diff(occurring, prepend=occurring[0]), 2)
    return np.where(bucket == NO_TIME, NO_TIME, np.cumsum(steps)[place])


def _stretches(events: Events, place: Ints, rows: Bools, marks: tuple[Bools, Bools]) -> Stretches:
    # one more than there are: a customer's last bucket is not next to the following one's first
    places = int(place.max(initial=0)) + 2
    kept = np.flatnonzero(rows & (place >= 0))
    customer, place, product = events.customer[kept], place[kept], events.product[kept]
    order = order_by(customer, place, product)
    customer, place, product = customer[order], place[order], product[order]
    starts = starts_of(customer, place, product)
    time = events.time[kept][order]
    return Stretches(
        customer[starts],
        customer[starts] * places + place[starts],
        product[starts],
        np.minimum.reduceat(time, starts) if len(starts) else time,
        np.maximum.reduceat(time, starts) if len(starts) else time,
        *(mark[kept[order[starts]]] for mark in marks),
    )


def _beyond(events: Events, rows: Bools, window: int) -> Bools:
    """Rows of visits that time alone does not join: longer than the window, or not all timed."""
    beyond = np.zeros(len(rows), np.bool_)
    order, starts = _visits(events, rows & (events.session != NO_SESSION))
    if len(starts):
        time = events.time[order]
        first, last = np.minimum.reduceat(time, starts), np.maximum.reduceat(time, starts)
        is_long = (first == NO_TIME) | (last - first > window)
        beyond[order] = np.repeat(is_long, np.diff(np.append(starts, len(order))))
    return beyond


def _in_order(left: Stretches, right: Stretches, signs: tuple[int, int]) -> Signs:
    """Rows of one bucket: left was followed by right, or within one table right by left."""
    up_sign, down_sign = signs
    if left is right:
        return lambda a, b, up: (
            up_sign * (left.first[a] <= left.last[b]) + down_sign * (left.first[b] <= left.last[a])
        )
    return lambda a, b, up: np.where(up, up_sign, down_sign) * (left.first[a] <= right.last[b])


def _within(left: Stretches, right: Stretches, window: int, signs: tuple[int, int]) -> Signs:
    """Rows of a bucket and the next: the first of right came within the window of left's last."""
    return lambda a, b, up: np.where(up, *signs) * (right.first[b] - left.last[a] <= window)


def _always(sign: int) -> Signs:
    return lambda a, b, up: np.full(len(a), sign)


def _unless_both(rows: Stretches, signs: Signs) -> Signs:
    """Views on the way to buying both products are no comparison of the two."""
    buyer = rows.is_buyer
    return lambda a, b, up: signs(a, b, up) * ~(buyer[a] & buyer[b])


def _if_asked(join: Join) -> Signs:
    left, right, signs = join.left.is_asked, join.right.is_asked, join.signs
    return lambda a, b, up: signs(a, b, up) * (left[a] | right[b])
