"""New events into a kept state, and customers out of it, as if all had been read at once.

Only customers who are met again are looked at, and of their pairs only those with a product that is
met again: what these showed before is taken off the counts, what they show now is added.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from cprtools.mining import records, sql
from cprtools.mining.counting import EVENT_BYTES, Totals, number_sessions
from cprtools.mining.grouping import bits_of, cut, is_in
from cprtools.mining.observing import Events, find_bots, find_joins
from cprtools.mining.parallel import in_order
from cprtools.mining.rules import Rules
from cprtools.mining.workspace import Workspace

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ADD_PRODUCTS = """
INSERT INTO products (product_id, product)
SELECT product_id,
  (SELECT coalesce(max(product), -1) FROM products) + row_number() OVER (ORDER BY product_id)
FROM (SELECT DISTINCT product_id FROM usable) ANTI JOIN products USING (product_id)
"""

ADD_VISITORS = f"""
INSERT INTO visitors
SELECT is_anonymous, visitor,
  (SELECT coalesce(max(customer), -1) FROM visitors) + row_number() OVER ()
FROM ({sql.WHO_VISITS}) ANTI JOIN visitors USING (is_anonymous, visitor)
"""

FRESH = f"CREATE TEMP TABLE fresh AS SELECT DISTINCT {sql.ROWS} FROM ({sql.CODED})"
READING = (ADD_PRODUCTS, ADD_VISITORS, FRESH)
NOTHING_FRESH = f"CREATE TEMP TABLE fresh AS SELECT {sql.ROWS} FROM events LIMIT 0"
OLD = f"""
CREATE TEMP TABLE old AS SELECT {sql.ROWS} FROM events SEMI JOIN (
  SELECT customer FROM fresh UNION SELECT customer FROM forgotten) USING (customer)
"""
# returns how many were found: one or none
FORGET = """
INSERT INTO forgotten
SELECT customer FROM visitors WHERE NOT is_anonymous AND visitor = $visitor
"""
DROP_UNSEEN = "DELETE FROM products WHERE product NOT IN (SELECT product FROM events)"
MET = """
SELECT customer, count(*) AS n FROM (
  SELECT customer FROM old UNION ALL SELECT customer FROM fresh) GROUP BY ALL ORDER BY ALL
"""
CHANGES = f"CREATE TABLE IF NOT EXISTS changes ({sql.COUNTS})"
FORGET_THEM = (
    "DELETE FROM events WHERE customer IN (SELECT customer FROM forgotten)",
    "DELETE FROM visitors WHERE customer IN (SELECT customer FROM forgotten)",
)
# returns how many
ADD = f"""
INSERT INTO events ({sql.ROWS}) SELECT {sql.ROWS} FROM fresh ANTI JOIN old USING ({sql.ROWS})
"""


@dataclass(frozen=True)
class Change:
    """What some customers change: differences of counts, and what they showed before and now."""

    counts: records.Counts
    before: Totals
    after: Totals


def change(work: Workspace, rules: Rules) -> tuple[list[Change], int]:
    """Bring a state up to date with the tables `fresh` (coded events) and `forgotten` (customers).

    Differences of counts go to the table `changes`; the changes of everything else are returned,
    and how many events the state did not have.
    """
    work.run(OLD)
    work.run(CHANGES)
    products = work.run("SELECT coalesce(max(product) + 1, 0) FROM products")[0][0]
    gone = work.columns("SELECT customer FROM forgotten ORDER BY customer", shared=False)[0]
    changes = []
    with work.making_room(), ThreadPoolExecutor(work.threads) as pool:
        look = partial(_change, rules=rules, products=products)
        for change in in_order(pool, look, _parts(work, gone)):
            work.insert("changes", change.counts.columns())
            changes.append(change)
    for statement in FORGET_THEM:
        work.run(statement)
    return changes, int(work.run(ADD)[0][0])


def _parts(work: Workspace, gone: Ints) -> Iterator[tuple[Events, Events, Bools]]:
    """Old and new events of some customers at a time, and which of the old ones are forgotten."""
    met, events = work.columns(MET, shared=False)
    for start, end in cut(events, work.share // EVENT_BYTES):
        first, last = met[start], met[end]
        old, fresh = (
            work.columns(sql.SOME_EVENTS.format(events=name, first=first, last=last), shared=False)
            for name in ("old", "fresh")
        )
        session = number_sessions(np.concatenate([old[1], fresh[1]]))
        both = [np.concatenate(columns) for columns in zip(old, fresh, strict=True)]
        forgotten = is_in(old[0], gone)
        rows = Events(both[0] - first, session, both[2], both[3].astype(np.bool_), both[4])
        is_old = np.arange(len(session)) < len(forgotten)
        is_left = np.append(~forgotten, ~is_old[len(forgotten) :])
        yield rows.take(is_old), rows.take(is_left), forgotten


def _change(part: tuple[Events, Events, Bools], rules: Rules, products: int) -> Change:
    old, new, forgotten = part
    bots_before, bots_now = (find_bots(rows, rules.max_session) for rows in (old, new))
    still = int(np.count_nonzero(~forgotten))
    changed = forgotten.copy()
    changed[~forgotten] |= bots_before[~forgotten] != bots_now[:still]
    width = max(bits_of(old.product), bits_of(new.product))
    keys_old, keys_new = ((rows.customer << width) | rows.product for rows in (old, new))
    asked = np.unique(np.concatenate([keys_old[changed], keys_new[still:]]))
    before, after = (Totals(np.zeros(products, np.int64)) for _ in range(2))
    counts = []
    for rows, bots, keys, totals in (
        (old, bots_before, keys_old, before),
        (new, bots_now, keys_new, after),
    ):
        totals.add(rows, bots)
        joins = find_joins(rows.take(~bots), rules, asked=is_in(keys[~bots], asked))
        found = list(records.records_of(joins, records.count_meetings(joins)))
        counts.append(records.count_records(np.concatenate(found or [keys[:0]])))
    return Change(records.difference(counts[1], counts[0]), before, after)
