"""The tutorial's small case, run as it is printed in examples/tutorial.sh."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import forking

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    done = forking.run_script(["bash", str(ROOT / "examples" / "tutorial.sh"), str(folder)])
    assert done.returncode == 0, done.stderr
    return folder, done


def cprtools(folder, *words):
    done = forking.run(words, folder, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_report_states_how_empty_the_matrix_is(tutorial):
    stated = re.search(r"sparsity of the affinity matrix\s+([0-9.]+)", tutorial[1].stderr)
    assert stated
    assert float(stated[1]) == pytest.approx(1 - 11 / 24, abs=1e-4)


def test_what_is_listed_is_not_shown_and_near_sellers_products_come_first(tutorial):
    folder = tutorial[0]
    cprtools(folder, "recommend", "--seller", "S1", "--category", "all", "-o", "s1.parquet")
    shown = pq.read_table(folder / "s1.parquet").column("product_id").to_pylist()
    assert sorted(shown) == ["P2", "P3", "P6"]
    assert shown.index("P3") == 2


def test_another_seed_gives_the_same_order(tutorial):
    folder = tutorial[0]
    model = "seed1.model"
    # one network in place of the mean of three, which varies more
    words = ["--seed", "1", "--networks", "1", "-o", model]
    cprtools(folder, "train-linkpred", "graph", *words)
    out = cprtools(
        folder, "recommend", "--model", model, "--seller", "S1", "--category", "all",
        "--format", "csv",
    )  # fmt: skip
    shown = [line.split(",")[2] for line in out.splitlines()[1:]]
    assert shown[2] == "P3"


def test_the_page_shows_the_rows_behind_a_pair_as_they_are_printed(tutorial):
    words = ["--min-count", "1", "--explain", "camera", "card"]
    out = cprtools(tutorial[0], "mine-pairs", "events.parquet", *words)
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert f"```text\n{out}```\n" in page


def test_pairs_are_as_counted_by_hand(tutorial):
    pairs = pq.read_table(tutorial[0] / "pairs.parquet").to_pylist()
    counts = {(r["query_id"], r["candidate_id"]): r["co_purchase"] for r in pairs}
    assert counts["camera", "card"] == 2
    assert ("card", "camera") not in counts
    complements = {(r["query_id"], r["candidate_id"]) for r in pairs if r["complement"]}
    assert ("camera", "card") in complements
    similar = {(r["query_id"], r["candidate_id"]) for r in pairs if r["similar"]}
    assert ("camera", "camera-pro") in similar
