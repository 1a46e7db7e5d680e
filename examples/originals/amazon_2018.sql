-- Amazon review data, metadata of 2018 (J. Ni, UC San Diego): meta_CATEGORY.json.gz. JSON lines;
-- products come twice, and titles, prices and categories may hold scraps of web pages.

CREATE TABLE metadata AS
FROM read_json(getvariable('meta_*.json'), format = 'newline_delimited', columns = {
    asin: 'VARCHAR', title: 'VARCHAR', brand: 'VARCHAR', main_cat: 'VARCHAR', price: 'VARCHAR',
    category: 'VARCHAR[]', also_buy: 'VARCHAR[]', also_view: 'VARCHAR[]'});

CREATE VIEW products AS
WITH cleaned AS (
    SELECT * REPLACE (
        CASE WHEN title NOT LIKE '%getTime%' AND title NOT LIKE '%<span%' THEN title END AS title,
        CASE WHEN main_cat NOT LIKE '<%' THEN main_cat END AS main_cat,
        list_filter(category, lambda entry: entry NOT LIKE '%</%') AS category)
    FROM metadata
)
SELECT DISTINCT ON (product_id)
    asin AS product_id, plain(title) AS title, plain(coalesce(category[1], main_cat)) AS category,
    plain(category[-1]) AS product_type, plain(brand) AS brand, money(price) AS price
FROM cleaned
ORDER BY ALL;

CREATE VIEW relations AS
WITH lists AS (
    SELECT asin, 'also_buy' AS relation, also_buy AS ids FROM metadata
    UNION ALL SELECT asin, 'also_view', also_view FROM metadata
)
SELECT asin AS query_id, candidate_id, relation, min(rank) AS rank
FROM lists, unnest(ids) WITH ORDINALITY AS entry (candidate_id, rank)
GROUP BY ALL;
