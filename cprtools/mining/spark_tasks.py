"""What tasks of Spark do: the kernel of counting.py over Arrow batches of some customers.

Runs on executors, which need Python with cprtools.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.mining import observing
from cprtools.mining.checking import check_pairs
from cprtools.mining.counting import Reach, Totals, look
from cprtools.mining.observing import LONG_AGO, NO_SESSION, NO_TIME, Events, Join
from cprtools.mining.records import PRODUCT_BITS, count_records
from cprtools.mining.rules import Rules
from cprtools.tables.light import pc

Ints = npt.NDArray[np.int64]

EVENTS_TOGETHER = 200_000
RECORDS_TOGETHER = 1 << 22

PAIR, BUYERS, TOTALS, SIGNS, HEAVY = range(5)
"""Kinds of rows, to be added up by kind, low and high.

PAIR: the counts of a pair. BUYERS: customers who bought `low`, in the first column. TOTALS:
customers, purchasers, sessions, bots, their rows. SIGNS: whether each sign occurs. HEAVY: heavy
customers in the first column; `high` is the most events of one of a task's customers.
"""

COUNTS = ("bought_up", "bought_down", "viewed", "after_up", "after_down")
SCHEMA = "kind INT, low INT, high INT, " + ", ".join(f"{name} BIGINT" for name in COUNTS)
ARROW_SCHEMA = pa.schema(
    [(name, pa.int32()) for name in ("kind", "low", "high")] + [(c, pa.int64()) for c in COUNTS]
)


@dataclass(frozen=True)
class Task:
    """What every task is told."""

    rules: Rules
    reach: Reach

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of SCHEMA from all events of some customers, sorted by customer.

        batches: customer (string), session (string or null), product (int32), is_purchase (bool),
        t (int64 microseconds or null).
        """
        yield from self.count(batches, self.nothing())

    def nothing(self) -> Totals:
        """Totals of no customer."""
        return Totals(np.zeros(len(self.reach.viewed), np.int64))

    def count(self, batches: Iterable[pa.RecordBatch], totals: Totals) -> Iterator[pa.RecordBatch]:
        """The same, into totals of the caller's own."""
        customers = 0
        waiting: list[Ints] = []
        for rows in _whole_customers(batches, EVENTS_TOGETHER):
            events = _events(rows)
            customers += int(events.customer[-1]) + 1
            for block in look(events, self.rules, self.reach, totals):
                waiting.append(block)
                if sum(map(len, waiting)) > RECORDS_TOGETHER:
                    yield _pair_rows(waiting)
                    waiting = []
        if waiting:
            yield _pair_rows(waiting)
        yield from _totals_rows(totals, customers)


@dataclass(frozen=True)
class Check:
    """Asks the customers who were put aside for pairs that others make (Totals.put_aside)."""

    customers: Sequence[Sequence[Join]]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of SCHEMA for those of the pairs that they show. batches: low, high, once each."""
        pairs = [
            (low.astype(np.int64) << PRODUCT_BITS) | high
            for low, high in ([c.to_numpy() for c in batch.columns] for batch in batches)
        ]
        if pairs:
            every = np.concatenate(pairs)
            yield _pair_rows([check_pairs(joins, every) for joins in self.customers])


def _whole_customers(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """Tables of about `most` rows; the rows of one customer are never parted."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= most:
            rows = pa.Table.from_batches(waiting)
            customer = rows.column("customer")
            last = pc.equal(customer, customer[-1])
            start = pc.index(last, True).as_py()
            if start:
                yield rows.slice(0, start)
            waiting = rows.slice(start).to_batches()
    if waiting and any(part.num_rows for part in waiting):
        yield pa.Table.from_batches(waiting)


def _events(rows: pa.Table) -> Events:
    session = _codes(rows.column("session"))
    time = pc.add(rows.column("t"), LONG_AGO)
    return Events(
        _codes(rows.column("customer")),
        np.where(session < 0, NO_SESSION, session),
        rows.column("product").to_numpy().astype(np.int64),
        rows.column("is_purchase").to_numpy(),
        pc.fill_null(time, NO_TIME).to_numpy().astype(np.int64),
    )


def _codes(names: pa.ChunkedArray) -> Ints:
    """Numbers from 0 for each distinct name in the order they come, -1 for null."""
    codes = names.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.fill_null(codes, -1).to_numpy(), np.int64)


def _pair_rows(blocks: Sequence[Ints]) -> pa.RecordBatch:
    low, high, *counts = count_records(np.concatenate(blocks)).columns()
    return _batch(PAIR, low, high, counts)


def _totals_rows(totals: Totals, customers: int) -> Iterator[pa.RecordBatch]:
    none, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    product = np.flatnonzero(totals.bought)
    unused = np.zeros(len(product), np.int64)
    yield _batch(BUYERS, product, unused, [totals.bought[product], *[unused] * 4])
    numbers = (customers, totals.purchasers, totals.sessions, totals.bots, totals.bot_rows)
    yield _batch(TOTALS, none, none, [one * number for number in numbers])
    shown = [one * bool(totals.signs & sign) for sign in observing.SIGNS]
    yield _batch(SIGNS, none, none, shown)
    events = [one * totals.heavy, one * totals.events, *[none] * 3]
    yield _batch(HEAVY, none, one * totals.heaviest, events)


def _batch(kind: int, low: Ints, high: Ints, counts: Sequence[Ints]) -> pa.RecordBatch:
    columns = [np.full(len(low), kind, np.int32), low.astype(np.int32), high.astype(np.int32)]
    return pa.RecordBatch.from_arrays(
        [pa.array(c) for c in [*columns, *counts]], schema=ARROW_SCHEMA
    )
