"""mine-pairs finds what the marketplace planted, although every buyer views what it buys."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*words, cwd):
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_complements_are_mined_with_the_default_options(tmp_path, seed):
    run(EXAMPLES / "marketplace.py", "market", "--seed", seed, cwd=tmp_path)
    run("-m", "cprtools", "mine-pairs", "market/events.parquet", "-o", "p.parquet", cwd=tmp_path)
    said = run(
        EXAMPLES / "planted.py", "p.parquet", "market/truth_complements.parquet", cwd=tmp_path
    )
    precision, recall = map(float, re.findall(r"(?:precision|recall) ([0-9.]+)", said))
    assert precision >= 0.9
    assert recall >= 0.8
