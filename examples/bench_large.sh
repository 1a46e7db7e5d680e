#!/usr/bin/env bash
# Time single answers of large models: of 100,000 products and a million pairs, trained here once, and of
# the sellers of `make scale-sellers` where that has run.
#   examples/bench_large.sh DEMO BENCH
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
demo=$1 bench=$2 made=$2/complements
if [ ! -d "$made/cpr.model" ]; then
  python "$examples/scale/complements.py" "$made" --pairs 1000000 --per-product 10 --dim 384
  cprtools train-cpr "$made/pairs.parquet" --products "$made/products.parquet" \
    --vectors "$made/vectors.parquet" --epochs 1 -o "$made/cpr.model"
fi
asked=(--large-complements "$made/cpr.model")
sellers=$bench/sellers-300000/gnn.model
[ ! -d "$sellers" ] || asked+=(--large "$sellers")
python "$examples/bench.py" "$demo" "${asked[@]}"
