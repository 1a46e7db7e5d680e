"""The benchmark of seller training, on a marketplace small enough to train on for a second."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "bench_training.py"
SMALL = "--sellers 150 --products 400 --listings 4000 --bought 1500 --dim 16 --batch-size 128"


def test_every_side_is_measured_at_the_same_neighbours_and_negatives_drawn():
    words = [*SMALL.split(), "--seconds", "1", "--turns", "1", "--negatives", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line[0] == "|"]
    rows = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}
    ours = ["ours", "ours, bfloat16", "ours, shared", "ours, shared, bfloat16"]
    assert list(rows) == ["dgl", "dgl, memory kept", *ours]
    assert rows["dgl"]["over DGL"] == "1.00"
    assert float(rows["dgl"]["negatives a root edge"]) == 2
    for row in rows.values():
        assert int(row["root edges trained"].replace(",", "")) > 0
        assert 0 <= float(row["Recall@100"]) <= 1
