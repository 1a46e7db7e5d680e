-- Amazon Reviews 2023, item metadata (McAuley Lab, UC San Diego): meta_CATEGORY.jsonl(.gz).
-- bought_together is null nearly everywhere: the pairs are in the reviews (amazon_2023_reviews.sql).

CREATE TABLE metadata AS
FROM read_json(getvariable('meta_*.jsonl'), format = 'newline_delimited', columns = {
    parent_asin: 'VARCHAR', title: 'VARCHAR', main_category: 'VARCHAR', store: 'VARCHAR',
    price: 'VARCHAR', categories: 'VARCHAR[]', bought_together: 'VARCHAR[]'});

CREATE VIEW products AS
SELECT DISTINCT ON (product_id)
    parent_asin AS product_id, plain(title) AS title,
    plain(coalesce(main_category, categories[1])) AS category,
    plain(categories[-1]) AS product_type, plain(store) AS brand, money(price) AS price
FROM metadata
ORDER BY ALL;

CREATE VIEW relations AS
SELECT parent_asin AS query_id, candidate_id, 'bought_together' AS relation, min(rank) AS rank
FROM metadata, unnest(bought_together) WITH ORDINALITY AS entry (candidate_id, rank)
GROUP BY ALL;
