import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import mining, tables
from cprtools.mining.spark_session import open_session

START = datetime(2024, 1, 1)
EVENTS_SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("session_id", pa.string()),
        ("product_id", pa.string()),
        ("event", pa.string()),
        ("ts", pa.timestamp("us")),
    ]
)


@pytest.fixture
def at():
    """Seconds (or a timedelta's parts) after the start of the log."""
    return lambda seconds=0, **parts: START + timedelta(seconds=seconds, **parts)


@pytest.fixture
def events_table():
    """Tuples (customer, session, product, event, ts) as an Arrow table."""

    def build(rows):
        columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
        arrays = [pa.array(c, f.type) for c, f in zip(columns, EVENTS_SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=EVENTS_SCHEMA)

    return build


@pytest.fixture
def mine(tmp_path):
    """Mine an Arrow table; returns (rows as dicts, report)."""

    def run(table, spec=tables.EVENTS, mapping=None, threads=1, **rules):
        path = tmp_path / "log.parquet"
        pq.write_table(table, path)
        source = tables.open_table(str(path), spec, mapping)
        with mining.mine_pairs(source, mining.Rules(**rules), threads=threads) as mined:
            result = mined.pairs.read_all()
        assert result.schema == tables.PAIRS.schema
        return result.to_pylist(), mined.report

    return run


# queries over a handful of rows: what speeds up large ones only costs time
QUICK = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="session")
def spark_session(tmp_path_factory):
    """The one Spark session of a test process: it takes longer to start than a test takes."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("no Java here")
    path = tmp_path_factory.mktemp("spark") / "log.parquet"
    pq.write_table(pa.table({"product_id": ["a"], "event": ["view"]}), path)
    source = tables.open_table(str(path), tables.EVENTS)
    with open_session(mining.SparkCluster("local[1]", QUICK), source) as session:
        yield session


@pytest.fixture
def mine_with_spark(spark_session, tmp_path):
    """As the fixture `mine`, with Spark."""

    def run(table, spec=tables.EVENTS, mapping=None, cluster=None, **rules):
        path = tmp_path / "log.parquet"
        pq.write_table(table, path)
        source = tables.open_table(str(path), spec, mapping)
        with mining.mine_pairs_on_spark(source, mining.Rules(**rules), cluster=cluster) as mined:
            result = mined.pairs.read_all()
        assert result.schema == tables.PAIRS.schema
        return result.to_pylist(), mined.report

    return run


@pytest.fixture
def real_data():
    """A file of the shared real data, or the test is skipped."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    root = Path(os.environ.get("CPRTOOLS_DATA", beside))

    def find(name):
        if not (root / name).exists():
            pytest.skip(f"no {name} here")
        return str(root / name)

    return find
