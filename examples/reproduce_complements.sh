#!/usr/bin/env bash
# Every complement method on real data, one table at the end.
#   examples/reproduce_complements.sh DATA [FOLDER]
# DATA holds products.parquet and relations.parquet or events.parquet. FOLDER
# (reproduce/NAME-complements) is made anew.
#   SPLIT=pairs   held out (SEED=0): 10% of the ids with every pair that touches them (new
#                 products), then 10% of the queries with all pairs of their own, then 10% of the
#                 unordered pairs. Training pairs leave the lists.
#   SPLIT=orders  10% of the orders (sessions) are test: their pairs, known ones among them, are to
#                 be foretold. A tenth of the other orders serves to choose settings and ranker.
#   SPLIT=time    as orders, by time: the last orders are test (AT), those before (LATER) choose.
#                 With RECENT the last orders before those are what was bought of late, and the
#                 method recent-counts is co-purchase where the latest purchases count three times.
# Candidates: the whole catalogue but similar products. Default: pairs for relations, else orders.
# QUERIES=0.1 answers a tenth of the queries only; MIN_COUNT is that of mine-pairs. GO_ON=1 keeps
# FOLDER with its split and the methods that are there already. EMBED="--method static" are options
# of embed-text. Methods that know products by texts or types are left out where there are none.
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
. "$examples/data_folder.bash"
data=$(data_folder "${1:-}" products.parquet)
folder=${2:-reproduce/$(basename "$data")-complements}
seed=${SEED:-0}
split=${SPLIT:-$([ -e "$data/relations.parquet" ] && echo pairs || echo orders)}
case $split in
  pairs)
    [ -e "$data/relations.parquet" ] || [ -e "$data/events.parquet" ] ||
      stop "$data: neither relations.parquet nor events.parquet in it" 4
    ;;
  orders | time)
    [ -e "$data/events.parquet" ] || stop "$data: no events.parquet in it, which SPLIT=$split needs" 4
    if [ "$split" = time ]; then
      [ -n "${AT:-}" ] && [ -n "${LATER:-}" ] ||
        stop "SPLIT=time needs AT and LATER, such as AT=2024-05-01 LATER=2024-04-01"
    else
      has_column "$data/events.parquet" session_id ||
        stop "$data/events.parquet: no session_id in it, which SPLIT=orders needs, and SPLIT=pairs does not" 3
    fi
    ;;
  *) stop "SPLIT must be pairs, orders or time, got '$split'" ;;
esac
methods=${METHODS:-popularity type-popularity type-counts co-purchase item-knn mf ease blend p-companion}
products=$data/products.parquet
check_new "$folder" "$data"
{ [ -n "${GO_ON:-}" ] && [ -d "$folder" ]; } || make_anew "$folder"
mkdir -p "$folder/truth" && cd "$folder"
# methods of another split would stand in one table
how="SEED=$seed SPLIT=$split AT=${AT:-} LATER=${LATER:-} RECENT=${RECENT:-} QUERIES=${QUERIES:-} MIN_COUNT=${MIN_COUNT:-}"
[ ! -e split.txt ] || [ "$(cat split.txt)" = "$how" ] ||
  stop "$folder was made with $(cat split.txt); GO_ON=1 needs the same, or another FOLDER"
echo "$how" > split.txt

count=(${MIN_COUNT:+--min-count "$MIN_COUNT"})
if [ "$split" = pairs ]; then
  if [ -e "$data/relations.parquet" ]; then
    cprtools mine-pairs --relations "$data/relations.parquet" "${count[@]}" -o all.parquet
  else
    cprtools mine-pairs "$data/events.parquet" "${count[@]}" -o all.parquet
  fi
  cprtools split all.parquet --cold query_id,candidate_id --fraction 0.1 --seed "$seed" \
    -o rest1.parquet --test-out truth/new.parquet
  cprtools split rest1.parquet --cold query_id --fraction 0.1 --seed "$seed" \
    -o rest2.parquet --test-out truth/queries.parquet
  cprtools split rest2.parquet --pair query_id,candidate_id --fraction 0.1 --seed "$seed" \
    -o train.parquet --test-out truth/warm.parquet
  later=() keep=() exclude=(--exclude train.parquet)
  segments="all,warm queries,queries without co-purchases,new products"
else
  if [ "$split" = time ]; then
    test_part=(--at "$AT") later_part=(--at "$LATER")
  else
    test_part=(--cold session_id --fraction 0.1 --seed "$seed")
    # another seed: with the same one the sessions drawn first would be drawn again
    later_part=(--cold session_id --fraction 0.1 --seed $((seed + 1000)))
  fi
  cprtools split "$data/events.parquet" "${test_part[@]}" \
    -o train_events.parquet --test-out test_events.parquet
  cprtools split train_events.parquet "${later_part[@]}" \
    -o earlier_events.parquet --test-out later_events.parquet
  cprtools mine-pairs train_events.parquet "${count[@]}" -o train.parquet
  cprtools mine-pairs earlier_events.parquet "${count[@]}" -o earlier.parquet
  cprtools mine-pairs later_events.parquet --min-count 1 -o later.parquet
  cprtools mine-pairs test_events.parquet --min-count 1 -o truth/pairs.parquet
  later=(--earlier earlier.parquet --later later.parquet)
  if [ -n "${RECENT:-}" ]; then
    cprtools split earlier_events.parquet --at "$RECENT" -o before_events.parquet \
      --test-out recent_events.parquet
    cprtools mine-pairs recent_events.parquet --min-count 1 -o recent.parquet
    later+=(--recent recent.parquet)
  fi
  keep=(--keep-train) exclude=()
  segments="all,rare queries,middle queries,frequent queries"
fi
truth=truth
if [ -n "${QUERIES:-}" ]; then
  truth=truth.parquet
  cprtools split truth --cold query_id --fraction "$QUERIES" --seed $((seed + 2000)) \
    -o unused.parquet --test-out "$truth"
fi
vectors=()
if has_text "$products"; then
  cprtools embed-text "$products" ${EMBED:-} -o text.parquet
  vectors=(--vectors text.parquet)
  methods="${METHODS:-text-knn $methods}"
else
  methods=$(without "$methods" text-knn)
  has_column "$products" product_type || has_column "$products" category ||
    methods=$(without "$methods" type-popularity type-counts)
fi
for method in $methods; do
  [ ! -e "$method.metrics.parquet" ] || continue
  start=$SECONDS
  trained=$method pairs=train.parquet
  if [ "$method" = recent-counts ]; then
    trained=co-purchase pairs=recent_counts.parquet
    python "$examples/recent_counts.py" train.parquet later.parquet -o "$pairs"
  fi
  cprtools train-cpr "$pairs" --products "$products" "${vectors[@]}" "${later[@]}" \
    --method "$trained" --seed "$seed" -o "$method.model"
  echo "$method: $((SECONDS - start)) s to train" >&2
  cprtools recommend --model "$method.model" --queries "$truth" "${exclude[@]}" \
    --types "${TYPES:-0}" -o "$method.parquet"
  cprtools evaluate "$method.parquet" --truth "$truth" --train train.parquet "${keep[@]}" \
    --products "$products" --method "$method" -o "$method.metrics.parquet"
done
against=()
for method in $methods; do
  [ "$method" = p-companion ] || against+=(--against "$method.parquet")
done
[ ! -e p-companion.parquet ] || cprtools evaluate p-companion.parquet --truth "$truth" \
  --train train.parquet "${keep[@]}" --products "$products" --method p-companion \
  "${against[@]}" -o differences.parquet
files=$(for method in $methods; do echo "$method.metrics.parquet"; done)
python "$examples/leaderboard.py" --metrics Hit@1,Hit@3,Hit@10,Asymmetry,TypesPerList@10 \
  --segments "$segments" --apart $files | tee table.md
