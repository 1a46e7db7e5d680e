#!/usr/bin/env bash
# Every complement method on real data, one table at the end.
#   examples/reproduce_complements.sh DATA [FOLDER]
# DATA holds products.parquet and relations.parquet or events.parquet. FOLDER
# (reproduce/NAME-complements) is made anew. Held out (SEED=0): 10% of the products with every pair
# that touches them (new products), then 10% of the queries with all pairs of their own, then 10% of
# the unordered pairs. Candidates: the whole catalogue but training pairs and similar products.
# QUERIES=0.1 answers a tenth of the queries only; MIN_COUNT is that of mine-pairs.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
folder=${2:-reproduce/$(basename "$data")-complements}
seed=${SEED:-0}
methods=${METHODS:-popularity type-popularity type-counts co-purchase item-knn mf p-companion}
rm -rf "$folder" && mkdir -p "$folder" && cd "$folder"

count=(${MIN_COUNT:+--min-count "$MIN_COUNT"})
if [ -e "$data/relations.parquet" ]; then
  cprtools mine-pairs --relations "$data/relations.parquet" "${count[@]}" -o all.parquet
else
  cprtools mine-pairs "$data/events.parquet" "${count[@]}" -o all.parquet
fi
python "$examples/inside.py" all.parquet "$data/products.parquet" -o pairs.parquet
mkdir truth
cprtools split pairs.parquet --cold query_id,candidate_id --fraction 0.1 --seed "$seed" \
  -o rest1.parquet --test-out truth/new.parquet
cprtools split rest1.parquet --cold query_id --fraction 0.1 --seed "$seed" \
  -o rest2.parquet --test-out truth/queries.parquet
cprtools split rest2.parquet --pair query_id,candidate_id --fraction 0.1 --seed "$seed" \
  -o train.parquet --test-out truth/warm.parquet
truth=truth
if [ -n "${QUERIES:-}" ]; then
  truth=truth.parquet
  # another seed: with the same one the ids drawn first, the new products, would be drawn again
  cprtools split truth --cold query_id --fraction "$QUERIES" --seed $((seed + 1000)) \
    -o unused.parquet --test-out "$truth"
fi
vectors=()
if cprtools inspect "$data/products.parquet" | grep -qw title; then
  cprtools embed-text "$data/products.parquet" -o text.parquet
  vectors=(--vectors text.parquet)
  methods="text-knn $methods"
fi
for method in $methods; do
  start=$SECONDS
  cprtools train-cpr train.parquet --products "$data/products.parquet" "${vectors[@]}" \
    --method "$method" --seed "$seed" -o "$method.model"
  cprtools recommend --model "$method.model" --queries "$truth" --exclude train.parquet \
    --types "${TYPES:-0}" -o "$method.parquet"
  cprtools evaluate "$method.parquet" --truth "$truth" --train train.parquet \
    --products "$data/products.parquet" --method "$method" -o "$method.metrics.parquet"
  echo "$method: $((SECONDS - start)) s to train, recommend and evaluate" >&2
done
against=()
for method in $methods; do
  [ "$method" = p-companion ] || against+=(--against "$method.parquet")
done
[ ! -e p-companion.parquet ] || cprtools evaluate p-companion.parquet --truth "$truth" \
  --train train.parquet --products "$data/products.parquet" --method p-companion \
  "${against[@]}" -o differences.parquet
files=$(for method in $methods; do echo "$method.metrics.parquet"; done)
for segment in "all" "warm queries" "queries without co-purchases" "new products"; do
  echo && echo "$segment" && echo
  python "$examples/leaderboard.py" --metrics Hit@1,Hit@3,Hit@10,Asymmetry,TypesPerList@10 \
    --segments "$segment" $files
done | tee table.md
