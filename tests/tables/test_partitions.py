"""Folders partitioned as Hive and Spark do it."""

import datetime as dt

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from tests.tables.text_files import write

DAYS = ("2024-05-01", "2024-05-02")
ROWS = {"product_id": ["a", "b"], "event": ["view", "purchase"]}


@pytest.fixture(params=[".parquet", ".csv", ".csv.gz", ".jsonl"])
def events(request, tmp_path, monkeypatch):
    """The folder `events`, a file of two rows for each day, as the current folder has it."""
    monkeypatch.chdir(tmp_path)
    for day in DAYS:
        path = tmp_path / "events" / f"date={day}" / f"part-0{request.param}"
        path.parent.mkdir(parents=True)
        if request.param == ".parquet":
            pq.write_table(pa.table(ROWS), path)
        else:
            write(path, ROWS)
    (tmp_path / "events" / "_SUCCESS").touch()
    return tmp_path / "events"


def scanned(place, mapping=None, spec=tables.EVENTS):
    source = tables.open_table(str(place), spec, mapping)
    return sorted(duckdb.connect().execute(tables.scan_sql(source)).fetchall(), key=str)


def times(place):
    mapping = {"ts": "date"}
    by_arrow = tables.read(tables.open_table(str(place), tables.EVENTS, mapping)).column("ts")
    assert sorted(row[4] for row in scanned(place, mapping)) == sorted(by_arrow.to_pylist())
    return sorted({moment.date().isoformat() for moment in by_arrow.to_pylist()})


def test_a_key_is_no_column_unless_it_is_asked_for(events):
    table = tables.read(tables.open_table("events", tables.EVENTS))

    assert table.column_names == ["product_id", "event"]
    assert table.num_rows == len(scanned("events")) == 4
    assert {row[4] for row in scanned("events")} == {None}


def test_a_mapped_key_is_the_time_of_its_rows(events):
    assert times("events") == list(DAYS)
    assert times(events) == list(DAYS)
    assert times("events/*/*") == list(DAYS)
    assert times("events/date=2024-05-0[2]") == ["2024-05-02"]
    # a night's folder or file alone still has its day in its name
    assert times("events/date=2024-05-02/") == ["2024-05-02"]
    assert times(next((events / "date=2024-05-02").iterdir())) == ["2024-05-02"]


def test_a_key_with_the_name_of_a_column_is_that_column(tmp_path):
    for kind in ("view", "purchase"):
        write(tmp_path / f"event={kind}" / "1.csv", {"product_id": [kind]})

    assert [row[2:4] for row in scanned(tmp_path)] == [
        ("purchase", "purchase"),
        ("view", "view"),
    ]


def test_a_column_in_the_file_goes_before_the_folders_key(tmp_path):
    write(tmp_path / "event=view" / "1.csv", {"product_id": ["a"], "event": ["purchase"]})
    write(tmp_path / "event=view" / "2.csv", {"product_id": ["b"]})
    write(tmp_path / "event=view" / "3.jsonl", {"product_id": ["c"], "event": ["purchase"]})

    wanted = [("a", "purchase"), ("b", "view"), ("c", "purchase")]
    assert [row[2:4] for row in scanned(tmp_path / "*" / "*")] == wanted
    source = tables.open_table(str(tmp_path / "*" / "*"), tables.EVENTS)
    assert tables.read(source).select(["product_id", "event"]).to_pylist() == [
        {"product_id": product, "event": event} for product, event in wanted
    ]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_values_are_decoded_and_hives_null_is_none(tmp_path, ending):
    folders = {"day=2024-05-01 12%3A00": "a", "day=__HIVE_DEFAULT_PARTITION__": "b", "other=1": "c"}
    for folder, product in folders.items():
        columns = {"product_id": [product], "event": ["view"]}
        path = tmp_path / folder / f"1{ending}"
        if ending == ".csv":
            write(path, columns)
        else:
            path.parent.mkdir()
            pq.write_table(pa.table(columns), path)

    noon = dt.datetime(2024, 5, 1, 12)
    rows = scanned(tmp_path, {"ts": "day"})
    assert {row[2]: row[4] for row in rows} == {"a": noon, "b": None, "c": None}
    table = tables.read(tables.open_table(str(tmp_path), tables.EVENTS, {"ts": "day"}))
    pairs = zip(table.column("product_id").to_pylist(), table.column("ts").to_pylist(), strict=True)
    assert dict(pairs) == {"a": noon, "b": None, "c": None}


def test_of_two_keys_of_one_name_the_inner_one_counts(tmp_path):
    path = write(tmp_path / "day=2024-05-01" / "day=2024-05-02" / "1.csv", ROWS)

    assert {str(row[4]) for row in scanned(path, {"ts": "day"})} == {"2024-05-02 00:00:00"}


def test_the_digest_counts_a_key_where_it_is_a_column(events, tmp_path):
    plain = tables.digest_rows(tables.open_table("events", tables.EVENTS))
    dated = tables.digest_rows(tables.open_table("events", tables.EVENTS, {"ts": "date"}))
    (events / "date=2024-05-02").rename(events / "date=2024-05-03")
    moved = tables.digest_rows(tables.open_table("events", tables.EVENTS, {"ts": "date"}))

    assert plain[0] == dated[0] == 4
    assert len({plain, dated, moved}) == 3
    assert tables.digest_rows(tables.open_table("events", tables.EVENTS)) == plain


def test_a_table_read_whole_has_the_keys_of_its_own_folders_alone(events):
    whole = tables.read_any(tables.open_table("events", tables.ANY))
    day = tables.read_any(tables.open_table("events/date=2024-05-02", tables.ANY))

    assert whole.column_names == ["product_id", "event", "date"]
    assert whole.column("date").to_pylist() == [day for day in DAYS for _ in range(2)]
    assert day.column_names == ["product_id", "event"]


def test_the_copy_of_a_pipe_has_no_keys(piped, tmp_path, monkeypatch):
    import io

    out = io.BytesIO()
    pq.write_table(pa.table({"product_id": ["a"]}), out)
    (tmp_path / "event=view").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "event=view"))
    monkeypatch.setattr("tempfile.tempdir", None)
    piped(out.getvalue())

    source = tables.open_table("-", tables.HIGH_DEMAND)
    assert source.paths[0].startswith(str(tmp_path / "event=view"))
    assert source.schema().names == ["product_id"]
    assert source.keys(source.paths[0]) == {}
