#!/usr/bin/env bash
# Time commands against the least they could take, in the folder of the demo.
#   examples/bench.sh [FOLDER [--large MODEL] [--large-complements MODEL]]
set -euo pipefail
examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-demo}; shift || true
[ -d "$folder/seller.model" ] || bash "$examples/demo.sh" "$folder"
python "$examples/bench.py" "$folder" "$@"
OMP_NUM_THREADS=1 python "$examples/bench_batch.py" --sellers 2048 --model "$folder/seller.model"
python "$examples/bench_text.py" "$folder/market/products.parquet" --rows 2000
