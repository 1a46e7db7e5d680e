"""This version reads what version 0.1.0 wrote, and refuses what a newer one wrote."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cprtools.tables.folders import FORMAT, MANIFEST_KEY
from cprtools.tables.formats import FORMAT_KEY, TABLE_FORMAT
from tests.cli.commands import fails, ok

STORED = Path(__file__).parent / "stored"


@pytest.fixture
def stored(tmp_path):
    shutil.copytree(STORED, tmp_path / "s")
    return tmp_path / "s"


def rows(folder, *words):
    return [json.loads(line) for line in ok(folder, *words, "--format", "json").splitlines()]


def test_the_stored_example_is_as_the_first_version_wrote_it():
    for path in sorted(STORED.rglob("*.parquet")):
        metadata = pq.read_schema(path).metadata or {}
        is_raw = path.stem in (
            "events",
            "relations",
            "products",
            "listings",
            "views",
            "high_demand",
        )
        assert metadata.get(b"cprtools.version") == (
            None if is_raw and path.parent == STORED else b"0.1.0"
        )
        assert FORMAT_KEY not in metadata


@pytest.mark.parametrize(
    ("model", "recs", "own", "value"),
    [
        ("cpr.model", "recs.parquet", "query_id", "score"),
        ("seller.model", "seller_recs.parquet", "seller_id", "affinity"),
    ],
)
def test_a_stored_model_answers_as_it_did(stored, model, recs, own, value):
    asked = ["recommend", "--model", model, "--all", "-k", "3"]
    asked += ["--threshold", "0"] if own == "seller_id" else []
    now, then = rows(stored, *asked), pq.read_table(stored / recs).to_pylist()

    assert [(r[own], r["rank"], r["product_id"]) for r in now] == [
        (r[own], r["rank"], r["product_id"]) for r in then
    ]
    assert [r[value] for r in now] == pytest.approx([r[value] for r in then], abs=1e-5)


def test_stored_tables_and_graph_are_read_by_every_command_after_them(stored):
    ok(stored, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--vectors",
       "text.parquet", "--method", "text-knn", "-o", "new.model")  # fmt: skip
    ok(
        stored,
        "train-linkpred",
        "graph",
        "--vectors",
        "cpr.model",
        "--method",
        "text-knn",
        "-o",
        "s",
    )
    ok(stored, "split", "train.parquet", "--by", "seller_id", "--fraction", "0.5", "--test-out",
       "rest.parquet", "-o", "less.parquet")  # fmt: skip
    now = rows(stored, "evaluate", "recs.parquet", "--truth", "pairs.parquet", "--bootstrap", "50")
    then = pq.read_table(stored / "metrics.parquet").to_pylist()
    known = {(r["metric"], r["k"], r["segment"]): r["value"] for r in now}
    for row in then:
        assert known[row["metric"], row["k"], row["segment"]] == pytest.approx(row["value"])
    for place in ("metrics.parquet", "graph", "cpr.model", "seller.model"):
        assert b"0.1.0" in ok(stored, "inspect", place)


def test_what_is_written_now_says_its_format(stored):
    ok(stored, "split", "train.parquet", "--by", "seller_id", "--fraction", "0.5", "--test-out",
       "rest.parquet", "-o", "less.parquet")  # fmt: skip
    written = pq.read_schema(stored / "less.parquet").metadata
    assert written[FORMAT_KEY] == str(TABLE_FORMAT).encode()


@pytest.mark.parametrize("found", [str(TABLE_FORMAT + 1), "99", "2.0-beta"])
@pytest.mark.parametrize(
    "words",
    [
        "evaluate recs.parquet --truth {}",
        "train-cpr {} --products products.parquet --method popularity",
        "split {} --by query_id --fraction 0.5 --test-out rest -o out",
        "inspect {}",
    ],
)
def test_a_table_of_a_newer_format_is_refused(stored, words, found):
    table = pq.read_table(stored / "pairs.parquet")
    newer = table.replace_schema_metadata({**table.schema.metadata, FORMAT_KEY: found.encode()})
    pq.write_table(newer, stored / "newer.parquet")

    line = fails(stored, 3, *words.format("newer.parquet").split())
    assert "newer.parquet: written by a newer cprtools; update to read it" in line


@pytest.mark.parametrize("place", ["cpr.model", "seller.model", "graph"])
def test_a_folder_of_a_newer_format_is_refused(stored, place):
    for path in (stored / place).iterdir():
        table = pq.read_table(path)
        manifest = json.loads(table.schema.metadata[MANIFEST_KEY]) | {"format": FORMAT + 1}
        metadata = {**table.schema.metadata, MANIFEST_KEY: json.dumps(manifest).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    words = "train-linkpred graph" if place == "graph" else f"recommend --model {place} --all"

    assert "written by a newer cprtools; update to read it" in fails(stored, 3, *words.split())
