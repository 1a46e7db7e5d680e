-- Amazon Reviews 2023, reviews (McAuley Lab, UC San Diego): CATEGORY.jsonl(.gz). A verified review
-- stands for a purchase, at the time of the review; others are kept as `review`, which is not mined.

CREATE VIEW events AS
SELECT DISTINCT
    user_id AS customer_id, parent_asin AS product_id,
    CASE WHEN verified_purchase THEN 'purchase' ELSE 'review' END AS event,
    make_timestamp(timestamp * 1000) AS ts
FROM read_json(getvariable('[!m]*.jsonl'), format = 'newline_delimited', columns = {
    user_id: 'VARCHAR', parent_asin: 'VARCHAR', timestamp: 'BIGINT', verified_purchase: 'BOOLEAN'});
