"""What a task of Spark does, without Spark."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools import mining
from cprtools.mining import spark_tasks
from cprtools.mining.counting import Reach

SCHEMA = pa.schema(
    [
        ("customer", pa.string()),
        ("session", pa.string()),
        ("product", pa.int32()),
        ("is_purchase", pa.bool_()),
        ("t", pa.int64()),
    ]
)
PRODUCTS = 4
ROW = st.tuples(
    st.sampled_from("abcde"),
    st.sampled_from([None, "s", "t"]),
    st.integers(0, PRODUCTS - 1),
    st.booleans(),
    st.none() | st.integers(-5, 5).map(lambda day: day * 3 * 86_400_000_000),
)


def batches(rows, size):
    table = pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA
    )
    return table.to_batches(max_chunksize=size)


def added_up(rows, size):
    everything = np.ones(PRODUCTS, np.bool_)
    task = spark_tasks.Task(mining.Rules(max_session=2), Reach((1, 1, 1), everything, everything))
    found = pa.Table.from_batches(task(batches(rows, size)))
    sums = [(name, "sum") for name in found.column_names[3:]]
    return found.group_by(["kind", "low", "high"]).aggregate(sums).to_pylist()


def in_order(sums):
    return sorted(tuple(row.values()) for row in sums if any(list(row.values())[3:]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(ROW, min_size=1, max_size=60).map(lambda rows: sorted(rows, key=lambda r: r[0])))
def test_customers_taken_a_few_at_a_time_add_up_to_the_same(rows):
    together = in_order(added_up(rows, 100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spark_tasks, "EVENTS_TOGETHER", 3)
        patch.setattr(spark_tasks, "RECORDS_TOGETHER", 2)
        parted = in_order(added_up(rows, 4))
    assert parted == together


def test_a_table_for_the_kernel_never_parts_a_customer():
    rows = [(who, None, 0, True, None) for who in "abbbbbccd" for _ in range(2)]
    parts = list(spark_tasks._whole_customers(batches(rows, 3), 4))
    seen = [set(part.column("customer").to_pylist()) for part in parts]
    assert sum(part.num_rows for part in parts) == len(rows)
    assert sum(map(len, seen)) == len(set.union(*seen)) == 4
    assert len(parts) > 1
