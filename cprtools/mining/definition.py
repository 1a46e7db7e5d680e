"""What the counts of a pair say of it (DESIGN.md 3), as SQL that DuckDB and Spark both run.

Which pairs a customer shows is decided in observing.py, for both as well: an engine stages rows,
adds up and sorts.
"""

from collections.abc import Sequence

# two-sided 95% of the normal distribution
Z = 1.959963984540054


def kept_sql(minimums: Sequence[int], *, needs_both: bool) -> str:
    """Pairs of the table `directed` that reach a least count, with the flags that cleaning sets.

    minimums: least counts of co_purchase, co_view and purchase_after_view. needs_both: whether
    `similar` asks for both view relations (Hao et al., CIKM 2020, 3: (B_cv n B_pv) - B_cp).
    """
    names = ("co_purchase", "co_view", "purchase_after_view")
    reached = ", ".join(
        f"CASE WHEN {name} >= {int(least)} THEN {name} ELSE 0 END AS {name}"
        for name, least in zip(names, minimums, strict=True)
    )
    viewed = "(co_view > 0 AND purchase_after_view > 0)" if needs_both else "TRUE"
    return f"""
SELECT query, candidate, co_purchase, co_view, purchase_after_view,
  co_purchase > 0 AND co_view = 0 AND purchase_after_view = 0 AS complement,
  co_purchase = 0 AND {viewed} AS similar_pair
FROM (SELECT query, candidate, {reached} FROM directed) reached
WHERE co_purchase > 0 OR co_view > 0 OR purchase_after_view > 0
"""


# doubles before the product: customers times customers outgrows an integer in large logs
LIFT = """(CAST(co_purchase AS DOUBLE) * population_count
  / NULLIF(CAST(query_count AS DOUBLE) * CAST(candidate_count AS DOUBLE), 0))"""

# Wilson's score interval (1927), lower end, of co_purchase / query_count: with n the query_count,
# n of n is n / (n + z^2), so 2 of 2 say 0.34 and 200 of 200 say 0.98; 0 of n is 0 to the last bit
CONFIDENCE_LOW = f"""((co_purchase + CAST({Z * Z!r} AS DOUBLE) / 2 - CAST({Z!r} AS DOUBLE) * SQRT(
  CAST(co_purchase AS DOUBLE) * (query_count - co_purchase) / NULLIF(query_count, 0)
  + CAST({Z * Z!r} AS DOUBLE) / 4)) / (query_count + CAST({Z * Z!r} AS DOUBLE)))"""
