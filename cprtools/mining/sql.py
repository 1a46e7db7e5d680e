"""The statements of pair mining on DuckDB, in the order they run. `$name` is a parameter.

Views `log` (the user's rows under our names) and `usable` come first. Ids are then coded as
integers, since joins, groups and spilled rows of integers take a fraction of those of strings.
"""

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
  count(*) FILTER (ts < $earliest) AS early, count(*) FILTER (ts > $latest) AS late
FROM log GROUP BY ALL ORDER BY reason NULLS FIRST, n DESC, other_event NULLS LAST
"""

# codes follow the order of the ids, so that sorting by code is sorting by id
PRODUCTS_OF_EVENTS = """
CREATE TABLE products AS
SELECT product_id, (row_number() OVER (ORDER BY product_id))::INTEGER AS product
FROM (SELECT DISTINCT product_id FROM usable)
"""

VISITS = """
CREATE TABLE visits AS
SELECT customer_id, session_id, (row_number() OVER ())::INTEGER AS visit
FROM (SELECT DISTINCT customer_id, session_id FROM usable)
"""

# a customer is coded by its first visit and an anonymous session by its own: customer '5' and
# session '5' stay apart, and a session id that two customers share is two sessions
VISITORS = """
CREATE TABLE visitors AS
SELECT customer_id, session_id, coalesce(customer, visit) AS customer,
  CASE WHEN session_id IS NOT NULL THEN visit END AS session
FROM visits LEFT JOIN (
  SELECT customer_id, min(visit) AS customer FROM visits
  WHERE customer_id IS NOT NULL GROUP BY customer_id
) USING (customer_id)
"""

EVENTS = """
CREATE TABLE events AS
SELECT DISTINCT visitors.customer, visitors.session, product, is_purchase, t
FROM usable JOIN products USING (product_id)
JOIN visitors ON usable.customer_id IS NOT DISTINCT FROM visitors.customer_id
  AND usable.session_id IS NOT DISTINCT FROM visitors.session_id
"""

HEAVY_CUSTOMERS = """
SELECT count(*) FILTER (n > $heavy), coalesce(max(n), 0)
FROM (SELECT count(*) AS n FROM events GROUP BY customer)
"""

# events are distinct, so only a session with more rows than that can have more products
BOTS = """
CREATE TABLE bots AS
SELECT session FROM events
WHERE session IN (SELECT session FROM events GROUP BY session HAVING count(*) > $max_session)
GROUP BY session HAVING count(DISTINCT product) > $max_session
"""

DROP_BOTS = "DELETE FROM events WHERE session IN (SELECT session FROM bots)"

BOUGHT = """
CREATE TABLE bought AS SELECT DISTINCT customer, product FROM events WHERE is_purchase
"""

PURCHASES = """
CREATE TABLE purchases AS SELECT customer, session, product, t FROM events WHERE is_purchase
"""

# bought anywhere in the log: known per view once, instead of per pair of views
VIEWS = """
CREATE TABLE views AS
SELECT customer, session, product, t, bought.product IS NOT NULL AND NOT $count_buyers AS is_buyer
FROM events LEFT JOIN bought USING (customer, product)
WHERE NOT is_purchase
"""

BUYERS = """
CREATE TABLE buyers AS SELECT product, count(*) AS customers FROM bought GROUP BY product
"""

POPULATION = """
CREATE TABLE population AS SELECT count(DISTINCT customer) AS customers FROM bought
"""

TOTALS = """
SELECT (SELECT count(*) FROM products) AS products,
  (SELECT count(DISTINCT customer) FROM visitors) AS customers,
  (SELECT customers FROM population) AS "customers with a purchase",
  (SELECT count(session) FROM visitors) AS sessions,
  (SELECT count(*) FROM bots) AS "sessions dropped as bots"
"""

READING_EVENTS = (
    PRODUCTS_OF_EVENTS, VISITS, VISITORS, EVENTS, BOTS, DROP_BOTS, BOUGHT, PURCHASES, VIEWS, BUYERS,
    POPULATION,
)  # fmt: skip

PAIRS_TO_COME = """
SELECT coalesce(sum(n * (n + 3) // 2), 0)::BIGINT
FROM (SELECT count(*) AS n FROM events GROUP BY customer, session)
"""

COUNT_PARTS = """
CREATE TABLE parts (
  low INTEGER, high INTEGER, bought_up BIGINT, bought_down BIGINT, viewed BIGINT,
  after_up BIGINT, after_down BIGINT)
"""

# One row per customer and unordered pair low < high. Bits of `signs`: 1 bought low then high,
# 2 bought high then low, 4 viewed both, 8 viewed low then bought high, 16 the other way round.
# Time joins meet in buckets as long as the window: the later row is in the earlier one's bucket or
# in the next, so a customer's years of history are never joined with each other in full. Rows of
# one session are left to the session joins, which ask for no time.
COUNT_PART = """
INSERT INTO parts
WITH
p AS MATERIALIZED (SELECT * FROM purchases WHERE customer % $parts = $part),
v AS MATERIALIZED (SELECT * FROM views WHERE customer % $parts = $part),
p_session AS MATERIALIZED (
  SELECT DISTINCT customer, session, product FROM p WHERE session IS NOT NULL),
v_session AS MATERIALIZED (
  SELECT DISTINCT customer, session, product, is_buyer FROM v WHERE session IS NOT NULL),
p_later AS MATERIALIZED (
  SELECT *, unnest([t // $width, t // $width - 1]) AS bucket FROM p WHERE t IS NOT NULL),
v_later AS MATERIALIZED (
  SELECT *, unnest([t // $view_width, t // $view_width - 1]) AS bucket FROM v
  WHERE t IS NOT NULL),
observed AS (
  SELECT a.customer, a.product AS low, b.product AS high, 3::UTINYINT AS signs
  FROM p_session a JOIN p_session b ON a.session = b.session AND a.product < b.product
  UNION ALL
  SELECT a.customer, least(a.product, b.product), greatest(a.product, b.product),
    (CASE WHEN a.product < b.product THEN 1 ELSE 2 END)::UTINYINT
  FROM p a JOIN p_later b ON a.customer = b.customer AND a.t // $width = b.bucket
    AND b.t - a.t BETWEEN 0 AND $window AND a.product <> b.product
    AND (a.session = b.session) IS NOT TRUE
  UNION ALL
  SELECT a.customer, a.product, b.product, 4::UTINYINT
  FROM v_session a JOIN v_session b ON a.session = b.session AND a.product < b.product
    AND NOT (a.is_buyer AND b.is_buyer)
  UNION ALL
  SELECT a.customer, least(a.product, b.product), greatest(a.product, b.product), 4::UTINYINT
  FROM v a JOIN v_later b ON a.customer = b.customer AND a.t // $view_width = b.bucket
    AND b.t - a.t BETWEEN 0 AND $view_window AND a.product <> b.product
    AND (a.session = b.session) IS NOT TRUE AND NOT (a.is_buyer AND b.is_buyer)
  UNION ALL
  SELECT a.customer, least(a.product, b.product), greatest(a.product, b.product),
    (CASE WHEN a.product < b.product THEN 8 ELSE 16 END)::UTINYINT
  FROM v a JOIN p_later b ON a.customer = b.customer AND a.t // $width = b.bucket
    AND b.t - a.t BETWEEN 0 AND $window AND a.product <> b.product AND NOT a.is_buyer
),
per_customer AS (
  SELECT customer, low, high, bit_or(signs) AS signs FROM observed GROUP BY customer, low, high)
SELECT low, high, count(*) FILTER ((signs & 1) > 0), count(*) FILTER ((signs & 2) > 0),
  count(*) FILTER ((signs & 4) > 0), count(*) FILTER ((signs & 8) > 0),
  count(*) FILTER ((signs & 16) > 0)
FROM per_customer GROUP BY low, high
"""

COUNTED = """
CREATE TABLE counted AS
SELECT low, high, sum(bought_up)::BIGINT AS bought_up, sum(bought_down)::BIGINT AS bought_down,
  sum(viewed)::BIGINT AS viewed, sum(after_up)::BIGINT AS after_up,
  sum(after_down)::BIGINT AS after_down
FROM parts GROUP BY low, high
"""

DIRECTED = """
CREATE TEMP VIEW directed AS
SELECT low AS query, high AS candidate, bought_up AS co_purchase, viewed AS co_view,
  after_up AS purchase_after_view FROM counted
UNION ALL
SELECT high, low, bought_down, viewed, after_down FROM counted
"""

USABLE_RELATIONS = """
CREATE TEMP VIEW usable AS
SELECT query_id, candidate_id, relation, coalesce(count, 1) AS count
FROM log WHERE query_id <> candidate_id
"""

RELATION_ROWS = """
SELECT relation, count(*) AS n, coalesce(min(count), 1) AS least,
  count(*) FILTER (query_id IS NULL OR candidate_id IS NULL) AS no_id,
  count(*) FILTER (query_id = candidate_id) AS itself
FROM log GROUP BY relation ORDER BY relation NULLS FIRST
"""

PRODUCTS_OF_RELATIONS = """
CREATE TABLE products AS
SELECT product_id, (row_number() OVER (ORDER BY product_id))::INTEGER AS product
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

BEFORE = """
SELECT count(*) FILTER (co_purchase > 0), count(*) FILTER (co_view > 0),
  count(*) FILTER (purchase_after_view > 0) FROM directed
"""

# without this DuckDB may write or return sorted rows in another order
IN_ORDER = "SET preserve_insertion_order = true"

KEPT = """
CREATE TABLE kept AS
WITH reached AS (
  SELECT query, candidate,
    CASE WHEN co_purchase >= $min_co_purchase THEN co_purchase ELSE 0 END AS co_purchase,
    CASE WHEN co_view >= $min_co_view THEN co_view ELSE 0 END AS co_view,
    CASE WHEN purchase_after_view >= $min_purchase_after_view THEN purchase_after_view ELSE 0
    END AS purchase_after_view
  FROM directed)
SELECT *,
  co_purchase > 0 AND co_view = 0 AND purchase_after_view = 0 AS complement,
  co_purchase = 0 AND (NOT $needs_both OR (co_view > 0 AND purchase_after_view > 0)) AS "similar"
FROM reached WHERE co_purchase > 0 OR co_view > 0 OR purchase_after_view > 0
ORDER BY query, candidate
"""

# whole queries, some BLOCK_ROWS rows together: read one after the other, no result is ever larger
BLOCK_ROWS = 1 << 18
BLOCKS = f"""
SELECT min(query), max(query) FROM (
  SELECT query, (sum(n) OVER (ORDER BY query) - n) // {BLOCK_ROWS} AS block
  FROM (SELECT query, count(*) AS n FROM kept GROUP BY query))
GROUP BY block ORDER BY block
"""

AFTER = """
SELECT count(*), count(*) FILTER (co_purchase > 0), count(*) FILTER (co_view > 0),
  count(*) FILTER (purchase_after_view > 0),
  count(*) FILTER (co_purchase > 0 AND co_view > 0),
  count(*) FILTER (co_purchase > 0 AND purchase_after_view > 0),
  count(*) FILTER (co_view > 0 AND purchase_after_view > 0),
  count(*) FILTER (complement), count(*) FILTER ("similar")
FROM kept
"""

# doubles before the product: customers times customers outgrows an integer in large logs
PAIRS = """
SELECT q.product_id AS query_id, c.product_id AS candidate_id,
  co_purchase, co_view, purchase_after_view,
  coalesce(qb.customers, 0) AS query_count, coalesce(cb.customers, 0) AS candidate_count,
  co_purchase::DOUBLE * population.customers / (qb.customers::DOUBLE * cb.customers) AS lift,
  complement, "similar"
FROM kept JOIN products q ON q.product = query JOIN products c ON c.product = candidate
CROSS JOIN population
LEFT JOIN buyers qb ON qb.product = query LEFT JOIN buyers cb ON cb.product = candidate
WHERE query BETWEEN $first AND $last
ORDER BY query, candidate
"""
