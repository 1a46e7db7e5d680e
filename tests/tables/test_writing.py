import os
import signal
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.errors import DataError, SchemaError, UsageError

TABLE = pa.table({"product_id": ["a", "b"]})
BIG = "t = pa.table({'n': [f'{i * 7919 % 100003:020}{i}' for i in range(300000)]})\n"


def batches(count, fail_at=None):
    def generate():
        for number in range(count):
            if number == fail_at:
                raise RuntimeError("a query failed in the middle")
            yield pa.record_batch({"n": [number]})

    return pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), generate())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_table_and_a_stream_of_batches_are_written_whole(tmp_path):
    tables.write(TABLE, str(tmp_path / "t"))
    tables.write(batches(3), str(tmp_path / "s"))

    assert pq.read_table(tmp_path / "t").equals(TABLE)
    assert pq.read_table(tmp_path / "s").to_pydict() == {"n": [0, 1, 2]}
    assert names(tmp_path) == ["s", "t"]


@pytest.mark.parametrize("ends", [RuntimeError, KeyboardInterrupt])
def test_what_was_there_stays_when_the_rows_fail_in_the_middle(tmp_path, ends):
    target = tmp_path / "t.parquet"
    tables.write(TABLE, str(target))
    before = target.read_bytes()

    def generate():
        yield pa.record_batch({"n": [1]})
        raise ends

    reader = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), generate())
    with pytest.raises(ends):
        tables.write(reader, str(target))
    with pytest.raises(RuntimeError):
        tables.write(batches(5, fail_at=3), str(tmp_path / "new.parquet"))

    assert target.read_bytes() == before
    assert names(tmp_path) == ["t.parquet"]


def test_a_table_and_a_text_about_it_are_written_both_or_neither(tmp_path):
    table, text = tmp_path / "t.parquet", tmp_path / "t.json"
    tables.write_with_text(TABLE, str(table), tables.Footer(), "first", str(text))
    before = table.read_bytes()
    with pytest.raises(RuntimeError):
        tables.write_with_text(
            batches(5, fail_at=3), str(table), tables.Footer(), "second", str(text)
        )
    assert (table.read_bytes(), text.read_text()) == (before, "first")
    with pytest.raises(DataError):
        tables.write_with_text(
            TABLE, str(tmp_path / "no" / "t"), tables.Footer(), "third", str(text)
        )
    assert text.read_text() == "first"
    assert names(tmp_path) == ["t.json", "t.parquet"]
    tables.write_with_text("a,b\n", str(table), tables.Footer(), "fourth", str(text))
    assert (table.read_text(), text.read_text()) == ("a,b\n", "fourth")


def test_a_text_or_a_table_of_several_may_go_to_a_device(tmp_path):
    table = tmp_path / "t.parquet"
    tables.write_with_text(TABLE, str(table), tables.Footer(), "text", os.devnull)
    assert pq.read_table(table).equals(TABLE)
    parts = [(TABLE, os.devnull, tables.Footer()), (TABLE, str(table), tables.Footer())]
    tables.write_all(parts)
    assert pq.read_table(table).equals(TABLE)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_the_umask_decides_who_may_read_the_file(tmp_path, mask, mode):
    old = os.umask(mask)
    try:
        tables.write(TABLE, str(tmp_path / "t"))
        tables.write_text("report", str(tmp_path / "r.html"))
        tables.write_folder({"nodes": TABLE}, str(tmp_path / "g"), "graph", tables.Footer())
    finally:
        os.umask(old)

    for path in (tmp_path / "t", tmp_path / "r.html", tmp_path / "g" / "nodes.parquet"):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_folders_and_missing_parents_are_refused_before_and_after(tmp_path):
    for target, said in (
        (str(tmp_path), "is a folder; name a file"),
        (str(tmp_path / "no" / "t.parquet"), "does not exist"),
        (str(tmp_path / ("x" * 300)), "file name too long"),
    ):
        with pytest.raises(DataError):
            tables.write(TABLE, target)
        if "long" not in said:
            with pytest.raises(DataError, match=said):
                tables.check_writable(target)
    with pytest.raises(UsageError, match="empty"):
        tables.check_writable("")
    assert names(tmp_path) == []


def test_a_link_stays_a_link_to_what_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "t.parquet")
    tables.write(TABLE, str(tmp_path / "link"))
    tables.write(TABLE, str(tmp_path / "link"))

    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == ["t.parquet"]


def test_a_device_or_named_pipe_is_written_to_and_not_replaced(tmp_path, script):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    tables.write(TABLE, str(fifo))
    data = os.read(reader, 1 << 16)
    os.close(reader)

    assert pq.read_table(pa.BufferReader(data)).equals(TABLE)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    # a character device of our own would need root, and the real one must survive a failure
    with pytest.raises(DataError, match="/dev/full: no space left on device"):
        tables.write(TABLE, "/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)  # noqa: PTH116
    done = script("tables.write(pa.table({'n': [1]}), '/dev/stdout')")
    assert pq.read_table(pa.BufferReader(done.stdout)).to_pydict() == {"n": [1]}


def test_several_files_are_written_all_or_none(tmp_path):
    (tmp_path / "one").write_bytes(b"old")
    parts = [(TABLE, str(tmp_path / "one"), tables.Footer())]
    with pytest.raises(DataError):
        tables.write_all([*parts, (TABLE, str(tmp_path / "no" / "two"), tables.Footer())])
    assert (tmp_path / "one").read_bytes() == b"old"

    tables.write_all([*parts, (TABLE, str(tmp_path / "two"), tables.Footer())])
    assert pq.read_table(tmp_path / "one").equals(pq.read_table(tmp_path / "two"))
    assert names(tmp_path) == ["one", "two"]


def test_two_outputs_of_one_command_are_two_places(tmp_path):
    place = str(tmp_path / "t")
    with pytest.raises(UsageError, match="two outputs"):
        # as text: a Path would drop the dot
        tables.check_all_writable([place, f"{tmp_path}/./t"])
    tables.check_all_writable([place, str(tmp_path / "u")])


def test_partitions_are_one_whole_file_per_value_in_the_order_of_the_rows(tmp_path):
    table = pa.table({"seller_id": ["b", "a", "b", "é"], "rank": [1, 1, 2, 1]})
    footer = tables.Footer("recommend")
    assert tables.write_partitions(table, str(tmp_path / "out"), "seller_id", footer) == 0

    assert names(tmp_path / "out") == ["a.parquet", "b.parquet", "é.parquet"]
    found = tmp_path / "out" / "b.parquet"
    assert pq.read_table(found).to_pydict() == {"seller_id": ["b", "b"], "rank": [1, 2]}
    assert tables.read_footer(str(found))["command"] == "recommend"
    # a.parquet and é.parquet of before are not of the next run, and stay
    assert tables.write_partitions(table[:1], str(tmp_path / "out"), "seller_id", footer) == 2
    assert names(tmp_path / "out") == ["a.parquet", "b.parquet", "é.parquet"]


@pytest.mark.parametrize(
    "value",
    ["../up", "a/b", ".", "..", ".hidden", "", "a\0b", "n\n", "x" * 201, "é" * 150, None, 5],
)
def test_a_value_that_can_name_no_file_is_refused_before_anything_is_written(tmp_path, value):
    kind = pa.int64() if value == 5 else pa.string()
    table = pa.table({"seller_id": pa.array([value], kind)})

    with pytest.raises(SchemaError, match="cannot be the name of a file"):
        tables.write_partitions(table, str(tmp_path / "out"), "seller_id", tables.Footer())
    assert names(tmp_path) == []


def test_a_terminal_never_gets_parquet(script, tmp_path):
    main, side = os.openpty()
    with os.fdopen(main, "rb"), os.fdopen(side, "wb") as terminal:
        done = script("tables.write(pa.table({'n': [1]}), '-')", stdout=terminal)
    assert (done.returncode, done.stderr) == (
        2,
        b"cprtools: error: Parquet is not written to a terminal; use -o FILE or a pipe\n",
    )


@pytest.mark.parametrize("what", ["tables.write(t, '-')", "tables.write_text('x' * 99, '-')"])
def test_a_full_disk_at_the_end_of_a_pipe_is_one_line_and_4(script, what):
    with open("/dev/full", "wb") as full:
        done = script(f"t = pa.table({{'n': [1]}})\n{what}", stdout=full)

    assert done.returncode == 4
    assert done.stderr == b"cprtools: error: standard output: no space left on device\n"


@pytest.mark.parametrize(
    "what",
    [
        "tables.write(t, 'out')",
        "tables.write(pa.RecordBatchReader.from_batches(t.schema, t.to_batches()), 'out')",
        "tables.write_all([(t, 'out', tables.Footer())])",
        "tables.write_folder({'nodes': t}, 'out', 'graph', tables.Footer())",
    ],
)
def test_a_full_disk_below_a_file_is_one_line_and_4_and_no_litter(script, tmp_path, what):
    limits = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limits += "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
    done = script(BIG + limits + what)

    assert (done.returncode, done.stderr) == (4, b"cprtools: error: out: file too large\n")
    assert names(tmp_path) == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_quietly_with_141(script, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = script(BIG + "tables.write(t, '-')", stdout=closed, env=environment)

    assert (done.returncode, done.stderr) == (141, b"")


def test_a_closed_pipe_leaves_no_second_output(script, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    lines = BIG + "f = tables.Footer()\ntables.write_all([(t, '-', f), (t, 'two', f)])"
    with os.fdopen(writing, "wb") as closed:
        done = script(lines, stdout=closed)

    assert (done.returncode, done.stderr, names(tmp_path)) == (141, b"", [])


def test_a_terminated_writer_leaves_what_was_there(script, tmp_path):
    (tmp_path / "t").write_bytes(b"old")
    lines = """
import os, signal
def generate():
    yield pa.record_batch({'n': [1]})
    os.kill(os.getpid(), signal.SIGTERM)
    yield pa.record_batch({'n': [2]})
schema = pa.schema([('n', pa.int64())])
tables.write(pa.RecordBatchReader.from_batches(schema, generate()), 't')
"""
    done = script(lines.strip())

    assert done.returncode == 128 + signal.SIGTERM
    assert (names(tmp_path), (tmp_path / "t").read_bytes()) == (["t"], b"old")


def test_standard_output_gets_every_byte(script):
    done = script(BIG + "tables.write(t, '-')", env={**os.environ, "PYTHONUNBUFFERED": "1"})

    assert pq.read_table(pa.BufferReader(done.stdout)).num_rows == 300000
    assert len(done.stdout) > 500_000
