#!/usr/bin/env bash
# Sellers on real data over several seeds: every method, all seeds measured together.
#   examples/sellers_over_seeds.sh DATA [FOLDER]
# SEEDS="0 1 2" each make a split and models of their own with examples/reproduce_sellers.sh, whose
# variables hold here, too. The answers are then joined, ids prefixed with the seed, so that values are
# means over the seeds and intervals are over the sellers of all of them.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
. "$examples/data_folder.bash"
data=$(data_folder "${1:-}" products.parquet listings.parquet)
folder=${2:-reproduce/$(basename "$data")-sellers-seeds}
seeds=${SEEDS:-0 1 2}
check_new "$folder" "$data"
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
for seed in $seeds; do
  SEED=$seed bash "$examples/reproduce_sellers.sh" "$data" "$folder/s$seed"
  [ ! -e "$data/high_demand.parquet" ] || cp "$data/high_demand.parquet" "$folder/s$seed/"
done
cd "$folder"
first=${seeds%% *}
methods=$(cd "s$first" && for file in *.metrics.parquet; do echo "${file%.metrics.parquet}"; done)
join() { python "$examples/pool.py" s "$1" $seeds -o "$1"; }
join test.parquet
join train.parquet
demand=()
[ ! -e "s$first/high_demand.parquet" ] || { join high_demand.parquet; demand=(--high-demand high_demand.parquet); }
measure() {
  cprtools evaluate "$1.parquet" --truth test.parquet --train train.parquet "${demand[@]}" \
    --method "$1" "${@:2}" -q
}
against=()
for method in $methods; do
  join "$method.parquet"
  measure "$method" -o "$method.metrics.parquet"
  [ "$method" = gnn ] || against+=(--against "$method.parquet")
done
[ ! -e gnn.parquet ] || measure gnn "${against[@]}" -o differences.parquet
python "$examples/leaderboard.py" --metrics Recall@100,Recall@20,Recall@10,NDCG@100,CalibrationError \
  $(for method in $methods; do echo "$method.metrics.parquet"; done) | tee table.md
for method in $methods; do
  echo && echo "$method" && echo
  python "$examples/reliability.py" "$method.parquet" --truth test.parquet --train train.parquet \
    "${demand[@]}" --plot "$method.png"
done | tee reliability.md
