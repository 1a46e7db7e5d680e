#!/usr/bin/env bash
# Products that nobody lists yet: can a model place them with sellers?
#   examples/new_products_sellers.sh DATA [FOLDER]
# DATA holds listings.parquet and products.parquet. FOLDER (reproduce/NAME-new-products) is made
# anew. Split: all listings of 10% of the products (SEED=0) are held out. Two settings:
#   known    the held-out products are in the catalogue, without a listing
#   unknown  the model never saw them; recommend gets them with --products and --vectors
# Candidates as in reproduce_sellers.sh: every product that the seller does not list in training.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
folder=${2:-reproduce/$(basename "$data")-new-products}
seed=${SEED:-0}
methods=${METHODS:-text-knn gnn}
settings=${SETTINGS:-known unknown}
read -r -a given <<< "${GNN_ARGS:-}"
rm -rf "$folder" && mkdir -p "$folder" && cd "$folder"

cprtools split "$data/listings.parquet" --cold product_id --fraction 0.1 --seed "$seed" \
  -o train.parquet --test-out test.parquet
# FEATURES: vectors of the products made before; they do not depend on the split
features=${FEATURES:-$PWD/text.parquet}
[ -e "$features" ] || cprtools embed-text "$data/products.parquet" -o "$features"
python - "$data/products.parquet" test.parquet old.parquet <<'PYTHON'
import sys

import duckdb

products, test, old = sys.argv[1:]
ids = duckdb.read_parquet(test).select("product_id")
rows = duckdb.read_parquet(products)
rows.filter("product_id NOT IN (SELECT product_id FROM ids)").order("product_id").write_parquet(old)
PYTHON
for setting in $settings; do
  catalogue=$data/products.parquet more=()
  if [ "$setting" = unknown ]; then
    catalogue=old.parquet more=(--products "$data/products.parquet" --vectors "$features")
  fi
  cprtools build-graph --listings train.parquet --products "$catalogue" -o "$setting.graph"
  for method in $methods; do
    [ "$method" = gnn ] && extra=("${given[@]}") || extra=()
    cprtools train-linkpred "$setting.graph" --vectors "$features" --method "$method" \
      --seed "$seed" "${extra[@]}" -o "$setting-$method.model"
    cprtools recommend --model "$setting-$method.model" --all --category all --threshold 0 -k 100 \
      "${more[@]}" -o "$setting-$method.parquet"
    cprtools evaluate "$setting-$method.parquet" --truth test.parquet --train train.parquet \
      --method "$method, $setting" -o "$setting-$method.metrics.parquet"
  done
  # the paired difference, with its interval
  [ ! -e "$setting-gnn.parquet" ] || [ ! -e "$setting-text-knn.parquet" ] ||
    cprtools evaluate "$setting-gnn.parquet" --truth test.parquet --train train.parquet \
      --method "gnn, $setting" --against "$setting-text-knn.parquet" -o "$setting-difference.parquet"
done
python "$examples/leaderboard.py" --metrics Recall@100,Recall@20,Recall@10,NDCG@100 \
  ./*.metrics.parquet | tee table.md
