#!/usr/bin/env bash
# Complements on real data over several seeds: every method, all seeds measured together.
#   examples/complements_over_seeds.sh DATA [FOLDER]
# SEEDS="0 1 2" each make a split and models of their own with examples/reproduce_complements.sh, whose
# variables hold here, too. The answers are then joined, ids prefixed with the seed, so that values are
# means over the seeds and intervals are over the queries of all of them.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
. "$examples/data_folder.bash"
data=$(data_folder "${1:-}" products.parquet)
folder=${2:-reproduce/$(basename "$data")-seeds}
seeds=${SEEDS:-0 1 2}
check_new "$folder" "$data"
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
for seed in $seeds; do
  SEED=$seed bash "$examples/reproduce_complements.sh" "$data" "$folder/s$seed"
  cp "$data/products.parquet" "$folder/s$seed/products.parquet"
done
cd "$folder"
first=${seeds%% *}
methods=$(cd "s$first" && for file in *.metrics.parquet; do echo "${file%.metrics.parquet}"; done)
[ -e "s$first/truth.parquet" ] && truth=truth.parquet || truth='truth/*.parquet'
[ -e "s$first/later.parquet" ] && keep=(--keep-train) || keep=()
join() { python "$examples/pool.py" s "$1" $seeds -o "$2"; }
join "$truth" truth.parquet
join train.parquet train.parquet
join products.parquet products.parquet
measure() {
  cprtools evaluate "$1.parquet" --truth truth.parquet --train train.parquet "${keep[@]}" \
    --products products.parquet --method "$1" "${@:2}" -q
}
against=()
for method in $methods; do
  join "$method.parquet" "$method.parquet"
  measure "$method" -o "$method.metrics.parquet"
  [ "$method" = p-companion ] || against+=(--against "$method.parquet")
done
[ ! -e p-companion.parquet ] || measure p-companion "${against[@]}" -o differences.parquet
files=$(for method in $methods; do echo "$method.metrics.parquet"; done)
[ ${#keep[@]} = 0 ] && segments="warm queries,queries without co-purchases,new products" ||
  segments="rare queries,middle queries,frequent queries"
{
  metrics=Hit@1,Hit@3,Hit@10
  python "$examples/leaderboard.py" --apart $files \
    --metrics $metrics,Asymmetry,TypesPerList@10,Coverage@10,Novelty@10
  python "$examples/leaderboard.py" --apart --segments "$segments" --metrics $metrics $files
} | tee table.md
