"""The statements of pair mining on Spark; what tells of a pair is counted by spark_tasks.py."""

from cprtools.mining.spark_tasks import COUNTS

USABLE_EVENTS = """
SELECT customer_id, session_id, product_id, event = 'purchase' AS is_purchase,
  UNIX_MICROS(ts) AS t
FROM log
WHERE event IN ('view', 'purchase') AND product_id IS NOT NULL
  AND (customer_id IS NOT NULL OR session_id IS NOT NULL)
"""

# codes follow the order of the ids, so that sorting by code is sorting by id
_CODES = "CAST(ROW_NUMBER() OVER (ORDER BY product_id) - 1 AS INT) AS product"
PRODUCTS_OF_EVENTS = f"""
SELECT product_id, {_CODES}, purchases, views
FROM (
  SELECT product_id, COUNT_IF(is_purchase) AS purchases, COUNT_IF(NOT is_purchase) AS views
  FROM usable GROUP BY product_id)
"""

REACH = """
SELECT product, purchases >= {purchases} AS purchased, views >= {views} AS viewed FROM products
"""

# customer '5' and the anonymous session '5' are two people
EVENTS = """
SELECT COALESCE('c' || customer_id, 's' || session_id) AS customer, session_id AS session,
  product, is_purchase, t
FROM usable JOIN products USING (product_id)
"""

# large customers, who make pairs without number; as many as may be asked for others' pairs alone
HEAVIEST = """
SELECT customer
FROM (
  SELECT COALESCE('c' || customer_id, 's' || session_id) AS customer, COUNT(*) AS n
  FROM usable GROUP BY 1)
WHERE n > {rows} ORDER BY n DESC, customer LIMIT {most}
"""

_SUMS = ", ".join(f"SUM({name}) AS {name}" for name in COUNTS)
ADDED_UP = f"SELECT kind, low, high, {_SUMS} FROM looked GROUP BY kind, low, high"

PAIRS_OF_OTHERS = "SELECT low, high FROM added_up WHERE kind = {pair}"

REACHED = f"""{ADDED_UP}
HAVING kind <> {{pair}} OR viewed >= {{least[1]}}
  OR GREATEST(bought_up, bought_down) >= {{least[0]}}
  OR GREATEST(after_up, after_down) >= {{least[2]}}
"""

# kinds of rows that need no product
NUMBERS = f"SELECT kind, high, {', '.join(COUNTS)} FROM added_up WHERE kind > {{buyers}}"

BUYERS = "SELECT low AS product, bought_up AS customers FROM added_up WHERE kind = {kind}"

POPULATION = "SELECT CAST({customers} AS BIGINT) AS customers"

DIRECTED = """
SELECT low AS query, high AS candidate, bought_up AS co_purchase, viewed AS co_view,
  after_up AS purchase_after_view FROM added_up WHERE kind = {pair}
UNION ALL
SELECT high, low, bought_down, viewed, after_down FROM added_up WHERE kind = {pair}
"""

USABLE_RELATIONS = """
SELECT query_id, candidate_id, relation, COALESCE(count, 1) AS count
FROM log WHERE query_id <> candidate_id
"""

PRODUCTS_OF_RELATIONS = f"""
SELECT product_id, {_CODES}
FROM (SELECT query_id AS product_id FROM usable UNION SELECT candidate_id FROM usable)
"""

# rows of one list add up; lists that mean the same relation (also_bought, bought_together) are two
# views of one behaviour, so the larger counts
DIRECTED_RELATIONS = """
SELECT q.product AS query, c.product AS candidate,
  COALESCE(MAX(total) FILTER (WHERE kind = 'co_purchase'), 0) AS co_purchase,
  COALESCE(MAX(total) FILTER (WHERE kind = 'co_view'), 0) AS co_view,
  COALESCE(MAX(total) FILTER (WHERE kind = 'purchase_after_view'), 0) AS purchase_after_view
FROM (
  SELECT query_id, candidate_id, relation, SUM(count) AS total FROM usable
  GROUP BY query_id, candidate_id, relation) lists
JOIN kinds USING (relation)
JOIN products q ON q.product_id = query_id JOIN products c ON c.product_id = candidate_id
GROUP BY q.product, c.product
"""

NO_BUYERS = "SELECT CAST(NULL AS INT) AS product, CAST(NULL AS BIGINT) AS customers WHERE FALSE"

# whole queries, about so many rows together: read one after the other, no result is ever larger
BLOCKS = """
SELECT MIN(query), MAX(query) FROM (
  SELECT query, (SUM(n) OVER (ORDER BY query) - n) DIV {rows} AS block
  FROM (SELECT query, COUNT(*) AS n FROM kept GROUP BY query))
GROUP BY block ORDER BY block
"""

PAIRS = """
SELECT query, candidate, q.product_id AS query_id, c.product_id AS candidate_id,
  co_purchase, co_view, purchase_after_view, query_count, candidate_count,
  {lift} AS lift, {confidence_low} AS confidence_low,
  complement, similar_pair, similar_pair AS similar
FROM (
  SELECT kept.*, COALESCE(qb.customers, 0) AS query_count,
    COALESCE(cb.customers, 0) AS candidate_count, population.customers AS population_count
  FROM ({kept}) kept CROSS JOIN population
  LEFT JOIN buyers qb ON qb.product = query LEFT JOIN buyers cb ON cb.product = candidate)
JOIN products q ON q.product = query JOIN products c ON c.product = candidate
"""
