-- Online Retail, and Online Retail II (D. Chen, UCI Machine Learning Repository), its sheets saved as
-- CSV, or the CSV files on Kaggle: both spellings of the header, times as 12/1/2010 8:26 or ISO.

CREATE VIEW lines_sold AS
SELECT
    coalesce(*COLUMNS('^Invoice(No)?$')) AS invoice, upper(trim(StockCode)) AS product_id,
    trim(Description) AS title, Quantity::INT AS quantity,
    strptime(InvoiceDate, ['%m/%d/%y %H:%M', '%m/%d/%Y %H:%M', '%Y-%m-%d %H:%M:%S']) AS ts,
    coalesce(*COLUMNS('^(Unit)?Price$'))::DOUBLE AS price,
    regexp_replace(coalesce(*COLUMNS('^Customer ?ID$')), '\.0$', '') AS customer_id
FROM csv('*.csv')
-- postage, fees, vouchers and corrections have codes of letters
WHERE regexp_matches(StockCode, '^([0-9]{5}|DCGS)');

-- Invoices of cancellations start with C; other negative quantities are corrections of the stock.
CREATE VIEW events AS
SELECT DISTINCT
    customer_id, invoice AS session_id, product_id,
    CASE WHEN invoice LIKE 'C%' THEN 'return' WHEN quantity > 0 THEN 'purchase' ELSE 'correction' END
        AS event,
    ts
FROM lines_sold;

-- The description that most sales give; others are notes such as "damaged".
CREATE VIEW products AS
WITH described AS (
    SELECT product_id, title, count(title) AS times, median(price) AS price
    FROM lines_sold WHERE quantity > 0 GROUP BY ALL
)
SELECT DISTINCT ON (product_id) product_id, title, price
FROM described ORDER BY product_id, times DESC, title;
