-- eCommerce behavior data from multi category store (REES46 Marketing Platform, on Kaggle):
-- 2019-Oct.csv and further months. Categories are codes such as electronics.smartphone, or missing.

CREATE VIEW log AS
SELECT * REPLACE (strptime(event_time, '%Y-%m-%d %H:%M:%S UTC') AS event_time)
FROM csv('20??-*.csv');

CREATE VIEW events AS
SELECT
    user_id AS customer_id, user_session AS session_id, product_id, event_type AS event,
    event_time AS ts
FROM log;

CREATE VIEW page_views AS
SELECT product_id, count(*) AS views, date_trunc('day', event_time) AS ts
FROM log WHERE event_type = 'view' GROUP BY ALL;

-- What the product's last row that knows it says.
CREATE VIEW products AS
SELECT
    product_id,
    split_part(arg_max(category_code, (event_time, category_code)), '.', 1) AS category,
    coalesce(arg_max(category_code, (event_time, category_code)),
        arg_max(category_id, (event_time, category_id))) AS product_type,
    arg_max(brand, (event_time, brand)) AS brand,
    arg_max(price::DOUBLE, (event_time, price::DOUBLE)) AS price
FROM log GROUP BY product_id;
