-- Retailrocket recommender system dataset (Retailrocket, on Kaggle). A transaction is a session;
-- views have none, and meet within --view-window. Of the hashed properties only `categoryid` is plain.

CREATE VIEW events AS
SELECT
    visitorid AS customer_id, transactionid AS session_id, itemid AS product_id,
    CASE event WHEN 'transaction' THEN 'purchase' WHEN 'addtocart' THEN 'cart' ELSE event END AS event,
    make_timestamp(timestamp::BIGINT * 1000) AS ts
FROM csv('events.csv');

CREATE VIEW page_views AS
SELECT product_id, count(*) AS views, date_trunc('day', ts) AS ts
FROM events WHERE event = 'view' GROUP BY ALL;

-- An item's last category is its type, and the top of the tree above it its category.
CREATE VIEW products AS
WITH RECURSIVE above AS (
    SELECT categoryid, categoryid AS top FROM csv('category_tree.csv') WHERE parentid IS NULL
    UNION ALL
    SELECT tree.categoryid, above.top
    FROM csv('category_tree.csv') AS tree JOIN above ON tree.parentid = above.categoryid
), items AS (
    SELECT itemid, arg_max(value, (timestamp::BIGINT, value)) AS categoryid
    FROM csv('item_properties*.csv') WHERE property = 'categoryid' GROUP BY itemid
)
SELECT itemid AS product_id, top AS category, categoryid AS product_type
FROM items LEFT JOIN above USING (categoryid);
