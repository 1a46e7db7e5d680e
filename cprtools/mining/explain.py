"""The rows behind one pair's counts, counted again without the engine that mines the pairs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from math import sqrt
from operator import itemgetter
from typing import Any

from cprtools.errors import SchemaError, UsageError, nearest_names, quote
from cprtools.mining.definition import Z
from cprtools.mining.pairs import mine_pairs
from cprtools.mining.relations import KINDS, read_lists
from cprtools.mining.report import RELATIONS
from cprtools.mining.rules import FROM_EVENTS, FROM_RELATIONS, Rules
from cprtools.mining.verdicts import Row, Verdict, judge
from cprtools.mining.workspace import Workspace, open_workspace
from cprtools.tables import RELATIONS as RELATIONS_TABLE
from cprtools.tables import columns as c
from cprtools.tables.source import Source

# as the engine has it, but spelled anew: a mistake there must not be repeated here
_HEARD = """
CREATE TEMP VIEW heard AS
SELECT CASE WHEN customer_id IS NULL THEN 's' || session_id ELSE 'c' || customer_id END AS who,
  session_id AS session, product_id AS product, event = 'purchase' AS is_purchase, ts
FROM log
WHERE event IN ('view', 'purchase') AND product_id IS NOT NULL
  AND coalesce(customer_id, session_id) IS NOT NULL
"""
_OF_BOTH = """
CREATE TEMP TABLE touched AS SELECT * FROM heard WHERE product IN ($query, $candidate)
"""
# in two steps: distinct products are counted in the few sessions that could have too many
_LONG = """
CREATE TEMP TABLE long_sessions AS
SELECT who, session FROM heard WHERE session IS NOT NULL
GROUP BY who, session HAVING count(*) > $max_session
"""
_BOTS = """
CREATE TEMP TABLE bots AS
SELECT who, session FROM heard SEMI JOIN long_sessions USING (who, session)
GROUP BY who, session HAVING count(DISTINCT product) > $max_session
"""
_BUYERS = """
SELECT count(DISTINCT who) FILTER (product = $query),
  count(DISTINCT who) FILTER (product = $candidate), count(DISTINCT who)
FROM heard ANTI JOIN bots USING (who, session) WHERE is_purchase
"""
_ROWS = """
SELECT touched.who, product = $query, is_purchase, touched.session, epoch_us(ts),
  bots.session IS NOT NULL, count(*)
FROM touched LEFT JOIN bots ON bots.who = touched.who AND bots.session = touched.session
WHERE touched.who IN (
  SELECT who FROM touched GROUP BY who HAVING count(DISTINCT product) = 2)
GROUP BY ALL ORDER BY ALL NULLS LAST
"""
_NEAR = """
SELECT product FROM {products} GROUP BY product
ORDER BY jaro_winkler_similarity(lower(product), lower($wanted)) DESC, product LIMIT 50
"""
_LISTED = """
SELECT query_id = $query, relation, coalesce(count, 1), rank FROM log
WHERE (query_id = $query AND candidate_id = $candidate)
   OR (query_id = $candidate AND candidate_id = $query)
ORDER BY 1 DESC, relation, rank NULLS LAST, 3
"""
_LIST_PRODUCTS = """(
  SELECT query_id AS product FROM log WHERE query_id <> candidate_id
  UNION ALL SELECT candidate_id FROM log WHERE query_id <> candidate_id)"""


@dataclass(frozen=True)
class Customer:
    """One who touched both products; without customer_id its session stands for it."""

    name: str
    is_session: bool
    rows: tuple[Row, ...]
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class ListRow:
    """A row of ready-made lists, of the pair or of its reverse."""

    is_reverse: bool
    relation: str
    count: int
    rank: int | None


@dataclass(frozen=True)
class Explanation:
    """One directed pair: the rows behind it, and what the pairs table says of it and why."""

    source: str
    query: str
    candidate: str
    counts: Mapping[str, int]
    """Of each relation, before the least counts."""
    minimums: Mapping[str, int]
    customers: tuple[Customer, ...] = ()
    lists: tuple[ListRow, ...] = ()
    query_count: int = 0
    candidate_count: int = 0
    population: int = 0
    """Customers with a purchase."""
    other_occurs: bool = True
    """Whether the source has both view relations at all, however rarely."""

    @property
    def left(self) -> dict[str, int]:
        """The counts that reach their least count, the others 0: what the pairs table holds."""
        return {name: n if n >= self.minimums[name] else 0 for name, n in self.counts.items()}

    @property
    def is_kept(self) -> bool:
        """Whether the pairs table has the pair."""
        return any(self.left.values())

    @property
    def lift(self) -> float | None:
        """co_purchase * N / (query_count * candidate_count)."""
        both = self.query_count * self.candidate_count
        return self.left[c.CO_PURCHASE] * self.population / both if both else None

    @property
    def confidence_low(self) -> float | None:
        """Wilson's 95% lower end of co_purchase / query_count."""
        n = self.query_count
        if not n:
            return None
        share = self.left[c.CO_PURCHASE] / n
        half = Z * sqrt((share * (1 - share) + Z**2 / (4 * n)) / n)
        return max(0.0, (share + Z**2 / (2 * n) - half) / (1 + Z**2 / n))

    @property
    def views_left(self) -> list[str]:
        """The view relations that are left."""
        return [name for name in (c.CO_VIEW, c.PURCHASE_AFTER_VIEW) if self.left[name]]

    @property
    def complement(self) -> bool:
        """Bought together and not compared."""
        return self.left[c.CO_PURCHASE] > 0 and not self.views_left

    @property
    def similar(self) -> bool:
        """Compared and not bought together."""
        wanted = 2 if self.other_occurs else 1
        return not self.left[c.CO_PURCHASE] and len(self.views_left) >= wanted


def explain_pair(
    source: Source,
    query: str,
    candidate: str,
    rules: Rules | None = None,
    *,
    memory_limit: str = "2GB",
    threads: int | None = None,
) -> Explanation:
    """Gather the rows behind one directed pair of an events or relations source, and count them.

    Raises SchemaError for an unknown product and for what `mine_pairs` cannot read, UsageError for
    twice the same product.
    """
    if query == candidate:
        raise UsageError(f"--explain needs two products, got {quote(query)} twice")
    rules = rules or Rules()
    of_lists = source.spec == RELATIONS_TABLE
    with open_workspace(memory_limit, threads) as work, work.reading(source):
        work.values.update(query=query, candidate=candidate, max_session=rules.max_session)
        least = rules.minimums(FROM_RELATIONS if of_lists else FROM_EVENTS)
        minimums = dict(zip(RELATIONS, least, strict=True))
        explain = _explain_lists if of_lists else _explain_events
        found = explain(work, source, rules, minimums)
    if of_lists or found.left[c.CO_PURCHASE] or len(found.views_left) != 1:
        return found
    # the one case in which the rest of the log matters: does the other view relation occur in it?
    if found.counts[c.CO_VIEW] and found.counts[c.PURCHASE_AFTER_VIEW]:
        return found
    with mine_pairs(source, rules, memory_limit=memory_limit, threads=threads) as mined:
        return replace(found, other_occurs=mined.report.single_relation is None)


def _explain_events(
    work: Workspace, source: Source, rules: Rules, minimums: Mapping[str, int]
) -> Explanation:
    work.run(_HEARD)
    work.run(_OF_BOTH)
    _check_known(work, source, "SELECT DISTINCT product FROM touched", "heard")
    work.run(_LONG)
    work.run(_BOTS if work.run("SELECT 1 FROM long_sessions LIMIT 1") else _no_bots())
    query_count, candidate_count, population = work.run(_BUYERS)[0]
    grouped = groupby(work.run(_ROWS), key=itemgetter(0))
    customers = tuple(_customer(who, list(rows), rules) for who, rows in grouped)
    return Explanation(
        source.label,
        work.values["query"],
        work.values["candidate"],
        {name: sum(one.verdicts[name].counts for one in customers) for name in RELATIONS},
        minimums,
        customers,
        query_count=query_count,
        candidate_count=candidate_count,
        population=population,
    )


def _no_bots() -> str:
    return "CREATE TEMP TABLE bots AS SELECT * FROM long_sessions"


def _customer(who: str, found: list[tuple[Any, ...]], rules: Rules) -> Customer:
    rows = [Row(*values[1:]) for values in found]
    rows.sort(key=lambda r: (r.time is None, r.time or 0, r.session or "", not r.is_query))
    return Customer(who[1:], who[0] == "s", tuple(rows), judge(rows, rules))


def _explain_lists(
    work: Workspace, source: Source, rules: Rules, minimums: Mapping[str, int]
) -> Explanation:
    report = read_lists(work, source)
    rows = tuple(ListRow(not same, *values) for same, *values in work.run(_LISTED))
    if not rows:
        known = (
            f"SELECT DISTINCT product FROM {_LIST_PRODUCTS} WHERE product IN ($query, $candidate)"
        )
        _check_known(work, source, known, _LIST_PRODUCTS)
    sums: dict[str, int] = {}
    for row in rows:
        if not row.is_reverse:
            sums[row.relation] = sums.get(row.relation, 0) + row.count
    counts = {
        name: max((n for relation, n in sums.items() if KINDS[relation] == name), default=0)
        for name in RELATIONS
    }
    return Explanation(
        source.label,
        work.values["query"],
        work.values["candidate"],
        counts,
        minimums,
        lists=rows,
        other_occurs=report.single_relation is None,
    )


def _check_known(work: Workspace, source: Source, known: str, products: str) -> None:
    found = {row[0] for row in work.run(known)}
    for wanted in (work.values["query"], work.values["candidate"]):
        if wanted not in found:
            work.values["wanted"] = wanted
            near = [row[0] for row in work.run(_NEAR.format(products=products))]
            raise SchemaError(
                f"{source.label}: no row of a product {quote(wanted)}{nearest_names(wanted, near)}"
            )
