"""The statements of pair mining on DuckDB, in the order they run. `$name` is a parameter.

Views `log` (the user's rows under our names) and `usable` come first. Ids are then coded as
integers, since joins, groups and spilled rows of integers take a fraction of those of strings.
"""

from cprtools.mining.definition import CONFIDENCE_LOW, LIFT
from cprtools.mining.observing import LONG_AGO, NO_SESSION, NO_TIME

OTHER_EVENT = "neither view nor purchase"

USABLE_EVENTS = """
CREATE TEMP VIEW usable AS
SELECT customer_id, session_id, product_id, event = 'purchase' AS is_purchase, epoch_us(ts) AS t
FROM log
WHERE event IN ('view', 'purchase') AND product_id IS NOT NULL
  AND (customer_id IS NOT NULL OR session_id IS NOT NULL)
"""

EVENT_ROWS = f"""
SELECT
  CASE WHEN coalesce(event NOT IN ('view', 'purchase'), TRUE) THEN '{OTHER_EVENT}'
       WHEN product_id IS NULL THEN 'no product_id'
       WHEN customer_id IS NULL AND session_id IS NULL THEN 'neither customer_id nor session_id'
  END AS reason,
  CASE WHEN coalesce(event NOT IN ('view', 'purchase'), TRUE) THEN event END AS other_event,
  count(*) AS n,
  count(*) FILTER (WHERE ts < $earliest) AS early, count(*) FILTER (WHERE ts > $latest) AS late
FROM log GROUP BY ALL ORDER BY reason NULLS FIRST, n DESC, other_event NULLS LAST
"""

# codes follow the order of the ids, so that sorting by code is sorting by id
PRODUCTS_OF_EVENTS = """
CREATE TABLE products AS
SELECT product_id, (row_number() OVER (ORDER BY product_id) - 1)::INTEGER AS product,
  purchases, views
FROM (
  SELECT product_id, count(*) FILTER (is_purchase) AS purchases,
    count(*) FILTER (NOT is_purchase) AS views
  FROM usable GROUP BY product_id)
"""

# customer '5' and the anonymous session '5' are two people
WHO_VISITS = """
SELECT DISTINCT customer_id IS NULL AS is_anonymous, coalesce(customer_id, session_id) AS visitor
FROM usable
"""
VISITORS = f"""
CREATE TABLE visitors AS
SELECT is_anonymous, visitor, (row_number() OVER () - 1)::INTEGER AS customer
FROM ({WHO_VISITS})
"""

# sessions are told apart within their customer only: there 63 bits of a hash are as good as the
# name, and spare a join with all the sessions there are
CODED = f"""
SELECT customer, product, is_purchase, coalesce(t + {LONG_AGO}, {NO_TIME}) AS t,
  CASE WHEN session_id IS NULL THEN {NO_SESSION} WHEN is_anonymous THEN 0
    ELSE (hash(session_id) >> 1)::BIGINT END AS session
FROM usable JOIN products USING (product_id) JOIN visitors ON is_anonymous = (customer_id IS NULL)
  AND visitor = coalesce(customer_id, session_id)
"""

EVENTS = f"CREATE TABLE events AS {CODED} ORDER BY customer // $neighbours"

TOTALS = """
SELECT (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM visitors) AS customers
"""

READING_EVENTS = (PRODUCTS_OF_EVENTS, VISITORS, EVENTS)

NEIGHBOURHOODS = """
SELECT customer // $neighbours AS neighbours, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL
"""

ROWS = "customer, session, product, is_purchase, t"
SOME_EVENTS = (
    f"SELECT {ROWS} FROM {{events}} WHERE customer BETWEEN {{first}} AND {{last}} ORDER BY 1"
)

ROWS_BY_PRODUCT = "SELECT purchases, views FROM products ORDER BY product"

COUNTS = """low INTEGER, high INTEGER, bought_up BIGINT, bought_down BIGINT, viewed BIGINT,
  after_up BIGINT, after_down BIGINT"""
COUNTED = f"CREATE TABLE counted ({COUNTS})"

DIRECTED = """
CREATE TEMP VIEW directed AS
SELECT low AS query, high AS candidate, bought_up AS co_purchase, viewed AS co_view,
  after_up AS purchase_after_view FROM {counted}
UNION ALL
SELECT high, low, bought_down, viewed, after_down FROM {counted}
"""

USABLE_RELATIONS = """
CREATE TEMP VIEW usable AS
SELECT query_id, candidate_id, relation, coalesce(count, 1) AS count
FROM log WHERE query_id <> candidate_id
"""

RELATION_ROWS = """
SELECT relation, count(*) AS n, coalesce(min(count), 1) AS least,
  count(*) FILTER (WHERE query_id IS NULL OR candidate_id IS NULL) AS no_id,
  count(*) FILTER (WHERE query_id = candidate_id) AS itself
FROM log GROUP BY relation ORDER BY relation NULLS FIRST
"""

PRODUCTS_OF_RELATIONS = """
CREATE TABLE products AS
SELECT product_id, (row_number() OVER (ORDER BY product_id) - 1)::INTEGER AS product
FROM (SELECT query_id AS product_id FROM usable UNION SELECT candidate_id FROM usable)
"""

# rows of one list add up; lists that mean the same relation (also_bought, bought_together) are two
# views of one behaviour, so the larger counts
DIRECTED_RELATIONS = """
CREATE TABLE directed AS
WITH lists AS (
  SELECT query_id, candidate_id, relation, sum(count) AS count FROM usable
  GROUP BY query_id, candidate_id, relation)
SELECT q.product AS query, c.product AS candidate,
  coalesce(max(count) FILTER (kind = 'co_purchase'), 0)::BIGINT AS co_purchase,
  coalesce(max(count) FILTER (kind = 'co_view'), 0)::BIGINT AS co_view,
  coalesce(max(count) FILTER (kind = 'purchase_after_view'), 0)::BIGINT AS purchase_after_view
FROM lists JOIN kinds USING (relation)
JOIN products q ON q.product_id = query_id JOIN products c ON c.product_id = candidate_id
GROUP BY ALL
"""

NO_BUYERS = "CREATE TABLE buyers (product INTEGER, customers BIGINT)"

NO_POPULATION = "CREATE TABLE population AS SELECT 0 AS customers"

READING_RELATIONS = (PRODUCTS_OF_RELATIONS, DIRECTED_RELATIONS, NO_BUYERS, NO_POPULATION)

# without this DuckDB may write or return sorted rows in another order
IN_ORDER = "SET preserve_insertion_order = true"

# around `kept_sql`, the cleaning that every engine shares
KEPT = "CREATE {kind}TABLE kept AS {kept_sql} ORDER BY query, candidate"

# whole queries, some BLOCK_ROWS rows together: read one after the other, no result is ever larger
BLOCK_ROWS = 1 << 18
BLOCKS = f"""
SELECT min(query), max(query) FROM (
  SELECT query, (sum(n) OVER (ORDER BY query) - n) // {BLOCK_ROWS} AS block
  FROM (SELECT query, count(*) AS n FROM kept GROUP BY query))
GROUP BY block ORDER BY block
"""

# ids are put in place of the codes afterwards: sorting and joining integers is several times faster
PAIRS = f"""
SELECT query AS query_id, candidate AS candidate_id, co_purchase, co_view, purchase_after_view,
  query_count, candidate_count, {LIFT} AS lift, {CONFIDENCE_LOW} AS confidence_low,
  complement, similar_pair AS "similar"
FROM (
  SELECT kept.*, coalesce(qb.customers, 0) AS query_count,
    coalesce(cb.customers, 0) AS candidate_count, population.customers AS population_count
  FROM kept CROSS JOIN population
  LEFT JOIN buyers qb ON qb.product = query LEFT JOIN buyers cb ON cb.product = candidate
  WHERE query BETWEEN $first AND $last)
ORDER BY query, candidate
"""
IDS = "SELECT product_id FROM products ORDER BY product"
