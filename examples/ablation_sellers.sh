#!/usr/bin/env bash
# The seller article's ablation: what each part of the graph model adds, and what it costs.
#   examples/ablation_sellers.sh DATA [FOLDER]
# DATA holds listings.parquet and products.parquet; events.parquet or pairs.parquet,
# high_demand.parquet and page_views.parquet are used where there are any. With truth.parquet
# listings.parquet is the training part already; else 20% of the listings of each seller with 5 or
# more are held out (SEED=0), and events of a held-out listing are left out of the pairs.
# ARGS go to examples/ablation_sellers.py, such as --demand 5000 where no list says what is in high
# demand. FOLDER (reproduce/NAME-ablation) is made anew.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
. "$examples/data_folder.bash"
data=$(data_folder "${1:-}" products.parquet listings.parquet)
folder=${2:-reproduce/$(basename "$data")-ablation}
seed=${SEED:-0}
check_new "$folder" "$data"
make_anew "$folder" && cd "$folder"

if [ -e "$data/truth.parquet" ]; then
  train=$data/listings.parquet truth=$data/truth.parquet
else
  train=train.parquet truth=test.parquet
  cprtools split "$data/listings.parquet" --by seller_id --fraction 0.2 --min-rows 5 \
    --seed "$seed" -o train.parquet --test-out test.parquet
fi
vectors=()
if has_column "$data/products.parquet" title; then
  cprtools embed-text "$data/products.parquet" -o text.parquet
  vectors=(--vectors text.parquet)
fi
pairs=()
if [ -e "$data/pairs.parquet" ]; then
  pairs=(--pairs "$data/pairs.parquet")
elif [ -e "$data/events.parquet" ]; then
  python "$examples/known_events.py" "$data/events.parquet" "$truth" events.parquet
  cprtools mine-pairs events.parquet --min-count "${MIN_COUNT:-2}" -o pairs.parquet
  pairs=(--pairs pairs.parquet --min-bought-together "${MIN_COUNT:-2}")
fi
demand=()
[ ! -e "$data/high_demand.parquet" ] || demand=(--high-demand "$data/high_demand.parquet")
views=()
[ ! -e "$data/page_views.parquet" ] || views=(--views "$data/page_views.parquet")
cprtools build-graph --listings "$train" "${pairs[@]}" --products "$data/products.parquet" \
  "${demand[@]}" "${views[@]}" -o graph
python "$examples/ablation_sellers.py" graph --train "$train" --truth "$truth" \
  "${vectors[@]}" --seed "$seed" ${ARGS:-} | tee table.md
