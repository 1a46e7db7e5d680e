#!/usr/bin/env bash
# Products that nobody lists yet: can a model place them with sellers?
#   examples/new_products_sellers.sh DATA [FOLDER]
# DATA holds listings.parquet and products.parquet. FOLDER (reproduce/NAME-new-products) is made
# anew. Split: all listings of 10% of the products (SEED=0) are held out. Settings:
#   known    the held-out products are in the catalogue, without a listing
#   unknown  the model never saw them: recommend gets them with --products and --vectors
#   quarter  the model of "unknown", asked for the held-out products alone: --only, too
# Candidates of the first two as in reproduce_sellers.sh: every product that the seller does not list
# in training. FEATURES names vectors made before, since they do not depend on the split.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
. "$examples/data_folder.bash"
data=$(data_folder "${1:-}" products.parquet listings.parquet)
folder=${2:-reproduce/$(basename "$data")-new-products}
seed=${SEED:-0}
methods=${METHODS:-text-knn gnn}
features=${FEATURES:+$(realpath "$FEATURES")}
read -r -a given <<< "${GNN_ARGS:-}"
check_new "$folder" "$data" ${features:+"$features"}
make_anew "$folder" && cd "$folder"

cprtools split "$data/listings.parquet" --cold product_id --fraction 0.1 --seed "$seed" \
  -o train.parquet --test-out test.parquet
if [ -z "$features" ]; then
  features=text.parquet
  cprtools embed-text "$data/products.parquet" -o text.parquet
fi
# the catalogue of old.parquet is the one before the new products came
python - "$data/products.parquet" <<'PYTHON'
import sys

import duckdb

# ids may be numbers in one table and text in the other
test = duckdb.read_parquet("test.parquet").project("product_id::VARCHAR AS product_id")
new = test.distinct().order("product_id")
new.write_parquet("new.parquet")
products = duckdb.read_parquet(sys.argv[1])
old = products.filter("product_id::VARCHAR NOT IN (SELECT product_id FROM 'new.parquet')")
old.order("product_id").write_parquet("old.parquet")
PYTHON

# answer MODEL NAME METHOD [OPTION...]: recommend with these options, and measure
answer() {
  cprtools recommend --model "$1" --all --category all --threshold 0 -k 100 "${@:4}" -o "$2.parquet"
  cprtools evaluate "$2.parquet" --truth test.parquet --train train.parquet \
    --method "$3" -o "$2.metrics.parquet"
}
arrive=(--products "$data/products.parquet" --vectors "$features")
cprtools build-graph --listings train.parquet --products "$data/products.parquet" -o known.graph
cprtools build-graph --listings train.parquet --products old.parquet -o unknown.graph
for method in $methods; do
  [ "$method" = gnn ] && extra=("${given[@]}") || extra=()
  for setting in known unknown; do
    cprtools train-linkpred "$setting.graph" --vectors "$features" --method "$method" \
      --seed "$seed" "${extra[@]}" -o "$setting-$method.model"
  done
  answer "known-$method.model" "known-$method" "$method, known"
  answer "unknown-$method.model" "unknown-$method" "$method, unknown" "${arrive[@]}"
  answer "unknown-$method.model" "quarter-$method" "$method, quarter" "${arrive[@]}" \
    --only new.parquet
done
# paired differences, with their intervals
for setting in known unknown quarter; do
  [ ! -e "$setting-gnn.parquet" ] || [ ! -e "$setting-text-knn.parquet" ] ||
    cprtools evaluate "$setting-gnn.parquet" --truth test.parquet --train train.parquet \
      --method "gnn, $setting" --against "$setting-text-knn.parquet" -o "$setting.differences.parquet"
done
python "$examples/leaderboard.py" --metrics Recall@100,Recall@20,Recall@10,NDCG@100 \
  ./*.metrics.parquet | tee table.md
