"""What Spark reads and refuses, and the session it runs in."""

import datetime as dt
import gzip
import sys
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import mining, tables
from cprtools.errors import DataError, MissingExtraError, SchemaError, UsageError
from cprtools.mining import spark_session as sessions
from cprtools.tables.spark import scan_spark

pytestmark = [pytest.mark.spark, pytest.mark.slow]

NOON = dt.datetime(2024, 5, 1, 12)
EPOCH = int(NOON.replace(tzinfo=dt.UTC).timestamp())
TIMES = [
    pa.array([EPOCH, 0, -5, None, EPOCH * 1000, EPOCH * 10**6, EPOCH * 10**9, 2 - 2**63]),
    *(pa.array([EPOCH], kind) for kind in (pa.int32(), pa.uint32(), pa.uint64())),
    pa.array([EPOCH]).dictionary_encode(),
    *(pa.array([NOON, None], pa.timestamp(unit)) for unit in ("s", "ms", "us")),
    pa.array([EPOCH * 10**9, -1, 1999], pa.timestamp("ns")),
    pa.array([EPOCH * 1000], pa.timestamp("ms", "Europe/Berlin")),
    pa.array([EPOCH * 10**9 + 999], pa.timestamp("ns", "America/New_York")),
    pa.array(["2024-05-01 12:00:00", "2024-05-01T12:00", "2024-05-01", " 2024-05-01 12:00 "]),
    pa.array(["2024-05-01T12:00:00.123456789", None], pa.large_string()),
    pa.array(["2024-05-01T12:00:00Z", "2024-05-01 14:00:00+02:00"], pa.string_view()),
    pa.array(["2024-05-01 14:00:00 +0200", "2024-05-01 04:00-08", "1905-02-03 04:05:06.7+14"]),
    pa.array(["2024-05-01 12:00:00 UTC"]).dictionary_encode(),
    pa.array(["20240501", str(EPOCH), f" {EPOCH}.25 ", "-1.5", f"{EPOCH}123", f"+{EPOCH}000000"]),
    *(pa.array([NOON.date(), dt.date(1582, 10, 4)], day) for day in (pa.date32(), pa.date64())),
    pa.array([EPOCH + 0.25, None, float("nan"), -1.5, EPOCH * 1e3, EPOCH * 1e6, EPOCH * 1e9]),
    pa.array([1.0e9, -2.5], pa.float32()),
    pa.nulls(2),
]
IDS = [
    pa.array(["a", "", None, "Ä\n"]),
    pa.array([7, None, -(2**63)]),
    pa.array([7, 2**64 - 1], pa.uint64()),
    pa.array([7.0, None, float("nan"), -0.0, 2.0**62, -(2.0**63)]),
    pa.array([7.0], pa.float32()),
    pa.array([7, None]).dictionary_encode(),
    pa.array(["a"]).dictionary_encode(),
    *(pa.array(["a"], kind) for kind in (pa.large_string(), pa.string_view())),
    pa.array([7, None, -(10**30)], pa.decimal128(38, 0)),
    pa.array([Decimal("7.00"), None], pa.decimal128(18, 2)),
    pa.array(["Ä7".encode(), b"", None], pa.binary()),
    pa.array([b"x"], pa.large_binary()),
    pa.nulls(1),
]


def rows_of(source, session):
    """The rows by DuckDB and by Spark, in an order of their own."""
    with duckdb.connect() as connection:
        by_duckdb = connection.execute(tables.scan_sql(source)).fetchall()
    frame = scan_spark(source, session)
    if "ts" in frame.columns:
        frame = frame.withColumn("ts", frame.ts.cast("timestamp_ntz"))
    return sorted(by_duckdb, key=str), sorted(map(tuple, frame.collect()), key=str)


def test_times_and_ids_of_every_type_are_read_as_duckdb_reads_them(spark_session, tmp_path):
    # one file each: a table of several files may mix them all
    for number, times in enumerate(TIMES):
        part = pa.table(
            {"product_id": ["p"] * len(times), "event": ["view"] * len(times), "ts": times}
        )
        pq.write_table(part, tmp_path / f"t{number}.parquet")
    for number, ids in enumerate(IDS):
        part = pa.table({"product_id": ids, "customer_id": ids, "event": ["view"] * len(ids)})
        pq.write_table(part, tmp_path / f"i{number}.parquet")
    by_duckdb, by_spark = rows_of(tables.open_table(str(tmp_path), tables.EVENTS), spark_session)
    assert by_spark == by_duckdb
    assert len(by_spark) == sum(map(len, [*TIMES, *IDS]))


def test_counts_of_every_type_are_read_as_duckdb_reads_them(spark_session, tmp_path):
    exact = [Decimal("5.00"), None]
    for values in ([1, None], [2.0, float("nan")], ["3", "+4.00"], [True, False], exact):
        part = {"query_id": ["q"] * 2, "candidate_id": ["c"] * 2, "relation": ["co_view"] * 2}
        pq.write_table(pa.table({**part, "count": values}), tmp_path / "lists.parquet")
        source = tables.open_table(str(tmp_path), tables.RELATIONS)
        by_duckdb, by_spark = rows_of(source, spark_session)
        assert by_spark == by_duckdb
    for values in ([Decimal("5.00"), Decimal("5.50")], [5.0, 5.5]):
        pq.write_table(pa.table({**part, "count": values}), tmp_path / "lists.parquet")
        source = tables.open_table(str(tmp_path), tables.RELATIONS)
        with pytest.raises(Exception, match=r'no number: "5\.5'):
            scan_spark(source, spark_session).collect()


def test_names_of_files_folders_and_columns_are_taken_as_they_are(spark_session, tmp_path):
    folder = tmp_path / "a [1] {b},%20*c?" / "date=2024-01-01"
    folder.mkdir(parents=True)
    # columns that Spark cannot read, or would confuse, beside the ones asked for
    table = pa.table(
        {
            "the `sku`.id": ["a"],
            "THE `SKU`.ID": ["b"],
            "event": ["view"],
            "half": pa.array([1.0], pa.float16()),
            "clock": pa.array([1], pa.time64("us")),
            "list": [[1]],
        }
    )
    pq.write_table(table, folder / "x[0-9].parquet")
    mapping = {"product_id": "the `sku`.id"}
    source = tables.open_table(str(folder.parent), tables.EVENTS, mapping)
    by_duckdb, by_spark = rows_of(source, spark_session)
    assert by_spark == by_duckdb == [(None, None, "a", "view", None)]


def test_csv_files_and_keys_of_folders_are_read_as_duckdb_reads_them(spark_session, tmp_path):
    rows = ['sku;kind;"who ""x""";extra', "a;view;7;", '"b;""c""\nd";purchase;"";x', " e ;;007;\\"]
    for day, line_end in (("2024-05-01", "\n"), ("2024-05-02", "\r\n"), ("a%20b'c", "\n")):
        folder = tmp_path / f"date={day}"
        folder.mkdir()
        # one of them with a mark of the byte order, as Windows writes it
        mark = b"\xef\xbb\xbf" if line_end == "\r\n" else b""
        (folder / "log.csv").write_bytes(mark + line_end.join(rows).encode())
        (folder / "log2.csv.gz").write_bytes(gzip.compress(b"sku,kind\nz,view\n"))
    mapping = {"product_id": "sku", "event": "kind", "customer_id": 'who "x"', "session_id": "date"}
    source = tables.open_table(str(tmp_path), tables.EVENTS, mapping)
    by_duckdb, by_spark = rows_of(source, spark_session)
    assert by_spark == by_duckdb
    assert len(by_spark) == 3 * (3 + 1)
    assert ("007", "a b'c", " e ", None, None) in by_spark


def test_text_that_spark_does_not_read_is_refused(mine_with_spark, spark_session, tmp_path):
    for name, content, error, told in (
        ("log.jsonl", b'{"product_id": "a", "event": "view"}', UsageError, "reads Parquet and CSV"),
        (
            "packed.csv",
            gzip.compress(b"product_id,event\na,view\n"),
            UsageError,
            "packed as .csv.gz",
        ),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=told):
            scan_spark(tables.open_table(str(tmp_path / name), tables.EVENTS), spark_session)
    broken = tmp_path / "broken.csv"
    broken.write_text("session_id,product_id,event\ns,a,view\ns,b\n")
    source = tables.open_table(str(broken), tables.EVENTS)
    with (
        pytest.raises(
            DataError, match=r"^broken\.csv: line 3: 2 fields where the first line has 3"
        ),
        mining.mine_pairs_on_spark(source),
    ):
        pass


def test_times_of_old_spark_files_are_read(spark_session, tmp_path):
    table = pa.table({"product_id": ["a"], "event": ["view"], "ts": [NOON]})
    pq.write_table(table, tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    source = tables.open_table(str(tmp_path), tables.EVENTS)
    by_duckdb, by_spark = rows_of(source, spark_session)
    assert by_spark == by_duckdb == [(None, None, "a", "view", NOON)]


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("ts", ["2024-01-01", "soon"], "column 'ts' must hold times.*'soon'"),
        ("ts", ["2024-01-01", "2024-13-01"], "column 'ts' must hold times.*'2024-13-01'"),
        ("ts", [True, False], "column 'ts' must hold times.*of another type"),
        ("ts", [1.5, float("inf")], "column 'ts' must hold times"),
        ("ts", [1.5, 2.0**63], "column 'ts' must hold times"),
        ("product_id", [Decimal("1.00"), Decimal("1.25")], "column 'product_id' must.*'1.25'"),
        ("product_id", [b"a", b"\xff"], "column 'product_id' must hold strings"),
        ("ts", [1, -(2**63)], "column 'ts' must hold times"),
        ("product_id", [1.0, 2.5], "column 'product_id' must hold strings.*'2.5'"),
        ("product_id", [1.0, 2.0**63], "column 'product_id' must hold strings"),
        ("product_id", [1.0, 1e300], "column 'product_id' must hold strings"),
        ("customer_id", [True, False], "column 'customer_id' holds bool; ids are strings"),
        ("event", [["view"], ["view"]], "column 'event' holds list.*engine spark does not read"),
    ],
)
def test_values_that_cannot_be_read_are_refused_by_name(mine_with_spark, column, values, told):
    good = {"customer_id": ["1", "1"], "product_id": ["a", "b"], "event": ["purchase"] * 2}
    with pytest.raises(SchemaError, match=told):
        mine_with_spark(pa.table({**good, column: values}))


def test_damaged_files_and_empty_tables_are_told_apart(mine_with_spark, spark_session, tmp_path):
    table = pa.table({"session_id": ["s"], "product_id": ["a"], "event": ["view"]})
    with pytest.raises(SchemaError, match=r"log\.parquet: the events table has no rows"):
        mine_with_spark(table.slice(0, 0))
    path = tmp_path / "damaged.parquet"
    pq.write_table(table, path)
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)
    source = tables.open_table(str(path), tables.EVENTS)
    with (
        pytest.raises(DataError, match=r"^damaged\.parquet: not a readable Parquet file"),
        mining.mine_pairs_on_spark(source),
    ):
        pass
    hidden = tmp_path / "_hidden.parquet"
    pq.write_table(table, hidden)
    with pytest.raises(DataError, match=r"Spark reads no file whose name begins with _ or \."):
        scan_spark(tables.open_table(str(hidden), tables.EVENTS), spark_session)


def test_ready_made_lists_are_counted_alike(mine, mine_with_spark):
    rows = [("q", "c", "also_bought", 2), ("q", "c", "also_bought", None), ("q", "q", "co_view", 1)]
    rows += [("q", "c", "bought_together", 1), ("c", "q", "bought_together", 4)]
    rows += [("q", "b", "also_view", 1), (None, "b", "also_view", 1), ("x", "b", "also_buy", 0)]
    rows += [("b", "q", "buy_after_viewing", 3), ("b", "q", "also_view", 3)]
    names = ("query_id", "candidate_id", "relation", "count")
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    for rules in ({}, {"min_count": 3}):
        found = mine_with_spark(table, tables.RELATIONS, **rules)
        assert found == mine(table, tables.RELATIONS, **rules)
        assert found[0]
    for bad, told in (("seen_with", "'seen_with'; allowed are"), (None, "relation null")):
        one = {"query_id": ["q"], "candidate_id": ["c"], "relation": pa.array([bad], pa.string())}
        with pytest.raises(SchemaError, match=told):
            mine_with_spark(pa.table(one), tables.RELATIONS)


def test_a_session_that_runs_already_is_left_as_it_was(spark_session, mine_with_spark):
    spark_session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        log = pa.table({"session_id": ["s"] * 2, "product_id": ["a", "b"], "event": ["view"] * 2})
        settings = {"spark.sql.shuffle.partitions": "3"}
        found, _ = mine_with_spark(log, cluster=mining.SparkCluster(settings=settings), min_count=1)
        assert [row["co_view"] for row in found] == [1, 1]
        assert spark_session.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
        assert spark_session.conf.get("spark.sql.shuffle.partitions") == "2"
        assert spark_session.catalog.listTables() == []
        assert not spark_session.sparkContext._jsc.getPersistentRDDs()
    finally:
        spark_session.conf.set("spark.sql.session.timeZone", "UTC")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"spark.sql.shuffle.partitions": "many"}, "'many'.*should be a/an 'int' value"),
        ({"spark.driver.memory": "9g"}, "spark.driver.memory: Spark runs already"),
    ],
)
def test_settings_that_spark_does_not_take_are_usage_errors(mine_with_spark, settings, told):
    log = pa.table({"session_id": ["s"], "product_id": ["a"], "event": ["view"]})
    with pytest.raises(UsageError, match=f"^--spark-conf.*{told}"):
        mine_with_spark(log, cluster=mining.SparkCluster(settings=settings))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shuffle", "settings of Spark begin with spark"),
        ("spark.master", "decided by cprtools"),
        ("spark.sql.session.timeZone", "decided by cprtools"),
    ],
)
def test_settings_that_are_no_settings_or_decide_rows_are_refused(name, told):
    with pytest.raises(UsageError, match=f"^--spark-conf .*{told}"):
        mining.SparkCluster(settings={name: "x"})


def test_settings_of_the_user_go_over_those_of_cprtools(tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"product_id": ["a"], "event": ["view"]}), path)
    source = tables.open_table(str(path), tables.EVENTS)
    own = {"spark.driver.memory": "3g", "spark.executor.cores": "7"}
    found = mining.SparkCluster(None, own, "4GiB", 3).configuration(source, tmp_path)
    assert found["spark.master"] == "local[3]"
    assert found["spark.driver.memory"] == "3g"
    assert found["spark.executor.cores"] == "7"
    assert found["spark.sql.session.timeZone"] == "UTC"
    found = mining.SparkCluster(None, {}, "4GiB", 3).configuration(source, tmp_path)
    assert found["spark.driver.memory"] == "4096m"
    elsewhere = mining.SparkCluster("spark://host:7077", {}, "1MB", 3)
    assert "spark.driver.memory" not in elsewhere.configuration(source, tmp_path)
    least = mining.SparkCluster(None, {}, "512MB").configuration(source, tmp_path)
    assert least["spark.driver.memory"] == "488m"
    with pytest.raises(UsageError, match="--memory-limit 1MB is too small: Spark needs"):
        mining.SparkCluster("local[2]", {}, "1MB").configuration(source, tmp_path)


def test_missing_pyspark_and_missing_java_are_missing_extras(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(MissingExtraError, match="needs Java 17 or newer: no java on PATH"):
        sessions._require_java()
    monkeypatch.setitem(sys.modules, "pyspark", None)
    source = tables.Source("log", [], tables.EVENTS)
    with (
        pytest.raises(MissingExtraError, match=r"needs PySpark: pip install 'cprtools\[spark\]'"),
        mining.mine_pairs_on_spark(source),
    ):
        pass
