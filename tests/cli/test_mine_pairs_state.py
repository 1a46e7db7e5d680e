"""mine-pairs --state and --forget as a user runs them."""

import json
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from tests.cli.commands import fails, ok, run


@pytest.fixture
def shop(tmp_path):
    """A folder with the logs of two days and of both together."""
    days = {
        "monday": [("1", "a"), ("1", "b"), ("2", "a"), ("2", "b"), ("2", "c")],
        "tuesday": [("3", "a"), ("3", "c"), ("2", "A")],
    }
    for name, rows in {**days, "both": days["monday"] + days["tuesday"]}.items():
        customers, products = zip(*rows, strict=True)
        table = {
            "customer_id": customers,
            "session_id": ["s"] * len(rows),
            "product_id": products,
            "event": ["purchase"] * len(rows),
        }
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    return tmp_path


def rows_of(shop, name):
    return pq.read_table(shop / name).to_pylist()


def state_rows(shop):
    return pq.read_table(
        pa.BufferReader(ok(shop, "mine-pairs", "--state", "kept", "-q"))
    ).to_pylist()


def test_two_days_in_a_state_give_the_rows_of_one_log(shop):
    ok(shop, "mine-pairs", "both.parquet", "-q", "-o", "both-pairs.parquet")
    ok(shop, "mine-pairs", "monday.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    assert rows_of(shop, "pairs.parquet") != rows_of(shop, "both-pairs.parquet")
    ok(shop, "mine-pairs", "tuesday.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    assert rows_of(shop, "pairs.parquet") == rows_of(shop, "both-pairs.parquet")
    footer = tables.read_footer(str(shop / "pairs.parquet"))
    told = [each["name"] for each in json.loads(footer["inputs"])]
    assert told == ["monday.parquet", "tuesday.parquet"]


def test_a_forgotten_customer_was_never_there(shop):
    ok(shop, "mine-pairs", "both.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    ok(shop, "mine-pairs", "--state", "kept", "--forget", "3", "-q", "-o", "pairs.parquet")
    ok(shop, "mine-pairs", "monday.parquet", "--state", "other", "-q", "-o", "monday-pairs.parquet")
    left = {(r["query_id"], r["candidate_id"]) for r in rows_of(shop, "pairs.parquet")}
    assert left == {("a", "b"), ("b", "a")}
    assert len(rows_of(shop, "monday-pairs.parquet")) == len(left)


def test_a_footer_does_not_name_who_was_forgotten(shop):
    ok(shop, "mine-pairs", "both.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    ok(shop, "mine-pairs", "--state", "kept", "--forget", "3", "-q", "-o", "pairs.parquet")
    params = json.loads(tables.read_footer(str(shop / "pairs.parquet"))["params"])
    assert params["state"] == "kept"
    assert "forget" not in params


def test_the_report_of_a_state_says_that_it_is_of_all_that_is_kept(shop):
    def told(*words):
        done = run(shop, "mine-pairs", *words, "--state", "kept", "-o", "pairs.parquet")
        return done.stderr.decode().splitlines()

    assert "pairs of kept, with monday.parquet added" in told("monday.parquet")
    assert "pairs of kept" in told()


def test_what_is_new_to_a_state_is_counted_and_a_log_added_twice_is_told(shop):
    def told(log):
        words = ("mine-pairs", log, "--state", "kept", "--report", "report.json")
        done = run(shop, *words, "-o", "pairs.parquet").stderr.decode()
        rows = json.loads((shop / "report.json").read_text())["rows"]
        return rows["new_to_the_state"], "was this log added before?" in done

    assert told("monday.parquet") == (None, False)
    assert told("both.parquet") == (3, False)
    assert told("tuesday.parquet") == (0, True)


def test_a_state_alone_can_be_read_with_another_least_count(shop):
    ok(shop, "mine-pairs", "both.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    few = ok(shop, "mine-pairs", "--state", "kept", "-q")
    many = ok(shop, "mine-pairs", "--state", "kept", "--min-count", "1", "-q")
    assert pq.read_table(pa.BufferReader(few)).equals(pq.read_table(shop / "pairs.parquet"))
    assert pq.read_table(pa.BufferReader(many)).num_rows > len(rows_of(shop, "pairs.parquet"))


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        (2, ["monday.parquet", "--forget", "1"], "--forget takes customers out of a state"),
        (2, ["monday.parquet", "--state", "kept", "--forget", "1"], "goes without EVENTS"),
        (2, ["--relations", "monday.parquet", "--state", "kept"], "--state keeps events"),
        (2, ["--state", "none"], "none: there is no such state yet; name EVENTS"),
        (2, ["--state", "kept", "--window", "1d"], "made with --window 7d; keep to it"),
        (2, ["--state", "kept", "--explain", "a", "b"], "and no state"),
        (2, ["monday.parquet", "--state", "kept", "--engine", "spark"], "--state goes with"),
        (3, ["--state", "kept", "--forget", "nobody"], "no customer 'nobody' in this state"),
        (4, ["missing.parquet", "--state", "kept"], "missing.parquet: no such file"),
        (4, ["monday.parquet", "--state", "monday.parquet"], "monday.parquet:"),
        (4, ["monday.parquet", "--state", "no/such/folder"], "no/such/folder:"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(shop, code, words, told):
    ok(shop, "mine-pairs", "monday.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    before = ok(shop, "mine-pairs", "--state", "kept", "-q")
    listed = sorted(shop.rglob("*"))
    output = [] if "--explain" in words else ["-o", "other.parquet"]
    assert told in fails(shop, code, "mine-pairs", *words, *output)
    assert sorted(shop.rglob("*")) == listed
    assert ok(shop, "mine-pairs", "--state", "kept", "-q") == before


def test_an_output_that_cannot_be_written_leaves_the_state_as_it_was(shop):
    ok(shop, "mine-pairs", "monday.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    before = ok(shop, "mine-pairs", "--state", "kept", "-q")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cprtools", "mine-pairs", "tuesday.parquet", "--state", "kept"],
            cwd=shop, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert ok(shop, "mine-pairs", "--state", "kept", "-q") == before


@pytest.mark.parametrize("delay", [0.5, 0.8, 1.1, 1.4])
def test_a_killed_run_leaves_the_state_old_or_new_and_usable(shop, delay):
    ok(shop, "mine-pairs", "monday.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    old = state_rows(shop)
    words = [sys.executable, "-m", "cprtools", "mine-pairs", "tuesday.parquet", "--state", "kept"]
    process = subprocess.Popen([*words, "-q", "-o", "pairs.parquet"], cwd=shop)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    now = state_rows(shop)
    ok(shop, "mine-pairs", "tuesday.parquet", "--state", "kept", "-q", "-o", "pairs.parquet")
    assert rows_of(shop, "pairs.parquet") != old
    assert now in (old, rows_of(shop, "pairs.parquet"))
