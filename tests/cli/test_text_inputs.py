"""Commands read CSV, JSON lines and partitioned folders wherever they read a table."""

import io
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import ok, run, write

LOG = {
    "customer_id": ["007", "007", "8", "8", "9", "9"],
    "product_id": ["a", "b", "a", "b", "a", "c"],
    "event": ["purchase", "purchase", "purchase", "purchase", "view", "purchase"],
    "ts": [f"2024-01-0{day} 10:00:00" for day in (1, 2, 1, 1, 1, 2)],
}


def as_csv(path, columns, delimiter=","):
    options = pa.csv.WriteOptions(delimiter=delimiter)
    pa.csv.write_csv(pa.table(columns), path, options)


def as_lines(path, columns):
    rows = pa.table(columns).to_pylist()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def place(tmp_path):
    """The same log as Parquet, CSV, TSV and JSON lines."""
    write(tmp_path / "log.parquet", **LOG)
    as_csv(tmp_path / "log.csv", LOG)
    as_csv(tmp_path / "log.tsv", LOG, "\t")
    as_lines(tmp_path / "log.jsonl", LOG)
    return tmp_path


def rows(data):
    return pq.read_table(io.BytesIO(data)).to_pylist()


def test_mine_pairs_finds_the_same_pairs_in_every_format(place):
    wanted = rows(ok(place, "mine-pairs", "log.parquet", "--min-count", "1"))

    assert len(wanted) > 2
    for name in ("log.csv", "log.tsv", "log.jsonl"):
        assert rows(ok(place, "mine-pairs", name, "--min-count", "1")) == wanted


def test_mine_pairs_takes_the_day_from_the_folders_that_divide_the_log(place):
    days = {"2024-01-01": ["a", "b"], "2024-01-02": ["c"]}
    for day, products in days.items():
        folder = place / "events" / f"date={day}"
        folder.mkdir(parents=True)
        n = len(products)
        columns = {"customer_id": ["x"] * n, "product_id": products, "event": ["purchase"] * n}
        as_csv(folder / "part-0.csv", columns)
    words = ("--columns", "ts=date", "--min-count", "1", "--window")

    found = rows(ok(place, "mine-pairs", "events", *words, "1d"))
    pairs = [(row["query_id"], row["candidate_id"]) for row in found]
    # c came a day later: it follows a and b, and they do not follow it
    assert pairs == [("a", "b"), ("a", "c"), ("b", "a"), ("b", "c")]
    found = rows(ok(place, "mine-pairs", "events", *words, "0"))
    assert [(row["query_id"], row["candidate_id"]) for row in found] == [("a", "b"), ("b", "a")]


def test_relations_and_products_may_be_text(place):
    as_lines(
        place / "lists.jsonl",
        {"query_id": ["a", "a"], "candidate_id": ["b", "c"], "relation": ["also_buy"] * 2},
    )
    as_csv(place / "products.csv", {"product_id": ["a", "b", "c"], "category": ["X", "Y", "X"]})
    done = run(
        place, "mine-pairs", "--relations", "lists.jsonl", "--products", "products.csv",
        "-o", "pairs.parquet",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "50.0% of 2 before" in done.stderr.decode()
    assert pq.read_table(place / "pairs.parquet").num_rows == 2


def test_inspect_shows_what_text_holds_and_traces_back_to_it(place):
    shown = json.loads(ok(place, "inspect", "log.jsonl", "--format", "json", "--rows", "1"))
    (table,) = shown["tables"]
    assert (shown["files"], table["rows"], table["first"][0]["customer_id"]) == (1, 6, "007")
    ok(place, "mine-pairs", "log.csv", "-o", "pairs.parquet")

    traced = ok(place, "inspect", "pairs.parquet", "--trace").decode()
    assert "log.csv" in traced
    assert "not found" not in traced
    with (place / "log.csv").open("a") as log:
        log.write("1,z,view,2024-01-01\n")
    assert "changed since" in ok(place, "inspect", "pairs.parquet", "--trace").decode()


def test_a_partitioned_log_traces_back_whether_its_key_was_used_or_not(place):
    folder = place / "events" / "date=2024-01-01"
    folder.mkdir(parents=True)
    as_csv(folder / "1.csv", {name: LOG[name] for name in LOG if name != "ts"})
    for words in ((), ("--columns", "ts=date")):
        ok(place, "mine-pairs", "events", *words, "-o", "pairs.parquet")
        traced = ok(place, "inspect", "pairs.parquet", "--trace").decode()
        assert "changed since" not in traced
        assert "not found" not in traced


def test_split_divides_a_partitioned_log_at_its_key(place):
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        (place / "events" / f"date={day}").mkdir(parents=True)
        as_csv(place / "events" / f"date={day}" / "1.csv", {"product_id": [day[-1]]})
    ok(place, "split", "events", "--at", "2024-01-03", "--columns", "ts=date",
       "-o", "train.parquet", "--test-out", "test.parquet")  # fmt: skip

    assert pq.read_table(place / "train.parquet").to_pydict() == {
        "product_id": ["1", "2"],
        "date": ["2024-01-01", "2024-01-02"],
    }
    assert pq.read_table(place / "test.parquet").column("product_id").to_pylist() == ["3"]


def test_a_graph_is_built_from_text(place):
    as_csv(place / "listings.csv", {"seller_id": ["s", "s", "t"], "product_id": ["a", "b", "a"]})
    as_lines(place / "views.jsonl", {"product_id": ["a", "b"], "views": [3, 4]})
    ok(place, "build-graph", "--listings", "listings.csv", "--views", "views.jsonl", "-o", "graph")

    nodes = pq.read_table(place / "graph" / "nodes.parquet").to_pylist()
    assert {row["node_id"]: row["views"] for row in nodes if row["node_type"] == "product"} == {
        "a": 3,
        "b": 4,
    }
