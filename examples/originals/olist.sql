-- Brazilian E-Commerce Public Dataset by Olist (Olist, on Kaggle). customer_id is new with each order;
-- customer_unique_id is the person. Cancelled orders keep their status as event: they are not mined.

CREATE VIEW sold AS
SELECT * FROM csv('olist_order_items_dataset.csv')
JOIN csv('olist_orders_dataset.csv') USING (order_id)
JOIN csv('olist_customers_dataset.csv') USING (customer_id);

-- An item ordered twice has two lines; the clock is that of Brazil, without a zone.
CREATE VIEW events AS
SELECT DISTINCT
    customer_unique_id AS customer_id, order_id AS session_id, product_id,
    CASE WHEN order_status IN ('canceled', 'unavailable') THEN order_status ELSE 'purchase' END AS event,
    order_purchase_timestamp::TIMESTAMP AS ts
FROM sold;

-- A seller lists what it sold; only sellers that the file of sellers knows.
CREATE VIEW listings AS
SELECT DISTINCT seller_id, product_id
FROM sold SEMI JOIN csv('olist_sellers_dataset.csv') USING (seller_id);

-- Two categories have no English name: they keep the Portuguese one.
CREATE VIEW products AS
SELECT
    product_id, coalesce(product_category_name_english, product_category_name) AS category,
    median(price::DOUBLE) AS price
FROM csv('olist_products_dataset.csv')
LEFT JOIN csv('product_category_name_translation.csv') USING (product_category_name)
LEFT JOIN sold USING (product_id)
GROUP BY ALL;
