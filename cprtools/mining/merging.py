"""The tables of a kept state: filled by its first run, settled by later ones, read by all."""

from collections.abc import Sequence

import numpy as np

from cprtools.mining import counting, doubts, nightly
from cprtools.mining.nightly import Change
from cprtools.mining.progress import Progress
from cprtools.mining.rules import Rules
from cprtools.mining.workspace import Workspace

TOTALS = """
CREATE OR REPLACE TABLE totals AS SELECT $purchasers::BIGINT AS purchasers,
  $sessions::BIGINT AS sessions, $bots::BIGINT AS bots, $bot_rows::BIGINT AS bot_rows
"""
_TOTALS = ("purchasers", "sessions", "bots", "bot_rows")

CHANGED_BUYERS = "CREATE TEMP TABLE changed_buyers (product INTEGER, customers BIGINT)"
BUYERS = """
CREATE OR REPLACE TABLE buyers AS
SELECT product, sum(customers)::BIGINT AS customers
FROM (SELECT * FROM buyers UNION ALL SELECT * FROM changed_buyers)
GROUP BY product HAVING sum(customers) > 0
"""

_SUMS = ", ".join(
    f"sum({name})::BIGINT AS {name}"
    for name in ("bought_up", "bought_down", "viewed", "after_up", "after_down")
)
# pairs that changed since the counts were last merged, with their counts of today
CHANGED = f"""
CREATE TEMP TABLE changed AS
SELECT low, high, {_SUMS} FROM (
  SELECT * FROM changes
  UNION ALL SELECT * FROM counted SEMI JOIN changes USING (low, high))
GROUP BY low, high
"""
MERGED = """
SELECT * FROM counted ANTI JOIN changed USING (low, high) UNION ALL SELECT * FROM changed
"""
MERGE = (
    f"CREATE TABLE merged AS SELECT * FROM ({MERGED}) "
    "WHERE greatest(bought_up, bought_down, viewed, after_up, after_down) > 0",
    "DROP TABLE counted",
    "ALTER TABLE merged RENAME TO counted",
    "DELETE FROM changes",
    "DELETE FROM changed",
)
# merged when a fifth of the pairs has changed: each run then costs what changes, not what there is
_MERGE_AT = 5

# codes are given in the order of arrival, rows are sorted by the ids themselves
RANKED = """
CREATE TEMP TABLE ranked AS
SELECT product_id, product AS code,
  (row_number() OVER (ORDER BY product_id) - 1)::INTEGER AS product
FROM products
"""
# temporary tables stand before those of the state with the same name
RENAMED = (
    """
CREATE TEMP TABLE buyers AS
SELECT ranked.product, customers FROM buyers JOIN ranked ON code = buyers.product
""",
    "CREATE TEMP TABLE products AS SELECT product_id, product FROM ranked",
    "CREATE TEMP TABLE population AS SELECT purchasers AS customers FROM totals",
)
REACHED = f"""
CREATE TEMP TABLE reached AS
SELECT l.product AS low, h.product AS high, bought_up, bought_down, viewed, after_up, after_down
FROM ({MERGED}) JOIN ranked l ON l.code = low JOIN ranked h ON h.code = high
WHERE greatest(bought_up, bought_down) >= $min_co_purchase OR viewed >= $min_co_view
  OR greatest(after_up, after_down) >= $min_purchase_after_view
"""
PRESENT = """
SELECT coalesce(bool_or(bought_up > 0 OR bought_down > 0), FALSE),
  coalesce(bool_or(viewed > 0), FALSE), coalesce(bool_or(after_up > 0 OR after_down > 0), FALSE)
FROM ({pairs})
"""
SEEN = """
SELECT (SELECT count(DISTINCT product) FROM events) AS products,
  (SELECT count(*) FROM visitors) AS customers, purchasers AS "customers with a purchase",
  sessions, bots AS "sessions dropped as bots", bot_rows AS "rows dropped as bots"
FROM totals
"""
HEAVY_CUSTOMERS = """
SELECT count(*) FILTER (n > {heavy}), coalesce(max(n), 0), coalesce(sum(n), 0)::BIGINT
FROM (SELECT count(*) AS n FROM events GROUP BY customer)
"""


def begin(work: Workspace, rules: Rules, progress: Progress) -> None:
    """Fill a new state from the workspace's coded events."""
    totals = counting.count_pairs(work, rules, (1, 1, 1), progress)
    work.run(nightly.CHANGES)
    _store(work, {name: int(getattr(totals, name)) for name in _TOTALS})


def settle(work: Workspace, changes: Sequence[Change]) -> None:
    """Bring a state's totals up to date with what its customers changed."""
    totals = work.record("SELECT * FROM totals")
    work.run(CHANGED_BUYERS)
    for change in changes:
        for name in _TOTALS:
            totals[name] += int(getattr(change.after, name)) - int(getattr(change.before, name))
        bought = change.after.bought - change.before.bought
        product = np.flatnonzero(bought)
        work.insert("changed_buyers", (product, bought[product]))
    _store(work, totals)
    work.run(BUYERS)


def _store(work: Workspace, totals: dict[str, int]) -> None:
    work.values.update(totals)
    work.run(TOTALS)


def heavy_customers(work: Workspace) -> tuple[int, ...]:
    """Customers of very many events, the most events of one, and the events of all."""
    return work.run(HEAVY_CUSTOMERS.format(heavy=doubts.HEAVY))[0]


def read_out(work: Workspace, minimums: Sequence[int], *, merge: bool) -> tuple[bool, ...]:
    """Leave the state's pairs that reach a least count in `reached`, coded in the order of the ids.

    From then on `products`, `buyers` and `population` are coded alike. merge: bring changed counts
    back into one table now, however few. Returns which of co_purchase, co_view and
    purchase_after_view any pair shows.
    """
    names = ("min_co_purchase", "min_co_view", "min_purchase_after_view")
    work.values.update(zip(names, minimums, strict=True))
    work.run(CHANGED)
    changed, counted = work.run("SELECT (SELECT count(*) FROM changed), count(*) FROM counted")[0]
    if merge or changed * _MERGE_AT > counted:
        for statement in MERGE:
            work.run(statement)
    work.run(RANKED)
    work.run(REACHED)
    # the pairs kept show all three relations in most logs; else all pairs are asked
    shown = work.run(PRESENT.format(pairs="SELECT * FROM reached"))[0]
    if not all(shown):
        shown = work.run(PRESENT.format(pairs=MERGED))[0]
    for statement in RENAMED:
        work.run(statement)
    return shown
