"""mine-pairs finds what the marketplace planted, although every buyer views what it buys."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(*words, cwd):
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module", params=[0, 1])
def market(request, tmp_path_factory):
    """A folder with a marketplace in market/ and its pairs in p.parquet; the report."""
    folder = tmp_path_factory.mktemp("market")
    run(EXAMPLES / "marketplace.py", "market", "--seed", request.param, cwd=folder)
    done = run(
        "-m", "cprtools", "mine-pairs", "market/events.parquet",
        "--products", "market/products.parquet", "-o", "p.parquet", cwd=folder,
    )  # fmt: skip
    return folder, done.stderr


def test_planted_complements_are_mined_with_the_default_options(market):
    done = run(
        EXAMPLES / "planted.py", "p.parquet", "market/truth_complements.parquet", cwd=market[0]
    )
    found = re.findall(r"(\w+): .* precision ([0-9.]+), recall ([0-9.]+)", done.stdout)
    measured = {labels: (float(precision), float(recall)) for labels, precision, recall in found}
    assert min(measured["cleaned"]) >= 0.8
    assert measured["cleaned"][0] >= 0.9
    # those that views speak little against are mostly planted ones, too
    assert measured["weighed"][0] >= measured["cleaned"][0] - 0.01
    assert measured["weighed"][1] >= measured["cleaned"][1] + 0.03
    assert measured["all"][0] < 0.7


def test_cleaning_leaves_complements_across_types_and_similar_pairs_within(market):
    shares = re.findall(r"across product types +([0-9.]+)%.* before, ([0-9.]+)%", market[1])
    (complements_before, complements), (similar_before, similar) = [
        (float(before), float(after)) for before, after in shares
    ]
    assert complements > complements_before
    assert similar < similar_before


@pytest.mark.parametrize("market", [0], indirect=True)
def test_the_methods_page_shows_the_report_as_it_is_printed(market):
    page = (ROOT / "docs" / "methods" / "mining.md").read_text(encoding="utf-8")
    assert f"```text\n{market[1]}```\n" in page
