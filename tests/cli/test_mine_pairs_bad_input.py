"""mine-pairs on a log that is not as it should be, or a machine that fails it in the middle."""

import io
import os
import resource
import signal
import subprocess
import sys
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forking
from tests.cli.commands import refused

COMMAND = [sys.executable, "-m", "cprtools", "mine-pairs"]
# a child's peak begins with what its parent holds, so the parent must be a small process
PEAK_OF_CHILD = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def run(*words, stdin=None, **options):
    given = {"input": stdin} if stdin is not None else {}
    return forking.run(["mine-pairs", *words], **given, **options)


def mined(*words, **options):
    """Counts of co_purchase by pair, and the lines of the warnings."""
    done = run(*words, "--min-count", 1, "--quiet", **options)
    assert done.returncode == 0, done.stderr.decode()
    pairs = pq.read_table(io.BytesIO(done.stdout))
    columns = [pairs.column(c).to_pylist() for c in ("query_id", "candidate_id", "co_purchase")]
    counts = {(query, candidate): n for query, candidate, n in zip(*columns, strict=True)}
    return counts, done.stderr.decode().splitlines()


def purchases(path, products, times, customers=None):
    columns = {
        "customer_id": customers or ["c"] * len(products),
        "product_id": products,
        "event": ["purchase"] * len(products),
        "ts": times,
    }
    pq.write_table(pa.table(columns), path)
    return path


BOTH = {("a", "b"): 1, ("b", "a"): 1}


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-01 23:30:00", "2024-01-01T23:30:00Z"],
        ["2024-01-01 23:30:00", "2024-01-01T18:30:00-05:00"],
        ["2024-01-02 00:30:00+01:00", "2024-01-01 23:30 UTC"],
        ["2024-01-01 23:30:00", "1704151800"],
        pa.array([1704151800] * 2, pa.timestamp("s", "America/New_York")),
        pa.array([1704151800000] * 2, pa.int64()),
    ],
    ids=str,
)
def test_times_as_text_and_with_zones_are_the_moments_they_name(tmp_path, times):
    path = purchases(tmp_path / "log.parquet", ["a", "b"], times)
    # a window of nothing joins what happened at the same moment only
    assert mined(path, "--window", 0) == (BOTH, [])


def test_a_zone_decides_whether_a_purchase_is_inside_the_window(tmp_path):
    # 00:30 in Berlin is 23:30 in London: half an hour after 23:00 there and not one and a half
    times = ["2024-01-01T23:00:00+00:00", "2024-01-02T00:30:00+01:00"]
    path = purchases(tmp_path / "log.parquet", ["a", "b"], times)

    assert mined(path, "--window", "30m")[0] == {("a", "b"): 1}
    assert mined(path, "--window", "29m")[0] == {}


def test_negative_epoch_times_are_read_and_told(tmp_path):
    # 60 and 30 seconds before 1970, and half a minute apart
    path = purchases(tmp_path / "log.parquet", ["a", "b"], pa.array([-60, -30], pa.int64()))

    counts, warnings = mined(path, "--window", "30s")
    assert counts == {("a", "b"): 1}
    assert warnings == [
        "cprtools: warning: 2 rows are dated before 1990 and read as they are; is the unit or the "
        "format of the times right?"
    ]


def test_times_far_in_the_future_are_read_and_told(tmp_path):
    path = purchases(tmp_path / "log.parquet", ["a", "b", "c"], ["2024-01-01", "2999-01-01", None])

    counts, warnings = mined(path)
    assert counts == {}
    assert len(warnings) == 2
    assert "1 row is dated more than a day in the future and read as they are" in warnings[0]
    assert "no pair is left" in warnings[1]


def test_a_log_of_today_is_no_reason_for_a_warning(tmp_path):
    now = int(time.time())
    path = purchases(tmp_path / "log.parquet", ["a", "b"], pa.array([now, now + 3600], pa.int64()))

    assert mined(path) == ({("a", "b"): 1}, [])


def test_rows_that_are_skipped_are_not_doubted(tmp_path):
    columns = {"customer_id": ["c"] * 3, "product_id": ["a", None, "b"], "ts": [None, -5, None]}
    table = pa.table({**columns, "event": ["purchase"] * 3, "session_id": ["s"] * 3})
    pq.write_table(table, tmp_path / "log.parquet")

    assert mined(tmp_path / "log.parquet") == (BOTH, [])


def test_ids_are_equal_whatever_their_type_and_format(tmp_path):
    sessions = [("1.parquet", 7, 1), ("2.parquet", "7", "1"), ("3.parquet", 7.0, 1.0)]
    for name, customer, product in sessions:
        purchases(tmp_path / name, [product], ["2024-01-01"], [customer])
    (tmp_path / "4.csv").write_text("customer_id,product_id,event,ts\n7,2,purchase,2024-01-01\n")
    (tmp_path / "5.jsonl").write_text(
        '{"customer_id": "7", "product_id": 3, "event": "purchase", "ts": 1704067200}\n'
    )

    counts, warnings = mined(tmp_path / "*")
    assert counts == {(x, y): 1 for x in "123" for y in "123" if x != y}
    assert warnings == []


def test_one_broken_file_of_many_is_named_and_the_old_output_stays(tmp_path):
    folder, output = tmp_path / "logs", tmp_path / "pairs.parquet"
    folder.mkdir()
    for number in range(5):
        purchases(folder / f"{number}.parquet", ["a", "b"] * 2000, ["2024-01-01"] * 4000)
    output.write_bytes(b"old")
    whole = (folder / "3.parquet").read_bytes()
    for broken in (whole[:-9], whole[:4] + bytes(200) + whole[204:], b""):
        (folder / "3.parquet").write_bytes(broken)
        refused(run(folder, "-o", output), 4, "/3.parquet: not a readable Parquet file")
    assert output.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize(
    ("name", "text", "code", "told"),
    [
        ("t.csv", "customer_id,product_id,event\nc,a\n", 4, "line 2: 2 fields where"),
        ("t.jsonl", '{"product_id": "a"\n', 4, "line 1: not a JSON object"),
        ("t.csv", "c,a,purchase\n", 3, "no columns 'product_id', 'event' for"),
        ("t.csv", "", 4, "empty; the first line"),
        ("t.csv", "session_id,product_id,event,ts\ns,a,view,soon\n", 3, "'ts' must hold times"),
        ("t.csv", "session_id,product_id,event\n", 3, "no rows"),
    ],
)
def test_text_that_is_no_log_is_one_line_with_the_right_code(tmp_path, name, text, code, told):
    (tmp_path / name).write_text(text)
    refused(run(tmp_path / name), code, name, told)


def write_log(path, events, customers, products, letter="C"):
    """Events over 90 days, spread over customers and products by hashes of their numbers."""
    with duckdb.connect() as connection:
        connection.execute(f"""
          COPY (SELECT '{letter}' || hash(i) % {customers} AS customer_id,
            'P' || hash(i + 0.5) % {products} AS product_id,
            CASE WHEN hash(i, 7) % 4 = 0 THEN 'purchase' ELSE 'view' END AS event,
            make_timestamp(1704067200000000 + i * (7776000000000 // {events})) AS ts
          FROM range({events}) AS numbers(i)) TO '{path}' (FORMAT parquet)""")
    return path


@pytest.fixture(scope="module")
def large_log(tmp_path_factory):
    """Enough events that mining them takes seconds and spills under a small memory limit."""
    return write_log(tmp_path_factory.mktemp("large") / "log.parquet", 3_000_000, 20_000, 3_000)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 MB, or the test is skipped."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def full(done):
    refused(done, 4, "the temporary folder is full; TMPDIR names another")


def test_a_disk_that_fills_up_while_spilling_is_one_line_and_4(large_log, tiny_disk, tmp_path):
    output = tmp_path / "pairs.parquet"
    output.write_bytes(b"old")
    environment = {**os.environ, "TMPDIR": str(tiny_disk)}

    full(run(large_log, "-o", output, "--memory-limit", "200MB", env=environment))
    assert output.read_bytes() == b"old"
    assert list(tiny_disk.iterdir()) == []


def test_files_that_may_not_grow_while_spilling_are_one_line_and_4(large_log, tmp_path):
    # without the right to mount: no file of the process may outgrow 16 MB
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    full(
        run(
            large_log, "-o", tmp_path / "pairs.parquet", "--memory-limit", "200MB", env=environment,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 24, 1 << 24)),
        )
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_that_does_not_fit_into_the_temporary_folder_is_one_line_and_4(
    large_log, tiny_disk, tmp_path
):
    environment = {**os.environ, "TMPDIR": str(tiny_disk)}
    with large_log.open("rb") as log:
        done = subprocess.run(
            [*COMMAND, "-"], stdin=log, capture_output=True, check=False, env=environment
        )
    refused(done, 4, "standard input: cannot be copied to the temporary folder: no space left")
    assert list(tiny_disk.iterdir()) == []


def test_an_output_disk_that_fills_up_is_one_line_and_4_and_the_old_file_stays(tiny_disk, tmp_path):
    log = purchases(tmp_path / "log.parquet", [f"P{n}" for n in range(400)], ["2024-01-01"] * 400)
    output = tiny_disk / "pairs.parquet"
    output.write_bytes(b"old")
    # 160,000 pairs do not fit into what is left
    (tiny_disk / "filling").write_bytes(bytes((16 << 20) - (40 << 10)))

    refused(run(log, "--min-count", 1, "-o", output), 4, "pairs.parquet: no space left on device")
    assert output.read_bytes() == b"old"
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["filling", "pairs.parquet"]


def test_a_full_device_behind_standard_output_is_one_line_and_4(tmp_path):
    log = purchases(tmp_path / "log.parquet", ["a", "b"], ["2024-01-01"] * 2)
    with open("/dev/full", "wb") as device:
        done = subprocess.run(
            [*COMMAND, str(log)], stdout=device, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 4
    lines = done.stderr.decode().splitlines()
    assert lines[-1] == "cprtools: error: standard output: no space left on device"


@pytest.mark.parametrize("moment", [0.0, 0.4, 0.8])
@pytest.mark.parametrize(
    ("sent", "code", "told"),
    [
        (signal.SIGINT, 130, ["cprtools: error: interrupted"]),
        (signal.SIGTERM, 143, []),
    ],
)
def test_a_signal_in_the_middle_ends_it_and_leaves_nothing_behind(
    large_log, tmp_path, sent, code, told, moment
):
    work, output = tmp_path / "tmp", tmp_path / "pairs.parquet"
    work.mkdir()
    output.write_bytes(b"old")
    process = subprocess.Popen(
        [*COMMAND, str(large_log), "-o", str(output), "--quiet", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(work)},
    )
    started = time.monotonic()
    # its own folder: Python tries the place first, with a file that a signal may leave there
    while not list(work.glob("cprtools-*")) and time.monotonic() < started + 60:
        time.sleep(0.01)
    time.sleep(moment)
    process.send_signal(sent)
    sent_at = time.monotonic()
    out, err = process.communicate(timeout=60)

    assert process.returncode == code, err.decode()
    assert time.monotonic() - sent_at < 20
    assert (out, err.decode().splitlines()) == (b"", told)
    assert output.read_bytes() == b"old"
    assert list(work.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.parquet", "tmp"]


def test_customers_with_very_many_events_are_told_in_one_line(tmp_path):
    purchases(tmp_path / "1.parquet", ["a", "b"], ["2024-01-01"] * 2)
    for number, (name, events) in enumerate({"bot": 1_000_000, "agent": 100_001}.items(), 2):
        with duckdb.connect() as connection:
            # each in a session of its own and without a time: nothing meets
            connection.execute(f"""
              COPY (SELECT '{name}' AS customer_id, i AS session_id, 'a' AS product_id,
                'view' AS event FROM range({events}) AS numbers(i))
              TO '{tmp_path}/{number}.parquet' (FORMAT parquet)""")
        _, (warning,) = mined(tmp_path)
        one, both = "one customer has 1,000,000 events", "2 customers have more than 100,000 events"
        assert (one if name == "bot" else f"{both}, the largest 1,000,000") in warning
        assert len(warning) < 300


# 60,000 purchases of one customer are billions of pairs of rows where each meets each in a window
@pytest.mark.slow
def test_a_customer_with_very_many_events_is_mined_within_the_memory(tmp_path):
    folder, output = tmp_path / "logs", tmp_path / "pairs.parquet"
    folder.mkdir()
    write_log(folder / "1.parquet", 120_000, 1, 3_000, letter="bot")
    write_log(folder / "2.parquet", 100_000, 2_000, 3_000)
    words = [str(folder), "-o", str(output), "--memory-limit", "500MB", "--quiet"]
    measured = [sys.executable, "-c", PEAK_OF_CHILD, *COMMAND, *words]
    done = subprocess.run(measured, capture_output=True, text=True, check=False)

    told = done.stderr
    assert done.returncode == 0, told
    assert int(done.stdout) * 1024 < 1.25 * 500e6 + 500e6
    assert told.count("\n") == 1
    assert "one customer has 120,000 events" in told
    assert pq.read_metadata(output).num_rows > 0
