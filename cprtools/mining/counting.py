"""Events of all customers to customers per pair, on several threads and within memory.

Customers are looked at part by part. Their records go to disk in runs of neighbouring products; the
runs are then sorted and counted one by one, and pairs below the least counts end there.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event, Lock

import numpy as np
import numpy.typing as npt

from cprtools.mining import records, sql
from cprtools.mining.checking import check_pairs
from cprtools.mining.doubts import HEAVY
from cprtools.mining.grouping import cut, distinct, starts_of
from cprtools.mining.observing import (
    AFTER_DOWN,
    AFTER_UP,
    BOUGHT_DOWN,
    BOUGHT_UP,
    NO_SESSION,
    VIEWED,
    Events,
    Join,
    find_bots,
    find_joins,
)
from cprtools.mining.parallel import in_order
from cprtools.mining.progress import Progress
from cprtools.mining.rules import Rules
from cprtools.mining.workspace import Workspace
from cprtools.tables.spooling import Runs

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# memory of one event while its part is looked at, and of one record while its run is counted
EVENT_BYTES = 500
_RECORD_BYTES = 64
_RUNS = 256
# a customer who makes more pairs of rows than that is looked at last, if the least count allows it
MOST_MEETINGS = 1 << 26
# signs of co_purchase, co_view and purchase_after_view
_KINDS = (BOUGHT_UP | BOUGHT_DOWN, VIEWED, AFTER_UP | AFTER_DOWN)
# customers that lie together on disk and are read together
NEIGHBOURS = 1024


@dataclass
class Totals:
    """What was seen besides the pairs, added up from several threads."""

    bought: Ints
    """Customers who bought each product, (products,)."""
    purchasers: int = 0
    sessions: int = 0
    bots: int = 0
    bot_rows: int = 0
    heavy: int = 0
    """Customers of more than HEAVY events."""
    heaviest: int = 0
    """The most events of one customer."""
    events: int = 0
    """Events of all customers."""
    signs: int = 0
    """All signs that any pair showed."""
    aside: list[Sequence[Join]] = field(default_factory=list, repr=False)
    lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def present(self) -> tuple[bool, ...]:
        """Whether any pair shows co_purchase, co_view, purchase_after_view."""
        return tuple(bool(self.signs & kind) for kind in _KINDS)

    def see(self, signs: int) -> None:
        """Note the signs that some pairs show."""
        with self.lock:
            self.signs |= signs

    def put_aside(self, joins: Sequence[Join], most: int) -> bool:
        """Keep a customer for `complete`, unless `most` are kept already.

        A pair of m customers is shown by one at least who is not among any m - 1 of them: so with a
        least count of m, m - 1 customers need to be asked only for the pairs of all others. That
        holds for each relation by itself, of those that show it.
        """
        with self.lock:
            if len(self.aside) >= most:
                return False
            self.aside.append(joins)
        self.see(records.shown_kinds(joins))
        return True

    def complete(self, found: Ints) -> Ints:
        """Records of all customers, from those of the customers who were not put aside."""
        if not self.aside:
            return found
        pairs = np.unique(found >> records.SIGN_BITS)
        return np.concatenate([found, *(check_pairs(joins, pairs) for joins in self.aside)])

    def add(self, events: Events, bots: Bools) -> None:
        """Count a part's visits, and purchases outside the visits of bots."""
        in_visit = events.session != NO_SESSION
        visits = distinct(events.customer[in_visit], events.session[in_visit])
        bot_visits = distinct(events.customer[bots], events.session[bots])
        events_of = np.bincount(events.customer)
        rows = events.is_purchase & ~bots
        customer, product = distinct(events.customer[rows], events.product[rows])
        with self.lock:
            self.sessions += len(visits[0])
            self.bots += len(bot_visits[0])
            self.bot_rows += int(np.count_nonzero(bots))
            self.heavy += int(np.count_nonzero(events_of > HEAVY))
            self.events += len(events.customer)
            self.heaviest = max(self.heaviest, int(events_of.max(initial=0)))
            self.purchasers += len(starts_of(customer))
            self.bought += np.bincount(product, minlength=len(self.bought))


@dataclass(frozen=True)
class Reach:
    """What can reach a least count of co_purchase, co_view, purchase_after_view."""

    minimums: Sequence[int]
    purchased: Bools
    """(products,) which have enough purchases."""
    viewed: Bools
    """(products,) which have enough views."""

    def least(self, signs: int) -> int:
        """The smallest of the least counts that these signs help to reach, 1 without signs."""
        pairs = zip(_KINDS, self.minimums, strict=True)
        return min((count for kind, count in pairs if signs & kind), default=1)

    def keeps(self, counts: records.Counts) -> Bools:
        """Pairs that reach one of the least counts in one of their directions."""
        bought, seen, after = self.minimums
        keeps: Bools = (
            (np.maximum(counts.bought_up, counts.bought_down) >= bought)
            | (counts.viewed >= seen)
            | (np.maximum(counts.after_up, counts.after_down) >= after)
        )
        return keeps


def count_pairs(
    work: Workspace, rules: Rules, minimums: Sequence[int], progress: Progress
) -> Totals:
    """Fill `counted` and `buyers` of a workspace that holds `products` and `events`.

    minimums: the least counts of co_purchase, co_view and purchase_after_view; pairs below all of
    them are not in `counted`.
    """
    purchases, views = work.columns(sql.ROWS_BY_PRODUCT)
    bought, seen, after = minimums
    reach = Reach(minimums, purchases >= min(bought, after), views >= min(seen, after))
    totals = Totals(np.zeros(len(purchases), np.int64))
    runs = Runs(work.folder / "runs", _first_records(purchases + views))
    parts = _parts(work)
    work.run(sql.COUNTED)
    stop = Event()
    # what is under way is waited for: after an interruption it ends at its next block
    with work.making_room(), ThreadPoolExecutor(work.threads) as pool, ExitStack() as left:
        left.callback(stop.set)

        def write(part: tuple[int, int]) -> None:
            for block in look(_fetch(work, part), rules, reach, totals):
                if stop.is_set():
                    return
                runs.append(block)

        def count(group: Sequence[int]) -> records.Counts:
            counts = records.count_records(totals.complete(runs.take(group)), min(minimums))
            return counts.take(reach.keeps(counts))

        for _ in in_order(pool, write, progress(parts, "looking at customers", len(parts))):
            pass
        groups = runs.groups(work.share // _RECORD_BYTES)
        for counts in in_order(pool, count, progress(groups, "counting pairs", len(groups))):
            work.insert("counted", counts.columns())
    _store_buyers(work, totals)
    return totals


def look(events: Events, rules: Rules, reach: Reach, totals: Totals) -> Iterator[Ints]:
    """Blocks of records of some whole customers; what else they show is added to the totals."""
    bots = find_bots(events, rules.max_session)
    totals.add(events, bots)
    # whether a relation occurs at all is asked of every product, until it is known
    masks = (reach.purchased, reach.viewed) if all(totals.present) else (None, None)
    events = events.take(~bots)
    joins = find_joins(events, rules, *masks)
    meetings = records.count_meetings(joins)
    for customer in np.flatnonzero(meetings > MOST_MEETINGS):
        is_theirs = events.customer == customer
        theirs = find_joins(events.take(is_theirs), rules, *masks)
        if totals.put_aside(theirs, reach.least(records.shown_kinds(theirs)) - 1):
            events = events.take(~is_theirs)
            joins = find_joins(events, rules, *masks)
            meetings[customer] = 0
    for block in records.records_of(joins, meetings):
        totals.see(records.all_signs(block))
        yield block


def _fetch(work: Workspace, part: tuple[int, int]) -> Events:
    first, last = part
    columns = work.columns(sql.SOME_EVENTS.format(events="events", first=first, last=last))
    customer, session, product, is_purchase, time = columns
    kinds = is_purchase.astype(np.bool_)
    return Events(customer - first, number_sessions(session), product, kinds, time)


def number_sessions(session: Ints) -> Ints:
    """Hashes of sessions as small numbers; NO_SESSION, which sorts first, stays what it is."""
    names, numbers = np.unique(session, return_inverse=True)
    return numbers + (NO_SESSION if len(names) and names[0] == NO_SESSION else 0)


def _parts(work: Workspace) -> list[tuple[int, int]]:
    """Ranges of customers, first and last, that have few enough events to be looked at together."""
    neighbours, events = work.columns(sql.NEIGHBOURHOODS)
    return [
        (int(neighbours[first]) * NEIGHBOURS, int(neighbours[last] + 1) * NEIGHBOURS - 1)
        for first, last in cut(events, work.share // EVENT_BYTES)
    ]


def _first_records(rows: Ints) -> Ints:
    """The first record of each run, so that runs are about as long as each other.

    rows: events of each product. The lower product of a pair is met as often as it has events, and
    as there are events of products above it.
    """
    weight = np.cumsum(rows * (rows.sum() - np.cumsum(rows)).astype(np.float64))
    wanted = weight.max(initial=0) * np.arange(1, _RUNS) / _RUNS
    lows = np.unique(np.append(0, np.searchsorted(weight, wanted)))
    return records.first_record(lows)


def _store_buyers(work: Workspace, totals: Totals) -> None:
    product = np.flatnonzero(totals.bought)
    work.run("CREATE TABLE buyers (product INTEGER, customers BIGINT)")
    work.insert("buyers", (product, totals.bought[product]))
    work.run(f"CREATE TABLE population AS SELECT {totals.purchasers}::BIGINT AS customers")
