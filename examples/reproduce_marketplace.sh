#!/usr/bin/env bash
# Both systems on the example marketplace over five seeds, all seeds measured together.
#   examples/reproduce_marketplace.sh [FOLDER]
# Each seed (SEEDS="0 1 2 3 4") makes its own market, split and models; the answers are then joined,
# ids prefixed with the seed, so that intervals are over the queries of all of them.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-reproduce/marketplace}
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
complements="popularity type-popularity type-counts co-purchase item-knn mf text-knn p-companion"
sellers="popularity item-knn mf text-knn gnn"
for seed in ${SEEDS:-0 1 2 3 4}; do
  python "$examples/marketplace.py" "$folder/market$seed" --seed "$seed"
  SEED=$seed SPLIT=pairs METHODS=$complements \
    bash "$examples/reproduce_complements.sh" "$folder/market$seed" "$folder/c$seed"
  SEED=$seed METHODS=$sellers \
    bash "$examples/reproduce_sellers.sh" "$folder/market$seed" "$folder/s$seed"
done
cd "$folder"
for system in c s; do
  [ $system = c ] && methods=$complements trained=p-companion truth=truth/*.parquet ||
    { methods=$sellers trained=gnn truth=test.parquet; }
  for name in $methods; do
    python "$examples/pool.py" $system "$name.parquet" ${SEEDS:-0 1 2 3 4} -o "$system-$name.parquet"
  done
  python "$examples/pool.py" $system "$truth" ${SEEDS:-0 1 2 3 4} -o "$system-truth.parquet"
  python "$examples/pool.py" $system train.parquet ${SEEDS:-0 1 2 3 4} -o "$system-train.parquet"
  more=()
  if [ $system = s ]; then
    python "$examples/pool.py" market high_demand.parquet ${SEEDS:-0 1 2 3 4} -o demand.parquet
    more=(--high-demand demand.parquet)
  fi
  against=()
  for name in $methods; do
    [ "$name" = $trained ] || against+=(--against "$system-$name.parquet")
    cprtools evaluate "$system-$name.parquet" --truth "$system-truth.parquet" \
      --train "$system-train.parquet" "${more[@]}" --method "$name" -q -o "$system-$name.metrics.parquet"
  done
  cprtools evaluate "$system-$trained.parquet" --truth "$system-truth.parquet" \
    --train "$system-train.parquet" "${more[@]}" --method $trained "${against[@]}" \
    -o "$system-differences.parquet"
  [ $system = c ] && metrics=Hit@1,Hit@3,Hit@10 || metrics=Recall@100,Recall@20,Recall@10,CalibrationError
  python "$examples/leaderboard.py" --metrics $metrics \
    $(for name in $methods; do echo "$system-$name.metrics.parquet"; done) | tee "$system-table.md"
done
