#!/usr/bin/env bash
# Does a product seem likelier because nobody lists it yet?
#   examples/copies_sellers.sh [FOLDER]
# FOLDER (reproduce/copies) is made anew: an example marketplace, its seller model, and 30 of its
# high-demand products once more under new ids, as products that arrive with the next quarter. A copy
# has the title, brand and category of its original, and no listings: it should be about as likely.
# MARKET_ARGS are options of marketplace.py, GNN_ARGS of train-linkpred.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
. "$examples/data_folder.bash"
folder=${1:-reproduce/copies}
check_new "$folder" "$examples"
make_anew "$folder" && cd "$folder"
read -r -a market <<< "${MARKET_ARGS:---products 1500 --sellers 250 --events 20000}"
read -r -a given <<< "${GNN_ARGS:-}"
python "$examples/marketplace.py" . "${market[@]}" >&2
cprtools mine-pairs events.parquet -q -o pairs.parquet
cprtools embed-text products.parquet -q -o text.parquet
cprtools split listings.parquet --by seller_id -q -o train.parquet --test-out test.parquet
cprtools build-graph --listings train.parquet --pairs pairs.parquet --products products.parquet \
  --high-demand high_demand.parquet --views page_views.parquet -q -o graph
cprtools train-linkpred graph --vectors text.parquet "${given[@]}" -q -o seller.model
python - <<'PYTHON'
import duckdb

duckdb.sql("SET threads = 1")
duckdb.sql(
    "CREATE TABLE copied AS FROM 'products.parquet' SEMI JOIN 'high_demand.parquet' "
    "USING (product_id) ORDER BY hash(product_id) LIMIT 30"
)
duckdb.sql("SELECT * REPLACE ('COPY-' || product_id AS product_id) FROM copied").write_parquet(
    "copies.parquet"
)
duckdb.sql(
    "SELECT product_id FROM 'high_demand.parquet' UNION ALL SELECT product_id FROM 'copies.parquet'"
).write_parquet("quarter.parquet")
PYTHON
cprtools embed-text copies.parquet -q -o copies_text.parquet
cprtools recommend --model seller.model --all --category all --threshold 0 -k 450 -q \
  --only quarter.parquet --products copies.parquet --vectors copies_text.parquet -o answers.parquet
python - <<'PYTHON'
import sys

import duckdb

share, first, ten, likely, copies = duckdb.sql("""
    WITH answers AS (
        SELECT *, starts_with(product_id, 'COPY-') AS is_copy FROM 'answers.parquet'),
    twins AS (
        SELECT own.affinity AS own, copy.affinity AS copy FROM answers own JOIN answers copy
        ON own.seller_id = copy.seller_id AND copy.product_id = 'COPY-' || own.product_id)
    SELECT avg(is_copy::INT), avg(is_copy::INT) FILTER (rank = 1),
        avg(is_copy::INT) FILTER (rank <= 10),
        (SELECT avg(own) FROM twins WHERE own >= 0.5), (SELECT avg(copy) FROM twins WHERE own >= 0.5)
    FROM answers""").fetchall()[0]
sys.stdout.write(
    f"copies are {share:.1%} of all rows, {first:.1%} of the first and {ten:.1%} of the first ten; "
    f"originals of affinity 0.5 and more: {likely:.3f}, their copies: {copies:.3f}\n"
)
PYTHON
