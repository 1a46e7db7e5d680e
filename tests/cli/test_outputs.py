"""What a command writes: under a name that says it, and in the place of nothing that is needed."""

import json
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import fails, ok, run, write


@pytest.fixture
def shop(home, tmp_path):
    """Copies of tables, of the models and of the graph."""
    for name in ("pairs.parquet", "products.parquet", "listings.parquet", "vectors.parquet"):
        (tmp_path / name).write_bytes((home / name).read_bytes())
    for name in ("graph", "cpr.model", "seller.model"):
        shutil.copytree(home / name, tmp_path / name)
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ("split", "listings.parquet", "--by", "seller_id", "-o", "listings.parquet",
         "--test-out", "t.parquet"),
        ("split", "listings.parquet", "--by", "seller_id", "-o", "t.parquet",
         "--test-out", "./listings.parquet"),
        ("mine-pairs", "--relations", "relations.parquet", "--products", "products.parquet",
         "-o", "products.parquet"),
        ("mine-pairs", "--relations", "relations.parquet", "-o", "p", "--report",
         "relations.parquet"),
        ("embed-text", "products.parquet", "--method", "static", "-o", "products.parquet"),
        ("build-graph", "--listings", "seller.model/products.parquet", "-o", "seller.model"),
        ("recommend", "--model", "cpr.model", "--all", "--exclude", "pairs.parquet",
         "-o", "pairs.parquet"),
        ("recommend", "--model", "seller.model", "--all", "-o", "seller.model/products.parquet"),
        ("recommend", "--seller", "S1", "-o", "seller.model/manifest.parquet"),
        ("recommend", "--seller", "S1", "--list-categories", "--only", "products.parquet",
         "--format", "csv", "-o", "products.parquet"),
    ],
)  # fmt: skip
def test_an_output_is_none_of_the_inputs(shop, words):
    write(
        shop / "relations.parquet",
        query_id=["A1"], candidate_id=["B1"], relation=["co_purchase"],
    )  # fmt: skip
    before = contents(shop)
    done = run(shop, *words)
    assert contents(shop) == before
    if words[0] == "build-graph":
        assert done.returncode == 4
    else:
        assert done.returncode == 2
        assert "is read here, too" in done.stderr.decode()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("mine-pairs", "--relations", "lists", "-o", "lists/out.parquet"), "lists"),
        (("mine-pairs", "--relations", "lists/*.parquet", "-o", "lists/out.parquet"),
         "lists/*.parquet"),
        (("mine-pairs", "--relations", "lists", "-o", "p", "--report", "lists/r.json"), "lists"),
        (("split", "lists", "--by", "query_id", "-o", "t", "--test-out", "lists/t.parquet"),
         "lists"),
        (("embed-text", "titles", "--method", "static", "-o", "titles/v.parquet"), "titles"),
        (("train-cpr", "known", "--method", "popularity", "-o", "known/model"), "known"),
        (("build-graph", "--pairs", "known", "-o", "known/graph/"), "known"),
        (("recommend", "--model", "cpr.model", "--queries", "titles", "-o", "titles/r.csv"),
         "titles"),
        (("evaluate", "answers/*", "--truth", "pairs.parquet", "-o", "answers/metrics"),
         "answers/*"),
    ],
)  # fmt: skip
def test_an_output_does_not_join_the_files_of_an_input(shop, words, named):
    for folder in ("lists", "titles", "known", "answers"):
        (shop / folder).mkdir()
    write(
        shop / "lists" / "1.parquet",
        query_id=["A1"], candidate_id=["B1"], relation=["co_purchase"],
    )  # fmt: skip
    shutil.copy(shop / "products.parquet", shop / "titles")
    shutil.copy(shop / "pairs.parquet", shop / "known")
    write(shop / "answers" / "1", query_id=["A1"], rank=[1], product_id=["B1"])
    before = contents(shop)
    said = fails(shop, 2, *words)
    assert f"would be read as part of {named} from the next run on; name another output" in said
    assert contents(shop) == before


def test_answers_may_join_those_that_are_not_to_be_repeated(shop):
    (shop / "told").mkdir()
    shutil.copy(shop / "listings.parquet", shop / "told")
    ask = ("recommend", "--model", "seller.model", "--seller", "S1", "--threshold", "0", "-k", "1")
    for day in ("1", "2"):
        ok(shop, *ask, "--exclude", "told", "-o", f"told/{day}.parquet")
    days = [pq.read_table(shop / "told" / f"{day}.parquet").to_pylist() for day in ("1", "2")]
    assert days[0][0]["product_id"] != days[1][0]["product_id"]


def test_a_model_takes_the_place_of_no_graph_and_no_model_of_the_other_kind(shop):
    said = fails(shop, 4, "train-linkpred", "graph", "--method", "popularity", "-o", "cpr.model")
    assert "cpr.model: holds a complements model; a sellers model does not replace it" in said
    said = fails(shop, 4, "build-graph", "--listings", "listings.parquet", "-o", "seller.model")
    assert "seller.model: holds a sellers model; a graph does not replace it" in said


def test_a_table_is_not_written_under_the_name_of_a_text_file(shop):
    for words in (
        ("split", "listings.parquet", "--by", "seller_id", "-o", "a.csv", "--test-out", "b"),
        ("mine-pairs", "--relations", "pairs.parquet", "-o", "p.jsonl"),
        ("embed-text", "products.parquet", "-o", "v.tsv"),
        ("recommend", "--all", "--model", "cpr.model", "-o", "r.tsv"),
        ("recommend", "--all", "--model", "cpr.model", "--format", "parquet", "-o", "r.csv"),
    ):
        assert "would be Parquet, by its name" in fails(shop, 2, *words)
    assert not {path.suffix for path in shop.iterdir()} & {".csv", ".tsv", ".jsonl"}


def test_answers_and_metrics_follow_the_name_of_the_output(shop):
    ask = ("recommend", "--model", "seller.model", "--seller", "S1", "--threshold", "0")
    ok(shop, *ask, "-o", "r.csv")
    assert (shop / "r.csv").read_text().startswith("seller_id,rank,product_id,category,affinity")
    ok(shop, *ask, "-o", "r.json")
    rows = [json.loads(line) for line in (shop / "r.json").read_text().splitlines()]
    ok(shop, *ask, "-o", "r.parquet")
    assert rows == pq.read_table(shop / "r.parquet").to_pylist()
    write(shop / "truth.parquet", seller_id=["S1"], product_id=[rows[0]["product_id"]])
    ok(shop, "evaluate", "r.csv", "--truth", "truth.parquet", "-o", "m.csv")
    assert (shop / "m.csv").read_text().startswith('"method","metric","k"')


def test_parquet_under_another_name_is_told_as_such(shop):
    (shop / "listings.parquet").rename(shop / "listings.csv")
    said = fails(shop, 4, "build-graph", "--listings", "listings.csv", "-o", "g")
    assert "listings.csv: a Parquet file; give it a name in .parquet" in said


def test_the_answers_name_their_method(shop):
    ask = ("recommend", "--model", "seller.model", "--all", "--category", "all", "-o")
    ok(shop, *ask, "answers.parquet")
    ok(shop, "train-linkpred", "graph", "--method", "popularity", "-o", "p.model")
    ok(shop, "recommend", "--model", "p.model", *ask[3:], "simple.parquet")
    write(shop / "truth.parquet", seller_id=["S1"], product_id=["A1"])
    ok(shop, "evaluate", "answers.parquet", "simple.parquet", "answers.parquet",
       "--truth", "truth.parquet", "-o", "m.parquet")  # fmt: skip
    names = pq.read_table(shop / "m.parquet").column("method").unique().to_pylist()
    assert {"popularity", "gnn (answers)", "gnn (answers) (2)"} < set(names)


def test_a_config_file_spells_the_options_as_they_are_typed(shop):
    (shop / "c.toml").write_text(
        'all = true\nrank = false\nwith = "title"\nvectors = "vectors.parquet"\n'
    )
    write(shop / "new.parquet", product_id=["NEW2"], title=["new"])
    table = pa.table(
        {"product_id": ["NEW2"], "vector": pa.array([[0.5] * 8], pa.list_(pa.float32()))}
    )
    pq.write_table(table, shop / "vectors.parquet")
    ok(shop, "recommend", "--model", "cpr.model", "--products", "new.parquet",
       "--config", "c.toml", "-o", "r.parquet")  # fmt: skip
    assert "title" in pq.read_table(shop / "r.parquet").column_names
    params = json.loads(pq.read_schema(shop / "r.parquet").metadata[b"cprtools.params"])
    assert (params["all"], params["rank"], params["with"]) == (True, False, "title")
    (shop / "c.toml").write_text("every = true\n")
    assert "no option 'every'; there are all," in fails(
        shop, 2, "recommend", "--model", "cpr.model", "--config", "c.toml"
    )


def test_a_seed_is_one_that_every_library_takes(shop):
    ask = ("split", "listings.parquet", "--by", "seller_id", "-o", "a", "--test-out", "b", "--seed")
    for seed in ("-1", "2000000001"):
        assert "--seed" in fails(shop, 2, *ask, seed)
    ok(shop, *ask, "2000000000")


def test_options_of_another_method_or_kind_of_model_are_refused(shop):
    for words, said in (
        (("train-linkpred", "graph", "--method", "mf", "--epochs", "3"), "--epochs is for gnn"),
        (("train-linkpred", "graph", "--method", "mf", "--fanout", "5"), "--fanout is for gnn"),
        (("recommend", "--model", "cpr.model", "--product", "A1", "--threshold", "0"),
         "--threshold says nothing to a complements model"),
        (("recommend", "--model", "cpr.model", "--product", "A1", "--category", "X"),
         "--category says nothing to a complements model"),
        (("recommend", "--model", "seller.model", "--seller", "S1", "--types", "2"),
         "--types says nothing to a sellers model"),
        (("train-cpr", "pairs.parquet", "--earlier", "pairs.parquet", "--later", "./pairs.parquet"),
         "--earlier and --later are one table"),
    ):  # fmt: skip
        assert said in fails(shop, 2, *words, "-o", "out")


def test_a_name_that_no_table_has_is_no_silent_loss(shop):
    embed = ("embed-text", "products.parquet", "-o", "v.parquet", "--columns")
    assert "the nearest is title" in fails(shop, 2, *embed, "titel=title")
    assert "title is named twice" in fails(shop, 2, *embed, "title=title,title=price")
    assert "no input has a column 'marke'" in fails(shop, 3, *embed, "brand=marke")
    # names for the tables of other commands are fine; one of ours is taken as it is, and told
    graph = ("build-graph", "--listings", "listings.parquet", "-o", "g", "--columns")
    ok(shop, *graph, "session_id=Visit")
    done = run(shop, *graph, "product_id=sku")
    assert done.returncode == 0
    assert "no input has a column 'sku'; product_id is read as it is" in done.stderr.decode()


def test_a_file_without_a_column_that_others_have_is_named(shop):
    (shop / "log").mkdir()
    for name, column in (("a", "product_id"), ("b", "sku")):
        write(
            shop / "log" / f"{name}.parquet",
            **{"customer_id": ["c", "c"], column: ["x", "y"], "event": ["purchase"] * 2},
        )
    said = fails(shop, 3, "mine-pairs", "log", "-o", "p.parquet")
    assert "b.parquet: no column 'product_id', which other files of it have" in said


def test_lists_of_other_ids_than_the_truth_are_a_warning(shop):
    ok(shop, "recommend", "--model", "seller.model", "--seller", "S1", "--threshold", "0",
       "-o", "r.parquet")  # fmt: skip
    write(shop / "truth.parquet", seller_id=["0001"], product_id=["A1"])
    done = run(shop, "evaluate", "r.parquet", "--truth", "truth.parquet", "-q", "-o", "m.parquet")
    assert done.returncode == 0
    said = done.stderr.decode()
    assert "1 of 1 sellers have no list" in said
    assert "have they other ids than the truth?" in said


@pytest.mark.parametrize("lost", ["2>/dev/full", "2>&-"])
def test_a_log_that_cannot_be_written_costs_no_output(tmp_path, lost):
    write(tmp_path / "listings.parquet", seller_id=["S1", "S2"], product_id=["P1", "P2"])
    words = "-m cprtools build-graph --listings listings.parquet -o graph"
    done = subprocess.run(
        ["sh", "-c", f'"$0" {words} {lost}', sys.executable], cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "graph" / "manifest.parquet").exists()


def test_a_word_that_is_not_utf8_is_told_as_such(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cprtools", "inspect", b"caf\xe9.parquet"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"cprtools: error: 'caf\\udce9.parquet' is not UTF-8; ")
