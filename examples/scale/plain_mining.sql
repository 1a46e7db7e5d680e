-- The definition of docs/methods/mining.md as an analyst would write it: string ids, a join for each
-- relation, count(DISTINCT customer). `log` holds the events, `pairs` receives the result.
CREATE TABLE pairs AS
WITH events AS (
  SELECT DISTINCT customer_id, session_id, product_id, event, ts FROM log
  WHERE event IN ('view', 'purchase')
),
bots AS (
  SELECT customer_id, session_id FROM events
  GROUP BY ALL HAVING count(DISTINCT product_id) > 500
),
kept AS (SELECT * FROM events ANTI JOIN bots USING (customer_id, session_id)),
purchases AS (SELECT * FROM kept WHERE event = 'purchase'),
bought AS (SELECT DISTINCT customer_id, product_id FROM purchases),
views AS (
  SELECT kept.*, bought.product_id IS NOT NULL AS is_buyer
  FROM kept LEFT JOIN bought USING (customer_id, product_id) WHERE event = 'view'
),
co_purchases AS (
  SELECT a.product_id AS query_id, b.product_id AS candidate_id,
    count(DISTINCT a.customer_id) AS co_purchase
  FROM purchases a JOIN purchases b
    ON a.customer_id = b.customer_id AND a.product_id <> b.product_id
    AND (a.session_id = b.session_id OR b.ts BETWEEN a.ts AND a.ts + INTERVAL 7 DAY)
  GROUP BY ALL HAVING co_purchase >= 2
),
co_views AS (
  SELECT a.product_id AS query_id, b.product_id AS candidate_id,
    count(DISTINCT a.customer_id) AS co_view
  FROM views a JOIN views b
    ON a.customer_id = b.customer_id AND a.product_id <> b.product_id
    AND NOT (a.is_buyer AND b.is_buyer)
    AND (a.session_id = b.session_id
      OR b.ts BETWEEN a.ts - INTERVAL 1 DAY AND a.ts + INTERVAL 1 DAY)
  GROUP BY ALL HAVING co_view >= 2
),
purchases_after_views AS (
  SELECT a.product_id AS query_id, b.product_id AS candidate_id,
    count(DISTINCT a.customer_id) AS purchase_after_view
  FROM views a JOIN purchases b
    ON a.customer_id = b.customer_id AND a.product_id <> b.product_id AND NOT a.is_buyer
    AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 7 DAY
  GROUP BY ALL HAVING purchase_after_view >= 2
),
buyers AS (SELECT product_id, count(*) AS customers FROM bought GROUP BY product_id)
SELECT query_id, candidate_id, coalesce(co_purchase, 0) AS co_purchase,
  coalesce(co_view, 0) AS co_view, coalesce(purchase_after_view, 0) AS purchase_after_view,
  coalesce(q.customers, 0) AS query_count, coalesce(c.customers, 0) AS candidate_count,
  coalesce(co_purchase, 0)::DOUBLE * (SELECT count(DISTINCT customer_id) FROM bought)
    / (q.customers::DOUBLE * c.customers) AS lift,
  coalesce(co_purchase, 0) > 0 AND coalesce(co_view, 0) = 0
    AND coalesce(purchase_after_view, 0) = 0 AS complement,
  coalesce(co_purchase, 0) = 0 AND coalesce(co_view, 0) > 0
    AND coalesce(purchase_after_view, 0) > 0 AS "similar"
FROM co_purchases
FULL JOIN co_views USING (query_id, candidate_id)
FULL JOIN purchases_after_views USING (query_id, candidate_id)
LEFT JOIN buyers q ON q.product_id = query_id
LEFT JOIN buyers c ON c.product_id = candidate_id
ORDER BY query_id, candidate_id;
