#!/usr/bin/env bash
# Each pipeline as one shell line, from raw tables to metrics, and one that joins both.
#   examples/pipelines.sh [FOLDER]
# Needs cprtools and python on the PATH. FOLDER (demo) gets an example marketplace if it has none.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-demo}" && cd "${1:-demo}"
[ -d market ] || python "$examples/marketplace.py" market --seed 0 ${MARKET_ARGS:-}
[ -e text.parquet ] || cprtools embed-text market/products.parquet -o text.parquet
set -v

# Complements: the held-out pairs go to a file on the way, everything else through the pipe.
cprtools mine-pairs market/events.parquet | cprtools split - --pair query_id,candidate_id --fraction 0.1 -o - --test-out line-pairs.parquet | cprtools train-cpr - --products market/products.parquet --vectors text.parquet --method type-popularity -o - | cprtools recommend --model - --queries line-pairs.parquet | cprtools evaluate - --truth line-pairs.parquet --method type-popularity --format table

# Sellers, the same way.
cprtools split market/listings.parquet --by seller_id --fraction 0.2 -o - --test-out line-listings.parquet | cprtools build-graph --listings - --products market/products.parquet --high-demand market/high_demand.parquet -o - | cprtools train-linkpred - --vectors text.parquet --method text-knn -o - | cprtools recommend --model - --all --category all --threshold 0 -k 100 | cprtools evaluate - --truth line-listings.parquet --high-demand market/high_demand.parquet --method text-knn --format table

# Joined: the complement model's embeddings are the seller model's vectors.
[ -e pairs.parquet ] || cprtools mine-pairs market/events.parquet -o pairs.parquet
[ -d graph ] || cprtools build-graph --listings market/listings.parquet --pairs pairs.parquet --products market/products.parquet -o graph
cprtools train-cpr pairs.parquet --products market/products.parquet --vectors text.parquet --no-ranker --epochs 4 -o - | cprtools train-linkpred graph --vectors - --method text-knn -o - | cprtools recommend --model - --seller S1 --category Photography --format table
