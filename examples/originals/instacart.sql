-- The Instacart Online Grocery Shopping Dataset 2017 (Instacart). Orders have a weekday, an hour and
-- the days since the customer's last order (30 stands for more), but no date: no column `ts`.

CREATE VIEW events AS
SELECT
    user_id AS customer_id, order_id AS session_id, product_id, 'purchase' AS event,
    order_number::INT AS order_number, order_dow::INT AS order_dow,
    order_hour_of_day::INT AS order_hour_of_day,
    days_since_prior_order::DOUBLE AS days_since_prior_order
FROM csv('order_products__*.csv') JOIN csv('orders.csv') USING (order_id);

-- Titles quote inches as \"; aisle and department "missing" are not known.
CREATE VIEW products AS
SELECT
    product_id, trim(replace(product_name, '\"', '"')) AS title,
    nullif(department, 'missing') AS category, nullif(aisle, 'missing') AS product_type
FROM csv('products.csv')
LEFT JOIN csv('departments.csv') USING (department_id)
LEFT JOIN csv('aisles.csv') USING (aisle_id);
