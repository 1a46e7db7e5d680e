"""CSV and JSON lines are read as Parquet of the same texts is, by both readers."""

import datetime as dt
import gzip
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools import tables
from cprtools.errors import SchemaError
from tests.tables.text_files import ENDINGS, write

NOON = dt.datetime(2024, 5, 1, 12)
LOG = {
    "customer_id": ["007", None, "8"],
    "session_id": [None, "s,1", None],
    "product_id": ["a", 'b"c', "d\ne"],
    "event": ["view", "purchase", "cart"],
    "ts": ["2024-05-01 12:00:00", "2024-05-01T14:00:00+02:00", None],
}
ROWS = [
    ("007", None, "a", "view", NOON),
    (None, "s,1", 'b"c', "purchase", NOON),
    ("8", None, "d\ne", "cart", None),
]


def by_arrow(place, spec=tables.EVENTS, mapping=None):
    table = tables.read(tables.open_table(str(place), spec, mapping))
    names = [f.name for f in spec.fields]
    columns = [
        table.column(n).to_pylist() if n in table.column_names else [None] * len(table)
        for n in names
    ]
    return list(zip(*columns, strict=True))


def by_duckdb(place, spec=tables.EVENTS, mapping=None):
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        source = tables.open_table(str(place), spec, mapping)
        return connection.execute(tables.scan_sql(source)).fetchall()


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_format_gives_the_rows_it_was_given(tmp_path, ending):
    path = write(tmp_path / f"log{ending}", LOG)

    assert by_arrow(path) == by_duckdb(path) == ROWS


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_the_first_bytes_and_not_the_name_tell_what_is_packed(tmp_path, ending):
    path = tmp_path / f"log{ending}"
    write(path, LOG)
    path.write_bytes(gzip.compress(path.read_bytes()))
    plain = tmp_path / f"plain{ending}.gz"
    plain.write_bytes(gzip.decompress(path.read_bytes()))

    assert by_arrow(path) == by_duckdb(path) == by_arrow(plain) == by_duckdb(plain) == ROWS


def test_zstandard_is_unpacked_too(tmp_path):
    path = tmp_path / "log.csv.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(b"product_id,event\n007,view\n")

    assert by_arrow(path) == by_duckdb(path) == [(None, None, "007", "view", None)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_first_line_tells_what_divides_the_fields_of_a_csv_file(tmp_path, delimiter):
    lines = ['"a,b;c|d"', "product_id", "event"], ["x", "007", "view"]
    text = "".join(delimiter.join(line) + "\r\n" for line in lines)
    (tmp_path / "log.csv").write_text(text, newline="")

    assert by_arrow(tmp_path / "log.csv") == [(None, None, "007", "view", None)]
    assert by_duckdb(tmp_path / "log.csv") == [(None, None, "007", "view", None)]


def test_a_byte_order_mark_and_a_column_without_a_name_do_no_harm(tmp_path):
    (tmp_path / "log.csv").write_bytes("\ufeff,product_id,event\n0,é,view\n".encode())

    assert by_arrow(tmp_path / "log.csv") == [(None, None, "é", "view", None)]
    table = tables.read_any(tables.open_table(str(tmp_path / "log.csv"), tables.ANY))
    assert table.to_pylist() == [{"column1": "0", "product_id": "é", "event": "view"}]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1714564800", NOON),
        ("1714564800000", NOON),
        ("1714564800000.25", NOON),
        ("+1714564800", NOON),
        ("1714564800.0", NOON),
        (" 1714564800.25 ", NOON.replace(microsecond=250_000)),
        ("1714564800.123456789", NOON.replace(microsecond=123_456)),
        ("-0.5", dt.datetime(1969, 12, 31, 23, 59, 59, 500_000)),
        ("-5", dt.datetime(1969, 12, 31, 23, 59, 55)),
        ("0", dt.datetime(1970, 1, 1)),
        ("20240501", dt.datetime(2024, 5, 1)),
        ("2024-05-01", dt.datetime(2024, 5, 1)),
        ("2024-05-01T12:00:00Z", NOON),
        ("2024-05-01 12:00:00 UTC", NOON),
        ("2024-05-01 14:00+02", NOON),
    ],
)
def test_a_time_as_text_is_one_moment_in_every_format(tmp_path, text, moment):
    columns = {"product_id": ["p"], "event": ["view"], "ts": [text]}
    for ending in (".csv", ".tsv", ".jsonl"):
        path = write(tmp_path / f"log{ending}", columns)
        assert by_arrow(path) == by_duckdb(path) == [(None, None, "p", "view", moment)]
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    path = tmp_path / "log.parquet"
    assert by_arrow(path) == by_duckdb(path) == [(None, None, "p", "view", moment)]


def test_numbers_of_json_lines_are_times_and_ids(tmp_path):
    columns = {
        "customer_id": [7, "007", 7.0, 123456789012345678901234567890],
        "product_id": ["", -3, "x", 1e3],
        "event": ["view"] * 4,
        "ts": [1714564800, 1714564800.25, "1714564800", None],
    }
    path = write(tmp_path / "log.jsonl", columns)
    later = NOON.replace(microsecond=250_000)
    rows = [
        ("7", None, "", "view", NOON),
        ("007", None, "-3", "view", later),
        ("7", None, "x", "view", NOON),
        ("123456789012345678901234567890", None, "1000", "view", None),
    ]

    assert by_arrow(path) == by_duckdb(path) == rows


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"a": 1}, 1e300])
def test_a_json_value_that_is_no_id_is_refused_by_both(tmp_path, value):
    path = write(tmp_path / "t.jsonl", {"product_id": ["a", value], "event": ["view"] * 2})
    source = tables.open_table(path, tables.EVENTS)

    with pytest.raises(SchemaError, match="'product_id' must hold strings or whole numbers"):
        tables.read(source)
    with duckdb.connect() as connection, pytest.raises(duckdb.Error) as failed:
        connection.execute(tables.scan_sql(source)).fetchall()
    assert "product_id" in str(tables.explain(source, failed.value))


@pytest.mark.parametrize("value", [["view"], {"a": 1}], ids=str)
def test_a_json_list_or_object_is_no_word_of_ours(tmp_path, value):
    path = write(tmp_path / "t.jsonl", {"product_id": ["a", "b"], "event": ["view", value]})
    source = tables.open_table(path, tables.EVENTS)

    with pytest.raises(SchemaError, match="column 'event' must hold"):
        tables.read(source)
    with duckdb.connect() as connection, pytest.raises(duckdb.Error, match="no value"):
        connection.execute(tables.scan_sql(source)).fetchall()


def test_counts_are_whole_numbers_and_prices_are_numbers_in_text(tmp_path):
    views = {"product_id": ["a", "b", "c"], "views": ["12", "13.0", None]}
    products = {"product_id": ["a", "b"], "title": ["2024-01-01", "t"], "price": ["$1,299.00", "5"]}
    for ending in (".csv", ".jsonl"):
        path = write(tmp_path / f"v{ending}", views)
        rows = [("a", 12, None, None), ("b", 13, None, None), ("c", None, None, None)]
        assert by_arrow(path, tables.PAGE_VIEWS) == by_duckdb(path, tables.PAGE_VIEWS) == rows
        path = write(tmp_path / f"p{ending}", products)
        found = tables.read(tables.open_table(path, tables.PRODUCTS))
        assert found.column("price").to_pylist() == [1299.0, 5.0]
        assert found.column("title").to_pylist() == ["2024-01-01", "t"]


@pytest.mark.parametrize("text", ["13.5", "many", "1e3"])
def test_a_count_that_is_no_whole_number_is_refused_with_the_value(tmp_path, text):
    path = write(tmp_path / "v.csv", {"product_id": ["a", "b"], "views": ["1", text]})
    source = tables.open_table(path, tables.PAGE_VIEWS)

    with pytest.raises(SchemaError, match=f"readable as int64; found '{text}'"):
        tables.read(source)
    with pytest.raises(duckdb.Error, match=f'no number: "{text}"'):
        duckdb.connect().execute(tables.scan_sql(source)).fetchall()


def test_counts_in_floats_and_decimals_are_whole_numbers_or_refused_by_both(tmp_path):
    path = str(tmp_path / "v.parquet")
    columns = {"product_id": ["a", "b", "c"], "views": [12.0, float("nan"), None]}
    pq.write_table(pa.table(columns), path)
    rows = [("a", 12, None, None), ("b", None, None, None), ("c", None, None, None)]
    assert by_arrow(path, tables.PAGE_VIEWS) == by_duckdb(path, tables.PAGE_VIEWS) == rows

    pq.write_table(pa.table({**columns, "views": [12.0, 13.5, None]}), path)
    source = tables.open_table(path, tables.PAGE_VIEWS)
    with pytest.raises(SchemaError, match="'views' holds double"):
        tables.read(source)
    with pytest.raises(duckdb.Error, match=r'no number: "13\.5"'):
        duckdb.connect().execute(tables.scan_sql(source)).fetchall()

    exact = pa.array([Decimal("12.00"), Decimal("13.00"), None], pa.decimal128(18, 2))
    pq.write_table(pa.table({**columns, "views": exact}), path)
    rows[1] = ("b", 13, None, None)
    assert by_arrow(path, tables.PAGE_VIEWS) == by_duckdb(path, tables.PAGE_VIEWS) == rows

    parted = pa.array([Decimal("12.00"), Decimal("13.50"), None], pa.decimal128(18, 2))
    pq.write_table(pa.table({**columns, "views": parted}), path)
    with pytest.raises(SchemaError, match="'views' holds decimal"):
        tables.read(source)
    with pytest.raises(duckdb.Error, match=r'no number: "13\.50"'):
        duckdb.connect().execute(tables.scan_sql(source)).fetchall()


def test_json_lines_keep_lists_and_types_of_further_columns(tmp_path):
    lines = """{"product_id": 1, "category": ["a", "b"], "made": "2024-01-01", "n": 1, "size": 2}
{"product_id": "2", "category": ["c"], "price": 7, "n": "x", "size": 2.5}

{"product_id": "3"}
"""
    (tmp_path / "p.jsonl").write_text(lines)

    found = tables.read(tables.open_table(str(tmp_path / "p.jsonl"), tables.PRODUCTS))

    assert found.column("category").to_pylist() == [["a", "b"], ["c"], None]
    assert found.column("price").to_pylist() == [None, 7.0, None]
    assert found.column("made").to_pylist() == ["2024-01-01", None, None]
    assert found.column("n").to_pylist() == ["1", "x", None]
    assert found.column("size").to_pylist() == [2.0, 2.5, None]


def test_a_column_that_only_late_json_lines_have_is_not_overlooked(tmp_path):
    # far beyond what is looked at to learn the names
    early = '{"product_id": "a", "event": "view"}\n' * 60_000
    late = '{"product_id": "b", "event": "view", "ts": "2024-05-01 12:00:00"}\n'
    (tmp_path / "log.jsonl").write_text(early + late)
    wanted = (None, None, "b", "view", NOON)

    assert by_arrow(tmp_path / "log.jsonl")[-1] == wanted
    assert wanted in by_duckdb(tmp_path / "log.jsonl")


def test_a_required_column_that_only_late_json_lines_have_is_found(tmp_path):
    early = '{"event": "search"}\n' * 80_000
    (tmp_path / "log.jsonl").write_text(early + '{"product_id": "b", "event": "view"}\n')

    assert (None, None, "b", "view", None) in by_duckdb(tmp_path / "log.jsonl")
    (tmp_path / "other.jsonl").write_text(early)
    with pytest.raises(SchemaError, match=r"no column 'product_id' .* found event;"):
        by_duckdb(tmp_path / "other.jsonl")


def test_ids_of_any_format_and_type_are_equal_as_strings(tmp_path):
    for number, ids in enumerate(([7, 8], ["7", "x"])):
        pq.write_table(
            pa.table({"sku": ids, "event": ["view"] * 2}), tmp_path / f"{number}.parquet"
        )
    write(tmp_path / "2.csv", {"event": ["view"], "sku": ["7"]})
    write(tmp_path / "3.csv", {"sku": ["x"], "colour": ["red"], "event": ["view"]})
    write(tmp_path / "4.jsonl", {"sku": [7, "7"], "event": ["view"] * 2})
    place, mapping = tmp_path / "*", {"product_id": "sku"}

    ids = ["7", "8", "7", "x", "7", "x", "7", "7"]
    assert [row[2] for row in by_arrow(place, mapping=mapping)] == ids
    assert sorted(row[2] for row in by_duckdb(place, mapping=mapping)) == sorted(ids)


def test_columns_of_any_name_are_mapped(tmp_path):
    for name in ("Stock Code", "it's", 'a"b', "é", "select", "c0", "line\nbreak"):
        columns = {name: ["007"], "product_id": ["other"], "event": ["view"]}
        for ending in (".csv", ".jsonl"):
            path = write(tmp_path / f"t{ending}", columns)
            row = [(None, None, "007", "view", None)]
            assert by_arrow(path, mapping={"product_id": name}) == row
            assert by_duckdb(path, mapping={"product_id": name}) == row


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_blank_lines_are_no_rows_of_a_list_either(tmp_path, name):
    (tmp_path / name).write_text("product_id\n007\n\n8\n\n\n")
    source = tables.open_table(str(tmp_path / name), tables.HIGH_DEMAND)

    assert tables.read(source).column("product_id").to_pylist() == ["007", "8"]
    assert duckdb.connect().execute(tables.scan_sql(source)).fetchall() == [("007",), ("8",)]
    assert tables.digest_rows(source)[0] == 2


def test_names_that_differ_in_case_alone_are_two_columns_of_csv(tmp_path):
    path = write(tmp_path / "t.csv", {"ID": ["1"], "id": ["2"], "event": ["view"]})

    assert by_arrow(path, mapping={"product_id": "id"}) == [(None, None, "2", "view", None)]
    assert by_duckdb(path, mapping={"product_id": "ID"}) == [(None, None, "1", "view", None)]


def test_names_with_patterns_in_them_are_read_as_they_are(tmp_path):
    write(tmp_path / "log1.csv", {"product_id": ["wrong"], "event": ["view"]})
    path = write(tmp_path / "log[1].csv", {"product_id": ["right"], "event": ["view"]})

    assert by_arrow(path) == by_duckdb(path) == [(None, None, "right", "view", None)]


def test_the_digest_of_text_tells_its_rows_and_not_their_files_or_order(tmp_path):
    rows = {"product_id": ["a", "b", "c"], "event": ["view"] * 3}
    for ending in (".csv", ".jsonl"):
        write(tmp_path / f"one{ending}", rows)
        for number in range(3):
            part = {name: values[number : number + 1] for name, values in rows.items()}
            write(tmp_path / ending / f"{3 - number}{ending}.gz", part)
        changed = {**rows, "product_id": ["a", "b", "d"]}
        write(tmp_path / f"other{ending}", changed)
        one, parts, other = (
            tables.digest_rows(tables.open_table(str(tmp_path / name), tables.ANY))
            for name in (f"one{ending}", ending, f"other{ending}")
        )
        assert one == parts != other
        assert one[0] == other[0] == 3


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)
moments = st.datetimes(dt.datetime(1905, 1, 1), dt.datetime(2200, 1, 1))
zones = st.sampled_from(["", "Z", " UTC", "+02:00", " -0530"])
numbers = st.integers(-(10**12), 10**12).map(str)
decimals = st.decimals(-(10**9), 10**9, places=6).map("{:f}".format)
times = st.one_of(
    st.builds(lambda moment, zone: moment.isoformat(" ") + zone, moments, zones), numbers, decimals
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.lists(st.tuples(texts.filter(bool), st.none() | times), min_size=1, max_size=30))
def test_both_readers_and_all_formats_agree_on_any_ids_and_times(folder, rows):
    ids, moments = (list(column) for column in zip(*rows, strict=True))
    columns = {"product_id": ids, "event": ["view"] * len(rows), "ts": moments}
    pq.write_table(
        pa.table({**columns, "ts": pa.array(moments, pa.string())}), folder / "t.parquet"
    )
    wanted = by_arrow(folder / "t.parquet")

    assert [row[2] for row in wanted] == ids
    assert by_duckdb(folder / "t.parquet") == wanted
    for ending in (".csv", ".tsv", ".jsonl"):
        path = write(folder / f"t{ending}", columns)
        assert by_arrow(path) == by_duckdb(path) == wanted
