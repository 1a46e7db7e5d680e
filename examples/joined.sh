#!/usr/bin/env bash
# Both pipelines as one: what completes a product teaches the seller model what products are alike.
#   examples/joined.sh [FOLDER]
# Needs cprtools and python on the PATH. FOLDER (demo) gets an example marketplace if it has none.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-demo}" && cd "${1:-demo}"
[ -d market ] || python "$examples/marketplace.py" market --seed 0 ${MARKET_ARGS:-}
set -v

[ -e text.parquet ] || cprtools embed-text market/products.parquet -o text.parquet
cprtools mine-pairs market/events.parquet | cprtools build-graph --pairs - \
  --listings market/listings.parquet --products market/products.parquet \
  --high-demand market/high_demand.parquet --views market/page_views.parquet -o whole-graph

# A folder travels through a pipe as a tar: the complement model's Product2Vec embeddings are the
# vectors of the seller model, and no model is written in between.
cprtools mine-pairs market/events.parquet |
  cprtools train-cpr - --products market/products.parquet --vectors text.parquet -o - |
  cprtools train-linkpred whole-graph --vectors - --vectors text.parquet -o joined.model

cprtools recommend --model joined.model --seller S1 --category Photography --format table
