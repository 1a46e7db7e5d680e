#!/usr/bin/env bash
# Everything once, on a small marketplace made for it: what `make demo` runs.
#   examples/demo.sh [FOLDER]
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-demo}
mkdir -p "$folder"

set -v
python "$examples/marketplace.py" "$folder/market" --seed 0 ${MARKET_ARGS:-}
bash "$examples/complements.sh" "$folder"
bash "$examples/sellers.sh" "$folder"
bash "$examples/pipelines.sh" "$folder"
cd "$folder"

# The models lie under their default names, so here these work as they stand.
cprtools recommend --product P1 --format table
cprtools recommend --seller S1 --category Photography --format table
