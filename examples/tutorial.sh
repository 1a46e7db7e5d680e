#!/usr/bin/env bash
# The tutorial's small case: four shoppers, few enough rows to count every pair by hand.
#   examples/tutorial.sh [FOLDER]
# Needs cprtools and python on the PATH; FOLDER defaults to demo/tutorial.
set -euo pipefail
mkdir -p "${1:-demo/tutorial}" && cd "${1:-demo/tutorial}"
set -v

# Ann and Ben buy a camera and come back for a card; Cy compares two cameras and buys the other;
# Dee buys a card and a reader at once.
python - <<'ROWS'
import duckdb

duckdb.sql("""
    COPY (
        SELECT * FROM (VALUES
            ('ann', 'a1', 'camera', 'view', TIMESTAMP '2024-05-01 10:00'),
            ('ann', 'a1', 'camera', 'purchase', TIMESTAMP '2024-05-01 10:05'),
            ('ann', 'a2', 'card', 'purchase', TIMESTAMP '2024-05-03 09:00'),
            ('ben', 'b1', 'camera', 'purchase', TIMESTAMP '2024-05-02 12:00'),
            ('ben', 'b2', 'card', 'purchase', TIMESTAMP '2024-05-04 12:00'),
            ('cy', 'c1', 'camera', 'view', TIMESTAMP '2024-05-05 18:00'),
            ('cy', 'c1', 'camera-pro', 'view', TIMESTAMP '2024-05-05 18:02'),
            ('cy', 'c1', 'camera-pro', 'purchase', TIMESTAMP '2024-05-05 18:10'),
            ('dee', 'd1', 'card', 'purchase', TIMESTAMP '2024-05-06 08:00'),
            ('dee', 'd1', 'reader', 'purchase', TIMESTAMP '2024-05-06 08:00')
        ) AS log (customer_id, session_id, product_id, event, ts)
    ) TO 'events.parquet' (FORMAT parquet);
    COPY (
        SELECT * FROM (VALUES
            ('camera', 'Small camera', 'Cameras'), ('camera-pro', 'Large camera', 'Cameras'),
            ('card', 'Memory card', 'Cards'), ('reader', 'Card reader', 'Readers')
        ) AS range (product_id, title, product_type)
    ) TO 'products.parquet' (FORMAT parquet);
""")
ROWS

# camera -> card is bought by two, never the other way round; camera and camera-pro are similar.
cprtools mine-pairs events.parquet --min-count 1 -o pairs.parquet
cprtools inspect pairs.parquet --rows 5

# Who counts for camera -> card, and who does not?
cprtools mine-pairs events.parquet --min-count 1 --explain camera card

# The simplest model: count.
cprtools train-cpr pairs.parquet --products products.parquet --method co-purchase -o cpr.model
cprtools recommend --product camera --with title --format table

# The same in one line, without a file in between.
cprtools mine-pairs events.parquet --min-count 1 |
  cprtools train-cpr - --products products.parquet --method co-purchase -o - |
  cprtools recommend --model - --product camera --format json

# Four sellers, six products, eleven listings: 24 cells, so the matrix is 1 - 11/24 empty.
python - <<'ROWS'
import duckdb

duckdb.sql("""
    COPY (
        SELECT * FROM (VALUES
            ('S1', 'P1'), ('S1', 'P4'), ('S1', 'P5'),
            ('S2', 'P2'), ('S2', 'P4'), ('S2', 'P5'),
            ('S3', 'P1'), ('S3', 'P5'), ('S3', 'P6'),
            ('S4', 'P2'), ('S4', 'P3')
        ) AS listings (seller_id, product_id)
    ) TO 'listings.parquet' (FORMAT parquet);
""")
ROWS
cprtools build-graph --listings listings.parquet -o graph
cprtools train-linkpred graph -o seller.model

# S1 shares P4 and P5 with S2, and P1 and P5 with S3: their P2 and P6 come before P3, which only S4
# lists, and S4 shares nothing with S1. What S1 lists already is not shown.
cprtools recommend --seller S1 --category all --format table
