-- Amazon product data, metadata of 2014 (J. McAuley, UC San Diego): metadata.json.gz, or one
-- meta_CATEGORY.json.gz. One Python dictionary a line, or JSON where somebody converted it.

CREATE TABLE metadata AS
SELECT unnest(from_json(json_of(line), '{"asin": "VARCHAR", "title": "VARCHAR", "brand": "VARCHAR",
    "price": "DOUBLE", "categories": [["VARCHAR"]], "related": {"also_bought": ["VARCHAR"],
    "also_viewed": ["VARCHAR"], "bought_together": ["VARCHAR"], "buy_after_viewing": ["VARCHAR"]}}'))
FROM lines('meta*.json');

CREATE VIEW products AS
SELECT DISTINCT ON (product_id)
    asin AS product_id, plain(title) AS title, plain(categories[1][1]) AS category,
    plain(categories[1][-1]) AS product_type, nullif(plain(brand), 'Unknown') AS brand, price
FROM metadata
ORDER BY ALL;

CREATE VIEW relations AS
WITH lists AS (
    SELECT asin, 'also_bought' AS relation, related.also_bought AS ids FROM metadata
    UNION ALL SELECT asin, 'also_viewed', related.also_viewed FROM metadata
    UNION ALL SELECT asin, 'bought_together', related.bought_together FROM metadata
    UNION ALL SELECT asin, 'buy_after_viewing', related.buy_after_viewing FROM metadata
)
SELECT asin AS query_id, candidate_id, relation, min(rank) AS rank
FROM lists, unnest(ids) WITH ORDINALITY AS entry (candidate_id, rank)
GROUP BY ALL;
