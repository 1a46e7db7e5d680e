#!/usr/bin/env bash
# Sellers, from listings to the products each seller might list next, and how well that works.
#   examples/sellers.sh [FOLDER]
# Needs cprtools and python on the PATH. FOLDER (demo) gets an example marketplace if it has none.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-demo}" && cd "${1:-demo}"
[ -d market ] || python "$examples/marketplace.py" market --seed 0 ${MARKET_ARGS:-}
set -v

# Pairs and title vectors, unless the other pipeline has left them here.
[ -e pairs.parquet ] || cprtools mine-pairs market/events.parquet -o pairs.parquet
[ -e text.parquet ] || cprtools embed-text market/products.parquet -o text.parquet

# Keep a fifth of each seller's listings back to measure with.
cprtools split market/listings.parquet --by seller_id --fraction 0.2 \
  -o listings-train.parquet --test-out listings-test.parquet

# One graph of sellers, high-demand products and the 300 most viewed others.
cprtools build-graph --listings listings-train.parquet --pairs pairs.parquet \
  --products market/products.parquet --high-demand market/high_demand.parquet \
  --views market/page_views.parquet --additional 300 -o graph
cprtools inspect graph

# Learn from it.
cprtools train-linkpred graph --vectors text.parquet ${GNN_ARGS:-} -o seller.model

# What might seller S1 list next, in its own category?
cprtools recommend --model seller.model --seller S1 --format table

# The full ranking for every seller.
cprtools recommend --model seller.model --all --category all --threshold 0 -k 100 \
  -o sellers.recs.parquet

# How good is it?
cprtools evaluate sellers.recs.parquet --truth listings-test.parquet \
  --train listings-train.parquet --high-demand market/high_demand.parquet --format table

# Simple methods on the same graph: is the trained model better than each of them?
for method in item-knn mf popularity; do
  cprtools train-linkpred graph --method "$method" -o "seller-$method.model"
  cprtools recommend --model "seller-$method.model" --all --category all --threshold 0 -k 100 \
    -o "seller-$method.recs.parquet"
done
cprtools evaluate sellers.recs.parquet --truth listings-test.parquet \
  --train listings-train.parquet --high-demand market/high_demand.parquet \
  --products market/products.parquet --model seller.model \
  --against seller-item-knn.recs.parquet --against seller-mf.recs.parquet \
  --against seller-popularity.recs.parquet \
  --report sellers.html -o sellers-metrics.parquet
cprtools inspect sellers-metrics.parquet --trace
