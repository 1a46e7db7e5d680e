"""The SQL that joins the tables: each statement names what it makes."""

PREPARE_SQL = (
    # the window ends with the newest row, so months of 12 monthly totals are 12 rows
    """
    CREATE TEMP TABLE recent AS
    SELECT product_id, seller_id, views FROM given_views, settings
    WHERE ts IS NULL
       OR ts > (SELECT max(ts) FROM given_views) - to_months(views_months::INTEGER)
    """,
    """
    CREATE TEMP TABLE product_views AS
    SELECT product_id, sum(views)::BIGINT AS views FROM recent GROUP BY product_id
    """,
    """
    CREATE TEMP TABLE seller_views AS
    SELECT seller_id, product_id, sum(views)::BIGINT AS views FROM recent
    WHERE seller_id IS NOT NULL GROUP BY seller_id, product_id
    """,
    # views at one seller say nothing of a listing at another
    """
    CREATE TEMP TABLE nobodys_views AS
    SELECT product_id, sum(views)::BIGINT AS views FROM recent
    WHERE seller_id IS NULL GROUP BY product_id
    """,
    # those of a page as a whole are many times those of an offer: they stand in where a seller has
    # none of its own, and are not mixed with them
    """
    CREATE TEMP TABLE lists AS
    SELECT l.seller_id, l.product_id,
           coalesce(CASE WHEN own.seller_id IS NULL THEN p.views ELSE s.views END, 0) AS views
    FROM given_listings l
    LEFT JOIN seller_views s ON s.seller_id = l.seller_id AND s.product_id = l.product_id
    LEFT JOIN (
        SELECT DISTINCT seller_id FROM seller_views SEMI JOIN given_listings
        USING (seller_id, product_id) WHERE views > 0
    ) own ON own.seller_id = l.seller_id
    LEFT JOIN nobodys_views p ON p.product_id = l.product_id
    """,
    """
    CREATE TEMP TABLE together AS
    SELECT source_id, target_id, max(co_purchase)::DOUBLE AS weight
    FROM (
        SELECT query_id AS source_id, candidate_id AS target_id, co_purchase FROM given_pairs
        UNION ALL
        SELECT candidate_id, query_id, co_purchase FROM given_pairs
    )
    WHERE source_id <> target_id
    GROUP BY source_id, target_id
    """,
    """
    CREATE TEMP TABLE sold AS
    SELECT product_id FROM given_products
    UNION SELECT product_id FROM lists
    UNION SELECT source_id FROM together
    """,
    "CREATE TEMP TABLE known AS FROM sold UNION SELECT product_id FROM given_views",
    # what a catalogue does not know and nobody sells is no product because a page was seen
    """
    CREATE TEMP TABLE candidates AS
    SELECT product_id, coalesce(views, 0) AS views, coalesce(degree, 0) AS degree,
           h.product_id IS NOT NULL OR (all_in_demand AND (
               NOT products_known OR product_id IN (SELECT product_id FROM sold)
           )) AS is_high_demand,
           l.product_id IS NOT NULL AS is_listed
    FROM (SELECT product_id FROM known UNION SELECT product_id FROM given_high_demand)
    LEFT JOIN product_views USING (product_id)
    LEFT JOIN (SELECT DISTINCT product_id FROM lists) l USING (product_id)
    LEFT JOIN given_high_demand h USING (product_id)
    LEFT JOIN (
        SELECT source_id AS product_id, count(*) AS degree FROM together GROUP BY source_id
    ) USING (product_id), settings
    """,
    # without page views the products bought with the most others count as the most seen
    """
    CREATE TEMP TABLE chosen AS
    SELECT product_id, views, is_high_demand FROM (
        SELECT *, row_number() OVER (
            PARTITION BY is_high_demand OR is_listed
            ORDER BY views DESC, degree DESC, product_id
        ) AS place FROM candidates
    ), settings
    WHERE is_high_demand OR is_listed OR additional IS NULL OR place <= additional
    """,
    """
    CREATE TEMP TABLE bought_with AS
    SELECT * FROM together
    WHERE source_id IN (SELECT product_id FROM chosen)
      AND target_id IN (SELECT product_id FROM chosen)
    """,
    "DROP TABLE together",
    "DROP TABLE seller_views",
    "DROP TABLE recent",
)

NODES_SQL = """
    SELECT 'product' AS node_type, product_id AS node_id, is_high_demand, views, category,
           title, brand, product_type, price
    FROM chosen LEFT JOIN given_products USING (product_id)
    UNION ALL
    SELECT 'seller', seller_id, false, sum(views)::BIGINT, max(category), NULL, NULL, NULL, NULL
    FROM (
        SELECT seller_id, views, NULL AS category FROM lists
        UNION ALL SELECT seller_id, 0, category FROM given_sellers
    ) GROUP BY seller_id
    ORDER BY node_type, node_id
"""

# by relation, in the order of their names: types of both ends, and (source_id, target_id, weight);
# each relation is sorted by itself, without what is the same in all of its rows
EDGES_SQL = {
    "bought-with": (
        "product",
        "product",
        "SELECT source_id, target_id, weight FROM bought_with ORDER BY source_id, target_id",
    ),
    "listed-by": (
        "product",
        "seller",
        "SELECT product_id, seller_id, views::DOUBLE FROM lists ORDER BY product_id, seller_id",
    ),
    "lists": (
        "seller",
        "product",
        "SELECT seller_id, product_id, views::DOUBLE FROM lists ORDER BY seller_id, product_id",
    ),
}

# the columns are the fields of GraphReport that SQL can tell
FACTS_SQL = """
    SELECT
        (SELECT count(*) FROM (
            SELECT seller_id FROM lists UNION SELECT seller_id FROM given_sellers
        )) AS sellers,
        (SELECT count(*) FROM chosen) AS products,
        (SELECT count(*) FROM chosen WHERE is_high_demand) AS high_demand,
        (SELECT count(*) FROM chosen WHERE NOT is_high_demand) AS additional,
        (SELECT count(*) FROM lists) AS listings,
        (SELECT count(*) // 2 FROM bought_with) AS bought_together,
        (SELECT count(*) FROM lists JOIN chosen USING (product_id)
         WHERE is_high_demand) AS high_demand_listings,
        (SELECT count(*) FROM lists JOIN chosen USING (product_id) WHERE is_high_demand)
        + (SELECT count(*) FROM bought_with JOIN chosen ON product_id = source_id
           WHERE is_high_demand) AS high_demand_degree,
        (SELECT count(*) FROM lists, settings
         WHERE products_known AND product_id NOT IN (SELECT product_id FROM given_products)
        ) AS unknown_listings,
        (SELECT count(*) FROM given_high_demand
         WHERE product_id NOT IN (SELECT product_id FROM known)) AS unknown_high_demand
"""

# by input its rows, and those of them whose ids another input has as well
_MATCHES = """
    WITH catalogue AS (SELECT product_id FROM given_products UNION SELECT product_id FROM lists),
    elsewhere AS (
        FROM catalogue
        UNION SELECT query_id FROM given_pairs UNION SELECT candidate_id FROM given_pairs
        UNION SELECT product_id FROM given_high_demand
    )
    SELECT 'listings' AS name, product_id IN (SELECT product_id FROM given_products) AS is_matched
    FROM lists, settings WHERE products_known
    UNION ALL
    SELECT 'pairs', query_id IN (FROM catalogue) OR candidate_id IN (FROM catalogue)
    FROM given_pairs WHERE EXISTS (FROM catalogue)
    UNION ALL
    SELECT 'high_demand', product_id IN (FROM known) FROM given_high_demand
    UNION ALL
    SELECT 'views', product_id IN (FROM elsewhere) AND (
        seller_id IS NULL OR seller_id IN (SELECT seller_id FROM lists) OR NOT EXISTS (FROM lists)
    ) FROM given_views
    UNION ALL
    SELECT 'sellers', seller_id IN (SELECT seller_id FROM lists)
    FROM given_sellers WHERE EXISTS (FROM lists)
"""
MATCHES_SQL = f"""
    SELECT name, count(*) AS rows, count_if(is_matched) AS matched
    FROM ({_MATCHES}) GROUP BY name ORDER BY name
"""
