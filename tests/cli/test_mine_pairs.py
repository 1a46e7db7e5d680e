"""The command as a user runs it: files, pipes, errors and exit codes."""

import io
import itertools
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from tests import forking

COMMAND = [sys.executable, "-m", "cprtools", "mine-pairs"]
LOG = {
    "customer_id": ["1", "1", "2", "2", "3", "3"],
    "session_id": ["s", "s", "s", "s", "s", "s"],
    "product_id": ["a", "b", "a", "b", "a", "c"],
    "event": ["purchase"] * 6,
}


def run(*words, stdin=None, **keywords):
    given = {"input": stdin} if stdin is not None else {}
    return forking.run(["mine-pairs", *words], **given, **keywords)


def parquet(table):
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def counts(place):
    table = pq.read_table(place)
    assert table.schema.names == tables.PAIRS.schema.names
    return table.select(["query_id", "candidate_id", "co_purchase"]).to_pydict()


EXPECTED = {"query_id": ["a", "b"], "candidate_id": ["b", "a"], "co_purchase": [2, 2]}


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(LOG), path)
    return path


def refused(result, code, *words):
    error = result.stderr.decode()
    assert result.returncode == code, error
    assert error.startswith("cprtools: error: ")
    assert error.count("\n") == 1
    assert all(word in error for word in words), error


def test_help_has_an_example_and_every_option():
    result = run("--help")
    assert result.returncode == 0
    text = result.stdout.decode()
    options = ["relations", "window", "view-window", "min-count", "min-co-purchase", "min-co-view"]
    options += ["min-purchase-after-view", "count-buyers", "max-session", "memory-limit", "columns"]
    options += ["products", "report", "explain"]
    assert all(f"--{option}" in text for option in options)
    assert "cprtools mine-pairs events.parquet -o pairs.parquet" in text


def test_a_file_becomes_a_file_with_footer_and_report(log, tmp_path):
    output = tmp_path / "pairs.parquet"
    result = run(log, "-o", output)
    assert result.returncode == 0, result.stderr
    assert counts(output) == EXPECTED
    assert result.stdout == b""
    report = result.stderr.decode()
    assert "rows read" in report
    assert "every co-purchase is a complement" in report
    footer = tables.read_footer(str(output))
    assert footer["command"] == "mine-pairs"
    assert '"rows": 6' in footer["inputs"]
    assert list(tmp_path.glob("*.part")) == []


def test_a_folder_and_other_column_names_are_read(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    table = pa.table(LOG).rename_columns(["customer_id", "basket", "sku", "event"])
    pq.write_table(table.slice(0, 3), folder / "1.parquet")
    pq.write_table(table.slice(3), folder / "2.parquet")
    result = run(folder, "--columns", "product_id=sku,session_id=basket", "--quiet")
    assert result.returncode == 0, result.stderr
    assert counts(io.BytesIO(result.stdout)) == EXPECTED
    assert result.stderr == b""


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_pipe_brings_parquet_or_an_arrow_stream(form):
    table = pa.table(LOG)
    data = parquet(table)
    if form == "arrow":
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue()
    result = run("-", stdin=data)
    assert result.returncode == 0, result.stderr
    assert counts(io.BytesIO(result.stdout)) == EXPECTED


def test_a_reader_that_has_left_ends_it_quietly_with_141(log):
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [*COMMAND, str(log)], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert result.returncode == 141
    assert result.stderr == b""


def test_a_reader_that_takes_one_byte_sees_no_error(log):
    script = '"$0" -m cprtools mine-pairs "$1" -q | head -c 1; exit "${PIPESTATUS[0]}"'
    result = subprocess.run(
        ["bash", "-c", script, sys.executable, str(log)], capture_output=True, check=False
    )
    # a small table may fit into the pipe before its reader goes
    assert result.returncode in (0, 141)
    assert (result.stdout, result.stderr) == (b"P", b"")


def test_events_and_relations_are_one_or_the_other(log):
    refused(run(), 2, "EVENTS", "--relations")
    refused(run(log, "--relations", log), 2, "EVENTS", "--relations")


def test_relations_take_the_place_of_events(tmp_path):
    path = tmp_path / "lists.parquet"
    lists = {"query_id": ["a"], "candidate_id": ["b"], "relation": ["also_bought"]}
    pq.write_table(pa.table(lists), path)
    result = run("--relations", path)
    assert result.returncode == 0, result.stderr
    expected = {"query_id": ["a"], "candidate_id": ["b"], "co_purchase": [1]}
    assert counts(io.BytesIO(result.stdout)) == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--window", "soon"], "--window must be a duration"),
        (["--view-window", "-1d"], "--view-window must be a duration"),
        (["--memory-limit", "much"], "--memory-limit must be a size"),
        (["--min-count", "0"], "--min-count"),
        (["--max-session", "0"], "--max-session"),
        (["--engine", "abacus"], "--engine"),
    ],
)
def test_options_out_of_range_are_usage_errors(log, words, told):
    refused(run(log, *words), 2, told)


def test_a_wrong_schema_names_the_column_and_what_was_found(tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"sku": ["a"], "event": ["view"]}), path)
    output = tmp_path / "pairs.parquet"
    refused(run(path, "-o", output), 3, "no column 'product_id'", "found sku, event")
    assert not output.exists()


def test_times_that_are_no_times_are_one_error_line(log, tmp_path):
    table = pa.table(LOG).append_column("ts", pa.array(["2024-01-01"] * 5 + ["soon"]))
    pq.write_table(table, log)
    output = tmp_path / "pairs.parquet"
    refused(run(log, "-o", output), 3, "column 'ts' must hold times", "'soon'")
    assert not output.exists()


def test_missing_damaged_and_empty_inputs_are_told_apart(log, tmp_path):
    refused(run(tmp_path / "none.parquet"), 4, "no such file")
    (tmp_path / "empty").mkdir()
    refused(run(tmp_path / "empty"), 4, "holds no tables")
    refused(run("-", stdin=b""), 4, "standard input: empty")
    damaged = bytearray(log.read_bytes())
    damaged[4:120] = bytes(116)
    (tmp_path / "damaged.parquet").write_bytes(damaged)
    refused(run(tmp_path / "damaged.parquet"), 4, "not a readable Parquet file")
    pq.write_table(pa.table(LOG).slice(0, 0), log)
    refused(run(log), 3, "no rows")


def test_a_place_that_cannot_be_written_is_refused_first(log, tmp_path):
    refused(run(log, "-o", tmp_path / "nowhere" / "pairs.parquet"), 4, "does not exist")


def test_rows_without_ids_or_of_other_events_are_skipped_counted_and_told(log):
    messy = pa.table(
        {
            "customer_id": [None, None, "9", "9"],
            "session_id": [None, "x", "y", "y"],
            "product_id": ["a", None, "a", "b"],
            "event": ["purchase", "purchase", "cart", None],
        }
    )
    pq.write_table(pa.concat_tables([pa.table(LOG), messy]), log)
    result = run(log)
    assert result.returncode == 0, result.stderr
    assert counts(io.BytesIO(result.stdout)) == EXPECTED
    told = result.stderr.decode()
    assert "warning: 2 rows are neither view nor purchase and were skipped: cart 1, null 1" in told
    assert "no product_id" in told
    assert "neither customer_id nor session_id" in told


def test_no_pair_left_is_an_empty_table_with_a_warning(log):
    result = run(log, "--min-count", 3, "--quiet")
    assert result.returncode == 0
    assert counts(io.BytesIO(result.stdout)) == {name: [] for name in EXPECTED}
    assert result.stderr.decode() == (
        "cprtools: warning: no pair is left; there are pairs of co_purchase (least count 3), "
        "all below their least counts; lower --min-count\n"
    )


def test_threads_and_pipes_do_not_change_the_rows_bytes(tmp_path):
    products = [f"p{i:04}" for i in range(700)]
    path = tmp_path / "events.parquet"
    table = pa.table(
        {
            "session_id": [s for s in "12" for _ in products],
            "product_id": products * 2,
            "event": ["purchase"] * 1400,
        }
    )
    pq.write_table(table, path)
    one, two = (run(path, "--threads", n, "--max-session", 800).stdout for n in (1, 2))
    assert one == two
    # more than one block, so that their order is tested too
    assert pq.read_metadata(io.BytesIO(one)).num_row_groups > 1
    assert counts(io.BytesIO(one))["query_id"] == [p for p in products for _ in products[1:]]


def test_the_retail_baskets_agree_with_a_small_independent_count(tmp_path):
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    path = Path(os.environ.get("CPRTOOLS_DATA", beside)) / "uci-online-retail" / "events.parquet"
    if not path.exists():
        pytest.skip("no uci-online-retail here")
    events = pq.read_table(path).slice(0, 30_000)
    pq.write_table(events, tmp_path / "events.parquet")
    result = run(tmp_path / "events.parquet", "--window", "0", "--max-session", 100_000)
    assert result.returncode == 0, result.stderr
    pairs = pq.read_table(io.BytesIO(result.stdout))
    assert pairs.num_rows > 100_000
    bought, met = defaultdict(set), defaultdict(set)
    for row in events.filter(pc.equal(events.column("event"), "purchase")).to_pylist():
        who = row["customer_id"] or ("anonymous", row["session_id"])
        bought[row["product_id"]].add(who)
        for key in (("session", row["session_id"]), ("time", row["ts"])):
            met[row["product_id"]].add((who, key))
    popular = sorted(bought, key=lambda product: (-len(bought[product]), product))[:30]
    pairs = pairs.filter(pc.is_in(pairs.column("query_id"), pa.array(popular)))
    found = {(row["query_id"], row["candidate_id"]): row for row in pairs.to_pylist()}
    for x, y in itertools.permutations(popular, 2):
        together = {who for who, _ in met[x] & met[y]}
        assert found[x, y]["co_purchase"] == len(together) >= 2
        assert found[x, y]["query_count"] == len(bought[x])
