-- A team's own high-demand list: products among the most viewed or the most searched for, which few
-- sellers offer. From page_views.parquet, listings.parquet and, if there is one, searches.parquet
-- (product_id, searches: how often a search led to it).

CREATE VIEW high_demand AS
WITH demand AS (
    SELECT
        product_id::VARCHAR AS product_id, filename AS source,
        sum(coalesce(*COLUMNS('^(views|searches)$'))) AS times
    FROM read_parquet(
        list_concat(getvariable('page_views.parquet'), getvariable('?searches.parquet')),
        union_by_name = true, filename = true)
    GROUP BY ALL
), wanted AS (
    -- the first tenth of each source, ties included
    SELECT product_id FROM demand
    QUALIFY rank() OVER (PARTITION BY source ORDER BY times DESC) <= ceil(
        coalesce(getvariable('top_share'), '0.1')::DECIMAL(9, 6)
        * count(*) OVER (PARTITION BY source))
), offers AS (
    SELECT product_id::VARCHAR AS product_id, count(DISTINCT seller_id) AS sellers
    FROM read_parquet(getvariable('listings.parquet')) GROUP BY ALL
)
SELECT DISTINCT product_id, coalesce(sellers, 0) AS sellers
FROM wanted LEFT JOIN offers USING (product_id)
WHERE coalesce(sellers, 0) <= coalesce(getvariable('max_sellers'), '3')::INT;
