"""What is wrong with a text file is said in one line that names the file and its line."""

import gzip
import re

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.errors import CprError, DataError, SchemaError
from tests.tables.text_files import write

HEAD = b"product_id,event\n"
ROW = b"p,view\n"
LINE = b'{"product_id": "p", "event": "view"}\n'
# more than is looked at before the file is read
MANY = 80_000


def refusals(place, spec=tables.EVENTS, mapping=None):
    """The errors of both readers and of the digest, None where one of them is content."""
    found = []
    for reader in (tables.read, scan, tables.digest_rows):
        try:
            reader(tables.open_table(str(place), spec, mapping))
            found.append(None)
        except CprError as error:
            assert "\n" not in str(error)
            found.append(error)
    return found


def scan(source):
    with duckdb.connect() as connection:
        try:
            connection.execute(f"SELECT count(hash(t)) FROM ({tables.scan_sql(source)}) t")
        except duckdb.Error as error:
            raise tables.explain(source, error, connection) from error


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", HEAD + ROW + b"p\n" + ROW, "line 3: 1 fields where the first line has 2"),
        ("t.csv", HEAD + ROW * MANY + b"p,view,1\n", "line 80002: 3 fields where"),
        ("t.csv.gz", HEAD + ROW * MANY + b"p,view,1\n", "line 80002: 3 fields where"),
        ("t.csv", HEAD + b'p,"view\n' + ROW, 'line 2: a quote (") that does not end'),
        ("t.csv", HEAD + b"p,caf\xe9\n", "line 2: not UTF-8 text; iconv -f ENCODING -t UTF-8"),
        ("t.csv", HEAD + ROW * MANY * 2 + b"p,caf\xe9\n", "line 160002: not UTF-8 text"),
        ("t.csv", (HEAD + ROW).decode().encode("utf-16"), "line 1: not UTF-8 text"),
        ("t.csv", HEAD + ROW[:-1] + b"\r\n" + ROW, "its line ends are mixed"),
        ("t.csv", b"", "empty; the first line of a CSV file must name its columns"),
        ("t.csv", b"\n" + HEAD, "line 1: blank; it must name the columns"),
        ("t.jsonl", LINE + b'{"product_id":\n' + LINE, "line 2: not a JSON object"),
        ("t.jsonl", LINE * MANY + b'{"product_id":\n' + LINE, "line 80001: not a JSON object"),
        ("t.jsonl.gz", LINE * MANY + b'{"product_id":\n' + LINE, "line 80001: not a JSON object"),
        ("t.jsonl", LINE + LINE[:-3], "line 2: not a JSON object; each line must hold one"),
        ("t.jsonl", LINE.replace(b"p", b"\xe9"), "line 1: not UTF-8 text"),
        ("t.jsonl", LINE * MANY + LINE.replace(b'"p"', b'"\xe9"'), "line 80001: not UTF-8 text"),
        ("t.jsonl", b"[1]\n", "a JSON array; each line must hold one object"),
        ("t.json", b'[{"product_id": 1}]', "a JSON array; each line must hold one object"),
        ("t.json", b'{\n  "product_id": 1\n}\n', "line 1: not a JSON object"),
        ("t.jsonl", b"\xef\xbb\xbf" + LINE, "line 1: begins with a byte order mark"),
        (
            "t.csv.gz",
            gzip.compress(HEAD + ROW * MANY)[:-20],
            "not a readable CSV file, or packed data that is damaged",
        ),
        (
            "t.jsonl.gz",
            gzip.compress(LINE * MANY)[:-20],
            "not a readable JSON lines file, or packed",
        ),
        ("t.csv", b"\x1f\x8b no gzip", "not a readable CSV file"),
        ("t.txt", HEAD, "not a readable Parquet file; other formats end in .csv, .tsv or .jsonl"),
    ],
    ids=lambda value: None if isinstance(value, str) else len(value),
)
def test_a_file_that_does_not_read_is_named_with_the_line(tmp_path, name, data, message):
    if name.endswith(".gz") and not data.startswith(b"\x1f\x8b"):
        data = gzip.compress(data)
    (tmp_path / name).write_bytes(data)

    for error in refusals(tmp_path / name):
        assert isinstance(error, DataError), message
        assert str(error).startswith(f"{name}: {message}"), error


@pytest.mark.parametrize("line", [b"5\n", b'"text"\n', b"[]\n"])
def test_a_json_line_that_is_no_object_is_refused_wherever_it_is(tmp_path, line):
    (tmp_path / "t.jsonl").write_bytes(LINE * MANY + line + LINE)

    for error in refusals(tmp_path / "t.jsonl")[:2]:
        assert str(error) == "t.jsonl: line 80001: not a JSON object; each line must hold one"


def test_a_csv_file_without_its_header_is_told_what_the_first_line_is_for(tmp_path):
    (tmp_path / "t.csv").write_bytes(ROW * 2)

    for error in refusals(tmp_path / "t.csv")[:2]:
        assert isinstance(error, SchemaError)
        assert "found p, view (a CSV file's first line must name them); --columns" in str(error)


def test_a_table_without_rows_is_told_so_in_every_format(tmp_path):
    for name, data in (("t.csv", HEAD), ("t.jsonl", b""), ("t2.jsonl", b"\n\n")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SchemaError, match="the events table has no rows"):
            tables.read(tables.open_table(str(tmp_path / name), tables.EVENTS))
        assert refusals(tmp_path / name)[1:] == [None, None]


def test_the_broken_file_of_many_is_named(tmp_path):
    for number in range(4):
        write(tmp_path / "csv" / f"{number}.csv", {"product_id": ["a"], "event": ["view"]})
        write(tmp_path / "json" / f"{number}.jsonl", {"product_id": ["a"], "event": ["view"]})
    (tmp_path / "csv" / "2.csv").write_bytes(HEAD + b"a\n")
    (tmp_path / "json" / "2.jsonl").write_bytes(LINE * MANY + b"{\n")

    for kind in ("csv", "json"):
        for error in refusals(tmp_path / kind):
            assert re.match(rf"{kind}: .*/{kind}/2\.{kind}l?: line \d+: ", str(error)), error


def test_the_damaged_parquet_file_of_many_is_named_where_its_footer_is_whole(tmp_path):
    (tmp_path / "d").mkdir()
    ids = [f"{n:08}" for n in range(5000)]
    for number in range(4):
        pq.write_table(
            pa.table({"product_id": ids, "event": ids}), tmp_path / f"d/{number}.parquet"
        )
    data = bytearray((tmp_path / "d/2.parquet").read_bytes())
    data[4:2000] = bytes(1996)
    (tmp_path / "d/2.parquet").write_bytes(data)

    for error in refusals(tmp_path / "d"):
        assert re.fullmatch(r"d: .*/d/2\.parquet: not a readable Parquet file", str(error)), error


def test_a_value_that_does_not_fit_is_named_with_its_file_and_column(tmp_path):
    for number, text in enumerate(("2024-05-01", "2024-05-02", "soon")):
        columns = {"product_id": ["a"], "event": ["view"], "at": [text]}
        write(tmp_path / "d" / f"{number}.csv", columns)

    error = refusals(tmp_path / "d", mapping={"ts": "at"})[1]
    assert isinstance(error, SchemaError)
    said = (
        r"d: .*/d/2\.csv: column 'at' must hold times as 2024-05-31 10:00:00, or epoch "
        r"numbers; found values such as 'soon'"
    )
    assert re.fullmatch(said, str(error))


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv", {"product_id": ["a"], "event": ["view"]})

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(DataError, match=r"^t\.csv: permission denied$"):
        tables.read(tables.open_table(path, tables.EVENTS))


def test_a_folder_of_mixed_formats_is_refused_and_a_pattern_takes_them(tmp_path):
    write(tmp_path / "d" / "1.csv", {"product_id": ["7"], "event": ["view"]})
    (tmp_path / "d" / "deep").mkdir()
    pq.write_table(
        pa.table({"product_id": [7], "event": ["view"]}), tmp_path / "d" / "deep" / "2.parquet"
    )
    (tmp_path / "d" / "notes.txt").write_text("no table")

    with pytest.raises(DataError) as refused:
        tables.open_table(str(tmp_path / "d"), tables.EVENTS)
    assert "different formats, CSV (1.csv) and Parquet (deep/2.parquet)" in str(refused.value)
    assert "d/**/*.csv'" in str(refused.value)
    for pattern, rows in (("d/**/*.csv", 1), ("d/**/*.[cp]*", 2)):
        source = tables.open_table(str(tmp_path / pattern), tables.EVENTS)
        assert tables.read(source).column("product_id").to_pylist() == ["7"] * rows
