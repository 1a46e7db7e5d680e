#!/usr/bin/env bash
# Complements, from a log of views and purchases to answers and their quality on held-out pairs.
#   examples/complements.sh [FOLDER]
# Needs cprtools and python on the PATH. FOLDER (demo) gets an example marketplace if it has none.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-demo}" && cd "${1:-demo}"
[ -d market ] || python "$examples/marketplace.py" market --seed 0 ${MARKET_ARGS:-}
set -v

# What is bought together, and what is compared: one table of pairs. The products change none of
# them; with their types the report says how many complements cross types, before and after cleaning.
cprtools mine-pairs market/events.parquet --products market/products.parquet \
  --report pairs.json -o pairs.parquet

# Keep a tenth of the pairs back, both directions of each, to measure with.
cprtools split pairs.parquet --pair query_id,candidate_id --fraction 0.1 \
  -o pairs-train.parquet --test-out pairs-test.parquet

# Learn from the rest: titles as vectors, then the complement model.
cprtools embed-text market/products.parquet -o text.parquet
cprtools train-cpr pairs-train.parquet --products market/products.parquet \
  --vectors text.parquet ${CPR_ARGS:-} -o cpr.model

# What completes one product?
cprtools recommend --model cpr.model --product P1 --with title,price --format table

# Answers for every product that has held-out pairs.
cprtools recommend --model cpr.model --queries pairs-test.parquet \
  --exclude pairs-train.parquet -o cpr.recs.parquet

# How good are they?
cprtools evaluate cpr.recs.parquet --truth pairs-test.parquet --train pairs-train.parquet \
  --format table

# Simple methods answer the same queries: is the trained model better than each of them?
for method in item-knn mf co-purchase type-popularity popularity; do
  cprtools train-cpr pairs-train.parquet --products market/products.parquet \
    --method "$method" -o "$method.model"
  cprtools recommend --model "$method.model" --queries pairs-test.parquet \
    --exclude pairs-train.parquet -o "$method.recs.parquet"
done
cprtools evaluate cpr.recs.parquet --truth pairs-test.parquet --train pairs-train.parquet \
  --products market/products.parquet --model cpr.model \
  --against item-knn.recs.parquet --against mf.recs.parquet --against co-purchase.recs.parquet \
  --against type-popularity.recs.parquet --against popularity.recs.parquet \
  --report complements.html -o complements-metrics.parquet
cprtools inspect complements-metrics.parquet --trace
