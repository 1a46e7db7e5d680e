#!/usr/bin/env bash
# Every seller method on real data, one table at the end.
#   examples/reproduce_sellers.sh DATA [FOLDER]
# DATA holds listings.parquet and products.parquet; events.parquet, high_demand.parquet and
# page_views.parquet are used where there are any; events of held-out listings are left out.
# FOLDER (reproduce/NAME-sellers) is made anew. Split: 20% of the listings of each seller with 5 or
# more (SEED=0), candidates: every product of the graph, or of the high-demand list, that the seller
# does not list in training. EMBED="--method static" are options of embed-text,
# TRAIN_ARGS="--purchases-at-sellers" of train-linkpred, GNN_ARGS of its method gnn alone.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
. "$examples/data_folder.bash"
data=$(data_folder "${1:-}" products.parquet listings.parquet)
folder=${2:-reproduce/$(basename "$data")-sellers}
seed=${SEED:-0}
methods=${METHODS:-popularity item-knn mf bpr text-knn ease lightgcn gnn}
check_new "$folder" "$data"
make_anew "$folder" && cd "$folder"

cprtools split "$data/listings.parquet" --by seller_id --fraction 0.2 --min-rows 5 --seed "$seed" \
  -o train.parquet --test-out test.parquet
vectors=()
if has_text "$data/products.parquet"; then
  cprtools embed-text "$data/products.parquet" ${EMBED:-} -o text.parquet
  vectors=(--vectors text.parquet)
else
  methods=$(without "$methods" text-knn)
fi
pairs=()
if [ -e "$data/events.parquet" ]; then
  python "$examples/known_events.py" "$data/events.parquet" test.parquet events.parquet
  cprtools mine-pairs events.parquet -o pairs.parquet
  pairs=(--pairs pairs.parquet)
fi
demand=()
[ ! -e "$data/high_demand.parquet" ] || demand=(--high-demand "$data/high_demand.parquet")
views=()
[ ! -e "$data/page_views.parquet" ] || views=(--views "$data/page_views.parquet")
cprtools build-graph --listings train.parquet "${pairs[@]}" --products "$data/products.parquet" \
  "${demand[@]}" "${views[@]}" -o graph
for method in $methods; do
  start=$SECONDS
  [ "$method" = gnn ] && own=${GNN_ARGS:-} || own=
  cprtools train-linkpred graph "${vectors[@]}" --method "$method" --seed "$seed" \
    ${TRAIN_ARGS:-} $own -o "$method.model"
  cprtools recommend --model "$method.model" --all --category all --threshold 0 -k 100 \
    -o "$method.parquet"
  cprtools evaluate "$method.parquet" --truth test.parquet --train train.parquet "${demand[@]}" \
    --method "$method" -o "$method.metrics.parquet"
  echo "$method: $((SECONDS - start)) s to train, recommend and evaluate" >&2
done
against=()
for method in $methods; do
  [ "$method" = gnn ] || against+=(--against "$method.parquet")
done
[ ! -e gnn.parquet ] || cprtools evaluate gnn.parquet --truth test.parquet --train train.parquet \
  "${demand[@]}" --method gnn "${against[@]}" -o differences.parquet
python "$examples/leaderboard.py" --metrics Recall@100,Recall@20,Recall@10,NDCG@100,CalibrationError \
  $(for method in $methods; do echo "$method.metrics.parquet"; done) | tee table.md
