"""What the report counts over the pairs that are left, as SQL that DuckDB and Spark both run.

Read are the tables `kept` (what `kept_sql` yields), `products` (product, product_id) and, where a
catalogue is given, `catalogue` (product_id, type: a number, null where unknown).
"""

from collections.abc import Callable
from typing import Any

from cprtools.mining.report import OVERLAPS, RELATIONS, CatalogueReport, Crossing, MiningReport

Ask = Callable[[str], tuple[Any, ...]]
"""Runs a query of one row and returns that."""

_KEPT = """
SELECT count(*) FILTER (WHERE co_purchase > 0), count(*) FILTER (WHERE co_view > 0),
  count(*) FILTER (WHERE purchase_after_view > 0),
  count(*) FILTER (WHERE co_purchase > 0 AND co_view > 0),
  count(*) FILTER (WHERE co_purchase > 0 AND purchase_after_view > 0),
  count(*) FILTER (WHERE co_view > 0 AND purchase_after_view > 0),
  count(*), count(*) FILTER (WHERE complement), count(*) FILTER (WHERE similar_pair)
FROM kept
"""

# grouped before the union: the distinct count then sees a row per product, not one per pair
_PRODUCTS = """
SELECT count(DISTINCT product), count(DISTINCT CASE WHEN flagged = 1 THEN product END)
FROM (
  SELECT query AS product, max(CASE WHEN complement OR similar_pair THEN 1 ELSE 0 END) AS flagged
  FROM kept GROUP BY query
  UNION ALL
  SELECT candidate, max(CASE WHEN complement OR similar_pair THEN 1 ELSE 0 END)
  FROM kept GROUP BY candidate) sides
"""

_CATALOGUE = """
SELECT count(*), count(*) FILTER (WHERE products.product IS NULL),
  (SELECT count(*) FROM products) - count(products.product)
FROM catalogue LEFT JOIN products ON products.product_id = catalogue.product_id
"""

_CROSSINGS = """
WITH types AS (
  SELECT product, type
  FROM products JOIN catalogue ON products.product_id = catalogue.product_id
  WHERE type IS NOT NULL)
SELECT {counts}
FROM kept JOIN types q ON q.product = query JOIN types c ON c.product = candidate
"""


def summarise(report: MiningReport, ask: Ask) -> None:
    """Fill in what the table `kept` tells: pairs by relation and flag, and products in them."""
    found = ask(_KEPT)
    report.after = dict(zip(RELATIONS, found[:3], strict=True))
    report.overlaps = dict(zip(OVERLAPS, found[3:6], strict=True))
    report.pairs, report.complements, report.similar = found[6:]
    report.paired, report.flagged = ask(_PRODUCTS)


def compare_with_catalogue(report: MiningReport, ask: Ask) -> None:
    """Fill in what the table `catalogue` adds: products on one side only, pairs across types.

    Cleaning is for the better if complements cross types more often after it, and similar pairs
    less often: the published check had cleaned pairs rated 30% more complementary.
    """
    products, unseen, foreign = ask(_CATALOGUE)
    both = "OR" if report.single_relation else "AND"
    flags = (
        "co_purchase > 0",
        "complement",
        f"(co_view > 0 {both} purchase_after_view > 0)",
        "similar_pair",
    )
    counts = ", ".join(
        f"count(*) FILTER (WHERE {flag}), count(*) FILTER (WHERE {flag} AND q.type <> c.type)"
        for flag in flags
    )
    found = ask(_CROSSINGS.format(counts=counts))
    crossings = [Crossing(*found[i : i + 2]) for i in range(0, len(found), 2)]
    report.catalogue = CatalogueReport(
        products, unseen, foreign, (crossings[0], crossings[1]), (crossings[2], crossings[3])
    )
