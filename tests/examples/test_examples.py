"""Every script in examples/ runs, on a small marketplace, and leaves what its comments promise."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from tests import forking
from tests.training.few_steps import AS_COMMAND, AS_SCRIPT

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SMALL_MARKET = "--products 400 --sellers 60 --events 8000"
QUICK_GNN = "--epochs 1 --networks 1 --num-layers 2"
# these need real data, or take long by design
NOT_RUN = {
    "bench.sh",
    "bench_large.sh",
    "copies_sellers.sh",
    "ablation_sellers.sh",
    "reproduce_sellers.sh",
    "sellers_over_seeds.sh",
    "reproduce_marketplace.sh",
}


def run(*words, cwd):
    """Run a command as a shell would that has this Python's scripts first on its PATH."""
    done = forking.run_script(
        words, cwd, MARKET_ARGS=SMALL_MARKET, CPR_ARGS="--epochs 1", GNN_ARGS=QUICK_GNN,
        FORKED_PROGRAM=AS_COMMAND,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


def run_script(name, *words, cwd):
    """Run a script of Python in a fork, whose libraries are loaded; nothing is learnt well."""
    done = forking.run_python([EXAMPLES / name, *words], cwd, AS_SCRIPT)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder that examples/demo.sh leaves, and what it showed."""
    folder = tmp_path_factory.mktemp("examples") / "demo"
    return folder, run("bash", EXAMPLES / "demo.sh", folder, cwd=folder.parent)


def test_every_script_is_run_here():
    scripts = {path.name for path in EXAMPLES.rglob("*.sh")} - NOT_RUN
    demo_text = (EXAMPLES / "demo.sh").read_text(encoding="utf-8")
    run_by_demo = {name for name in scripts if f"/{name}" in demo_text}

    alone = {
        "demo.sh",
        "tutorial.sh",
        "complements_over_seeds.sh",
        "reproduce_complements.sh",
        "new_products_sellers.sh",
    }
    assert scripts == run_by_demo | alone


def test_every_conversion_of_an_original_is_run_by_a_test():
    files = sorted(Path(__file__).parent.glob("test_originals*.py"))
    tests = "".join(path.read_text(encoding="utf-8") for path in files)
    converted = set(re.findall(r'\bconvert\("([a-z0-9-]+)", ', tests))
    scripts = {path.stem for path in (EXAMPLES / "originals").glob("*.sql")} - {"common"}

    assert {name.replace("-", "_") for name in converted} == scripts


def test_the_demo_leaves_what_the_benchmarks_take(demo):
    folder, _ = demo
    named = re.findall(r"\$folder/([\w./-]+)", (EXAMPLES / "bench.sh").read_text("utf-8"))
    named += re.findall(r"\$\(DEMO\)/([\w./-]+)", (ROOT / "Makefile").read_text("utf-8"))

    assert {"seller.model", "market/products.parquet"} <= set(named)
    assert [name for name in named if not (folder / name).exists()] == []


def test_the_demo_shows_each_command_before_its_output(demo):
    _, done = demo

    for command in ("mine-pairs", "train-cpr", "build-graph", "train-linkpred", "evaluate"):
        assert f"cprtools {command} " in done.stderr


@pytest.mark.parametrize("name", ["complements-metrics", "sellers-metrics"])
def test_the_demo_measures_both_systems(demo, name):
    folder, _ = demo
    values = duckdb.read_parquet(str(folder / f"{name}.parquet"))

    assert values.filter("value IS NOT NULL AND queries > 0").count("*").fetchall()[0][0] > 0


@pytest.mark.parametrize("name", ["complements.html", "sellers.html"])
def test_the_demo_leaves_reports(demo, name):
    folder, _ = demo

    assert "<html" in (folder / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words", [["--product", "P1"], ["--seller", "S1", "--category", "Photography"]]
)
def test_recommend_needs_no_model_option_where_the_demo_ran(demo, words):
    folder, _ = demo
    done = run("cprtools", "recommend", *words, "--format", "csv", cwd=folder)

    assert len(done.stdout.splitlines()) > 1


def test_a_terminal_is_drawn_with_what_the_command_prints(demo, tmp_path):
    folder, _ = demo
    words = ["recommend", "--seller", "S1", "--category", "Photography"]
    run(
        sys.executable,
        EXAMPLES / "terminal_picture.py",
        ".",
        tmp_path / "p.svg",
        *words,
        cwd=folder,
    )
    drawn = ElementTree.parse(tmp_path / "p.svg").getroot()
    text = " ".join(drawn.itertext()).replace("\xa0", " ")
    answers = run("cprtools", *words, "--format", "csv", cwd=folder).stdout.splitlines()[1:]

    assert f"$ cprtools {' '.join(words)}" in text
    assert "seller S1" in text and "affinity" in text
    assert answers and all(f" {line.split(',')[2]} " in text for line in answers)


def test_a_command_that_fails_is_no_picture_but_its_error(tmp_path):
    words = [sys.executable, EXAMPLES / "terminal_picture.py", tmp_path, tmp_path / "p.svg"]
    done = subprocess.run(
        [*words, "recommend", "--seller", "S1"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("cprtools: error: seller.model: no such folder")
    assert not (tmp_path / "p.svg").exists()


def test_the_diversity_curve_is_a_table_and_a_picture(demo, tmp_path):
    folder, _ = demo
    done = run_script(
        "diversity_curve.py", "cpr.model", "--truth",
        "pairs-test.parquet", "--train", "pairs-train.parquet", "--products",
        "market/products.parquet", "--plot", tmp_path / "curve.png", "--types", "3",
        "--queries-fraction", "0.8", cwd=folder,
    )  # fmt: skip

    heads, _, off, three = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()
    )
    off, three = dict(zip(heads, off, strict=True)), dict(zip(heads, three, strict=True))
    assert (off["T"], three["T"]) == ("0", "3")
    assert [off[name] for name in heads if "kept" in name] == ["100.0%"] * 4
    assert float(three["TypesPerList@10"]) > float(off["TypesPerList@10"])
    assert 50 < float(three["oracle kept@10"].rstrip("%")) <= 100
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_every_ingredient_of_the_ranker_has_a_row(demo):
    folder, _ = demo
    done = run_script(
        "ablation_complements.py", "pairs-train.parquet", "--products",
        "market/products.parquet", "--queries", "150", "--ranker-only", cwd=folder,
    )  # fmt: skip

    heads, _, *rows = (
        [x.strip() for x in line.split("|")[1:-1]] for line in done.stdout.splitlines()
    )
    assert heads[1] == "all Hit@1 / 3 / 10"
    labels = [row[0] for row in rows]
    assert labels[0] == "everything"
    assert {"without p-companion", "without reverse pairs", "mf alone"} < set(labels)
    values = {row[0]: [float(value) for value in row[1].split(" / ")] for row in rows}
    assert all(0 <= one <= three <= ten <= 1 for one, three, ten in values.values())
    assert len({tuple(value) for value in values.values()}) > 3


def test_every_ingredient_of_the_seller_model_has_a_row(demo, tmp_path):
    folder, _ = demo
    market = folder / "market"
    some = duckdb.read_parquet(str(market / "listings.parquet")).filter("seller_id < 'S15'")
    some.write_parquet(str(tmp_path / "some.parquet"))
    words = ["--products", market / "products.parquet", "--pairs", folder / "pairs.parquet",
             "--high-demand", market / "high_demand.parquet"]  # fmt: skip
    run("cprtools", "build-graph", "--listings", "some.parquet", *words, "-o", "g", cwd=tmp_path)
    done = run_script("ablation_evidence.py", "g", "--repeats", "1", cwd=tmp_path)

    _, _, *rows = ([x.strip() for x in line.split("|")[1:-1]] for line in done.stdout.splitlines())
    labels = [row[0] for row in rows]
    assert labels[0] == "everything"
    expected = {"without gnn", "without brand", "without bought with listed", "without popularity"}
    assert expected | {"without the ranker", "a logistic ranker"} < set(labels)
    values = {row[0]: float(row[1]) for row in rows}
    assert all(0 < value <= 1 for value in values.values())
    assert len(set(values.values())) > 3


def test_products_that_nobody_lists_are_placed_in_three_settings(demo, tmp_path, monkeypatch):
    folder, _ = demo
    monkeypatch.setenv("FEATURES", str(folder / "text.parquet"))
    done = run("bash", EXAMPLES / "new_products_sellers.sh", folder / "market", "new", cwd=tmp_path)

    rows = [[x.strip() for x in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    settings = ("known", "quarter", "unknown")
    names = [f"{method}, {setting}" for setting in settings for method in ("gnn", "text-knn")]
    assert [row[0] for row in rows[2:]] == names
    value = {row[0]: float(row[1].split()[0]) for row in rows[2:]}
    # of fewer candidates more are found
    assert value["gnn, quarter"] > value["gnn, unknown"] > 0
    assert "gnn, known" in done.stderr and (tmp_path / "new" / "known.differences.parquet").exists()


def test_methods_over_seeds_are_measured_together(demo, tmp_path, monkeypatch):
    folder, _ = demo
    monkeypatch.setenv("SEEDS", "0 1")
    monkeypatch.setenv("SPLIT", "pairs")
    monkeypatch.setenv("METHODS", "popularity type-counts")
    monkeypatch.setenv("EMBED", "--method doc2vec --dim 8")
    done = run(
        "bash", EXAMPLES / "complements_over_seeds.sh", folder / "market", "seeds", cwd=tmp_path
    )

    queries = {
        name: duckdb.read_parquet(str(tmp_path / "seeds" / name / "type-counts.metrics.parquet"))
        .filter("metric = 'Hit' AND k = 10 AND segment = 'all'")
        .project("queries")
        .fetchall()[0][0]
        for name in ("s0", "s1", "")
    }
    assert queries[""] == queries["s0"] + queries["s1"]
    assert "queries without co-purchases" in done.stdout


def test_recent_purchases_count_three_times_where_their_dates_are_named(
    demo, tmp_path, monkeypatch
):
    folder, _ = demo
    for name, value in {
        "SPLIT": "time", "AT": "2024-03-20", "LATER": "2024-03-01", "RECENT": "2024-02-10",
        "METHODS": "co-purchase recent-counts", "EMBED": "--method doc2vec --dim 8",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    done = run("bash", EXAMPLES / "reproduce_complements.sh", folder / "market", "r", cwd=tmp_path)

    counts = {
        name: dict(
            duckdb.read_parquet(str(tmp_path / "r" / f"{name}.parquet"))
            .project("(query_id, candidate_id), co_purchase")
            .fetchall()
        )
        for name in ("train", "later", "recent_counts")
    }
    both = counts["train"].keys() & counts["later"].keys()
    assert both
    for pair, count in counts["train"].items():
        assert counts["recent_counts"][pair] == count + 2 * counts["later"].get(pair, 0)
    # both tables hold every method
    assert done.stdout.count("| recent-counts |") == 4
