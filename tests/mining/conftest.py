import os
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import mining, tables

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
