"""What mine-pairs tells of its work: the report as JSON, and the rows behind one pair."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import __version__, tables
from tests import forking
from tests.cli.commands import ok, refused, run

LOG = {
    "customer_id": ["1", "1", "2", "2", "3", "3", "4"],
    "session_id": ["s"] * 7,
    "product_id": ["camera", "card", "camera", "card", "camera", "case", "-5"],
    "event": ["purchase"] * 6 + ["view"],
}


@pytest.fixture
def shop(tmp_path):
    """A folder with events.parquet and products.parquet."""
    pq.write_table(pa.table(LOG), tmp_path / "events.parquet")
    catalogue = {"product_id": ["camera", "card", "bag"], "product_type": ["A", "B", "B"]}
    pq.write_table(pa.table(catalogue), tmp_path / "products.parquet")
    return tmp_path


def test_the_report_is_json_with_version_options_and_inputs(shop):
    ok(
        shop, "mine-pairs", shop / "events.parquet", "--products", shop / "products.parquet",
        "-o", "pairs.parquet", "--report", "report.json", "--quiet",
    )  # fmt: skip
    text = (shop / "report.json").read_text()
    found = json.loads(text)
    assert (found["version"], found["command"]) == (__version__, "mine-pairs")
    assert found["params"]["window"] == "7d"
    assert [(i["name"], i["rows"]) for i in found["inputs"]] == [
        ("events.parquet", 7),
        ("products.parquet", 3),
    ]
    assert found["inputs"][0]["digest"] == tables.digest_rows(source_of(shop))[1]
    assert found["relations"]["co_purchase"] == {"occurs": True, "least_count": 2, "pairs": 2}
    assert found["pairs"] == 2
    # case and -5 are in no pair; bag has no event
    assert found["products_in_no_pair"] == 2
    assert found["catalogue"]["without_a_row_here"] == 1
    assert found["catalogue"]["across_product_types"]["complements"]["after"]["share"] == 1
    assert str(shop) not in text


def source_of(shop):
    return tables.open_table(str(shop / "events.parquet"), tables.EVENTS)


def test_report_and_pairs_have_the_same_bytes_again_and_pairs_without_the_catalogue(shop):
    words = ["mine-pairs", "events.parquet", "--products", "products.parquet"]
    for name, threads in [("1", 1), ("2", 2)]:
        ok(shop, *words, "-o", f"{name}.parquet", "--report", f"{name}.json", "--threads", threads)
    ok(shop, "mine-pairs", "events.parquet", "-o", "3.parquet", env=forking.OTHER_HASHES)
    assert (shop / "1.json").read_bytes() == (shop / "2.json").read_bytes()
    pairs = {(shop / f"{i}.parquet").read_bytes() for i in "123"}
    assert len(pairs) == 1


def test_the_report_goes_to_standard_output_where_the_pairs_do_not(shop):
    out = ok(shop, "mine-pairs", "events.parquet", "-o", "pairs.parquet", "--report", "-", "-q")
    assert json.loads(out)["pairs"] == 2
    assert pq.read_metadata(shop / "pairs.parquet").num_rows == 2
    done = run(shop, "mine-pairs", "events.parquet", "--report", "-")
    refused(done, 2, "--report - and the pairs both go to standard output")
    out = ok(shop, "mine-pairs", "events.parquet", "--report", "report.json")
    assert out[:4] == b"PAR1"
    assert json.loads((shop / "report.json").read_text())["pairs"] == 2


def test_pairs_and_report_are_written_both_or_neither(shop):
    done = run(shop, "mine-pairs", "events.parquet", "-o", "p", "--report", "./p")
    refused(done, 2, "two outputs go to 'p'")
    done = run(shop, "mine-pairs", "events.parquet", "-o", "p", "--report", "no/r")
    refused(done, 4, "no/r", "does not exist")
    done = run(shop, "mine-pairs", "events.parquet", "-o", "p", "--report", "/dev/full", "-q")
    refused(done, 4, "/dev/full", "no space left")
    (shop / "old.json").write_text("old")
    done = run(shop, "mine-pairs", "products.parquet", "-o", "p", "--report", "old.json")
    refused(done, 3, "no column 'event'")
    assert (shop / "old.json").read_text() == "old"
    assert sorted(p.name for p in shop.iterdir() if p.name != "p") == [
        "events.parquet",
        "old.json",
        "products.parquet",
    ]


def test_a_pair_is_explained_on_standard_output_and_no_pairs_are_written(shop):
    out = ok(shop, "mine-pairs", "events.parquet", "--explain", "camera", "card").decode()
    assert out.startswith("camera -> card in events.parquet\n\ncustomer 1\n")
    assert "  counts: co_purchase, in one session (s)\n" in out
    assert "  co_purchase                2\n" in out
    again = ok(shop, "mine-pairs", "-", "--explain", "camera", "card",
               stdin=(shop / "events.parquet").read_bytes()).decode()  # fmt: skip
    assert again.splitlines()[1:] == out.splitlines()[1:]
    assert sorted(p.name for p in shop.iterdir()) == ["events.parquet", "products.parquet"]


def test_an_id_that_looks_like_an_option_is_explained_too(shop):
    out = ok(shop, "mine-pairs", "events.parquet", "--explain", "-5", "camera").decode()
    assert out.startswith("-5 -> camera in events.parquet\n")
    (shop / "ours.toml").write_text('explain = ["camera", "case"]\n')
    out = ok(shop, "mine-pairs", "events.parquet", "--config", "ours.toml").decode()
    assert out.startswith("camera -> case in events.parquet\n")


def test_what_cannot_be_explained_is_one_line_with_its_code(shop):
    words = ["mine-pairs", "events.parquet", "--explain"]
    refused(run(shop, *words, "camra", "card"), 3, "'camra'; did you mean camera, card?")
    refused(run(shop, *words, "card", "card"), 2, "two products")
    refused(run(shop, *words, "card"), 2, "--explain")
    for more in (["-o", "x"], ["--report", "x"], ["--products", "products.parquet"]):
        refused(
            run(shop, *words, "camera", "card", *more), 2, "--explain prints to standard output"
        )
    refused(run(shop, "mine-pairs", "products.parquet", "--explain", "a", "b"), 3, "no column")
    bad = pa.table({**LOG, "ts": ["soon"] * 7})
    pq.write_table(bad, shop / "events.parquet")
    refused(run(shop, *words, "camera", "card"), 3, "column 'ts' must hold times", "'soon'")


def test_a_reader_that_has_left_ends_an_explanation_quietly(shop):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "cprtools", "mine-pairs", "events.parquet", "--explain", "camera",
         "card"],
        cwd=shop, stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
