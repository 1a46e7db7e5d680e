import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.errors import DataError, SchemaError
from cprtools.tables import Field

ID = Field("product_id", pa.string())
PRICE = Field("price", pa.float64())


def cast(values, field):
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return tables.cast_column(pa.chunked_array([column]), field, "t", "x").to_pylist()


def read(path, spec, mapping=None, **options):
    return tables.read(tables.open_table(str(path), spec, mapping), **options)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (pa.array([17850, 2], pa.uint64()), ["17850", "2"]),
        (pa.array([-1], pa.int8()), ["-1"]),
        (pa.array([17850.0, 2.0], pa.float32()), ["17850", "2"]),
        (pa.array([3.0], pa.float16()), ["3"]),
        (pa.array([5, 5]).dictionary_encode(), ["5", "5"]),
        (pa.array(["00", "é"]).dictionary_encode(), ["00", "é"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
    ],
)
def test_ids_become_strings(stored, expected):
    assert cast(stored, ID) == expected


def test_an_integer_id_with_gaps_comes_back_from_floats_with_its_gaps():
    optional = Field("customer_id", pa.string(), required=False)

    assert cast([17850.0, None, float("nan")], optional) == ["17850", None, None]


@pytest.mark.parametrize(
    "stored",
    [
        [1.5],
        [1e300],
        [float("inf")],
        [True],
        [b"\xff"],
        [["a"]],
        [dt.date(2024, 1, 1)],
        [decimal.Decimal("1.25")],
    ],
)
def test_what_is_no_id_is_refused(stored):
    with pytest.raises(SchemaError, match=r"column 'x' holds .*; ids are strings or whole numbers"):
        cast(stored, ID)


def test_a_decimal_price_is_the_nearest_number():
    prices = [decimal.Decimal(cents).scaleb(-2) for cents in range(0, 10_000, 7)]
    stored = pa.array([*prices, None], pa.decimal128(10, 2))
    field = Field("price", pa.float64(), required=False)
    assert cast(stored, field) == [*map(float, prices), None]


def test_null_ids_are_refused_where_required():
    with pytest.raises(SchemaError, match="1 of 2 rows have no x"):
        cast(["a", None], ID)
    assert cast(pa.nulls(1), Field("customer_id", pa.string(), required=False)) == [None]


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("9.49", 9.49),
        ("$9.49", 9.49),
        ("$1,299.00", 1299.0),
        ("1234.5 EUR", 1234.5),
        ("Rs.500", 500.0),
        ("Rs. 1,200.00", 1200.0),
        ("kr.12.50", 12.5),
        ("S/.9", 9.0),
        ("$.99", 0.99),
        (".5", 0.5),
        ("-5", -5.0),
        ("1e-05", 1e-05),
        ("", None),
        ("free", None),
        (None, None),
        ("$10 - $20", None),
        ("9,49", 9.49),
        ("9,5 EUR", 9.5),
        ("1299,00 zł", 1299.0),
        ("€ 1.299,00", 1299.0),
        ("1 299 000,00 kr", 1299000.0),
        ("1\u202f299,00 €", 1299.0),
        ("9,495,0", None),
        ("9,49,50", None),
        ("3 9,49", None),
        ("10,20 - 30,40", None),
        ("1.2.3", None),
    ],
)
def test_a_price_as_text_is_one_number_or_missing(text, price):
    for kind in (pa.string(), pa.large_string()):
        assert cast(pa.array([text], kind), PRICE) == [price]


def test_values_of_another_type_are_refused_by_name():
    with pytest.raises(SchemaError, match="column 'x' holds string; it must be readable as int64"):
        cast(["many"], Field("views", pa.int64()))


def test_a_missing_column_is_answered_with_the_columns_there_are(parquet):
    path = parquet({"StockCode": ["a"], "Qu\nty": [1]})
    said = (
        r"^t\.parquet: no column 'product_id' for the products table; found StockCode, 'Qu\\nty'; "
        r"--columns product_id=NAME maps another name$"
    )
    with pytest.raises(SchemaError, match=said):
        read(path, tables.PRODUCTS)
    with pytest.raises(SchemaError, match="no column 'Stock'"):
        read(path, tables.PRODUCTS, {"product_id": "Stock"})


def test_all_missing_columns_are_named_at_once(parquet):
    said = (
        r"^t\.parquet: no columns 'product_id', 'What' for the events table; "
        r"found item, customer_id; --columns product_id=NAME maps another name$"
    )
    with pytest.raises(SchemaError, match=said):
        path = parquet({"item": ["a"], "customer_id": ["c"]})
        read(path, tables.EVENTS, {"event": "What"})


@pytest.mark.parametrize(
    "name",
    ["Stock Code", "it's", '"', 'a"; DROP TABLE x; --', "line\nbreak", "a.b", "*", "select", "é"],
)
def test_a_column_may_have_any_name_for_both_readers(parquet, name):
    import duckdb

    path = parquet({name: ["p"], "product": ["other"]})
    source = tables.open_table(path, tables.HIGH_DEMAND, {"product_id": name})

    assert tables.read(source).column("product_id").to_pylist() == ["p"]
    assert tables.read(source, only=["product_id"]).to_pylist() == [{"product_id": "p"}]
    assert duckdb.connect().execute(tables.scan_sql(source)).fetchall() == [("p",)]


def test_two_columns_may_change_names_with_each_other(parquet):
    path = parquet({"seller_id": ["p"], "product_id": ["s"]})
    swap = {"seller_id": "product_id", "product_id": "seller_id"}

    assert read(path, tables.LISTINGS, swap).to_pylist() == [{"seller_id": "s", "product_id": "p"}]


def test_further_columns_follow_unless_only_some_are_wanted(parquet):
    path = parquet({"product_id": ["a"], "title": ["t"], "colour": ["red"], "price": ["$1"]})

    assert read(path, tables.PRODUCTS).to_pylist() == [
        {"product_id": "a", "title": "t", "price": 1.0, "colour": "red"}
    ]
    assert read(path, tables.PRODUCTS, only=["product_id", "price"]).column_names == [
        "product_id",
        "price",
    ]
    # under our name it is no further column under its own
    mapped = read(path, tables.PRODUCTS, {"brand": "colour"}).to_pylist()
    assert mapped == [{"product_id": "a", "title": "t", "price": 1.0, "brand": "red"}]


def test_an_empty_table_is_refused_unless_allowed(parquet):
    path = parquet({"product_id": pa.array([], pa.string())})

    with pytest.raises(SchemaError, match="the high demand table has no rows"):
        read(path, tables.HIGH_DEMAND)
    with pytest.raises(SchemaError, match="the table has no rows"):
        tables.read_any(tables.open_table(path, tables.ANY))
    assert read(path, tables.HIGH_DEMAND, allow_empty=True).num_rows == 0


def test_exact_duplicates_are_dropped_and_the_first_rows_stay_in_order(parquet):
    rows = {
        "product_id": ["b", "a", "b", "c", "a", "b"],
        "category": [["x", "y"], None, ["x", "y"], [], None, ["x", "y"]],
        "title": [None, "A", None, "C", "A", None],
        "price": [float("nan"), 1.0, float("nan"), None, 1.0, float("nan")],
        "colour": pa.array(["r", "g", "r", "b", "g", "r"]).dictionary_encode(),
        "brand": pa.array(["v"] * 6, pa.string_view()),
    }

    found = read(parquet(rows), tables.PRODUCTS)

    assert found.column("product_id").to_pylist() == ["b", "a", "c"]
    assert found.column("category").to_pylist() == [["x", "y"], None, []]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("title", ["one", "two"]),
        ("title", ["one", None]),
        ("category", [["x"], ["y"]]),
        ("category", [["x"], None]),
        ("extra", [1, 2]),
        ("extra", [{"a": 1}, {"a": 2}]),
        ("price", [1.0, float("nan")]),
    ],
)
def test_rows_of_one_id_that_differ_are_a_conflict(parquet, column, values):
    same = {"product_id": ["ok", "dup", "dup"], column: pa.array([values[0], *values])}

    with pytest.raises(SchemaError, match=f"1 ids .* differ in '{column}', such as .*'dup'; keep"):
        read(parquet(same), tables.PRODUCTS)


def test_two_vectors_of_one_product_are_a_conflict(parquet):
    ids, same = pa.array(["a", "b", "a"]), np.ones((3, 2))
    assert read(parquet(tables.vectors_table(ids, same)), tables.VECTORS).num_rows == 2

    same[2] = 5
    with pytest.raises(SchemaError, match="differ in 'vector'"):
        read(parquet(tables.vectors_table(ids, same)), tables.VECTORS)


def test_null_parts_of_a_key_are_compared_too(parquet):
    columns = {
        "node_type": pa.array([None, None], pa.string()),
        "node_id": ["a", "a"],
        "is_high_demand": [True, False],
        "views": [1, 1],
        "category": ["c", "c"],
    }
    with pytest.raises(SchemaError, match="differ in 'is_high_demand'"):
        read(parquet(columns), tables.NODES)


def test_files_may_differ_in_types_and_in_the_order_of_columns(parquet, tmp_path):
    moment = dt.datetime(2024, 1, 1)
    views = pa.array([1, 2], pa.int32())
    parquet({"product_id": [1, 2], "views": views, "ts": [1704067200, None]}, "d/1.parquet")
    parquet({"views": [3], "product_id": ["x"], "ts": [moment]}, "d/2.parquet")
    coded = pa.array(["y"]).dictionary_encode()
    parquet({"product_id": coded, "views": [4.0], "ts": ["2024-01-01T02:00+02:00"]}, "d/3.parquet")
    parquet({"views": pa.array([5], pa.uint8()), "product_id": [7.0]}, "d/4.parquet")

    found = read(tmp_path / "d", tables.PAGE_VIEWS)

    assert found.column("product_id").to_pylist() == ["1", "2", "x", "y", "7"]
    assert found.column("views").to_pylist() == [1, 2, 3, 4, 5]
    assert found.column("ts").to_pylist() == [moment, None, moment, moment, None]


def test_an_id_column_that_one_of_the_files_lacks_is_null_there(parquet, tmp_path):
    parquet({"seller_id": ["s"], "product_id": ["a"]}, "d/1.parquet")
    parquet({"product_id": ["b"]}, "d/2.parquet")

    with pytest.raises(SchemaError, match="1 of 2 rows have no seller_id"):
        read(tmp_path / "d", tables.LISTINGS)


def test_any_table_may_store_its_strings_and_ids_in_several_ways(parquet, tmp_path):
    text = pa.array(["x"])
    columns = [
        ("1", pa.array(["a"]), text),
        ("2", pa.array(["b"]).dictionary_encode(), text.dictionary_encode()),
        ("3", pa.array(["c"], pa.large_string()), text.cast(pa.large_string())),
        ("4", pa.array([7]), text.cast(pa.string_view())),
    ]
    for name, ids, extra in columns:
        parquet({"seller_id": ids, "extra": extra}, f"d/{name}.parquet")

    rows = tables.read_any(tables.open_table(str(tmp_path / "d"), tables.ANY))
    assert rows.to_pydict() == {"seller_id": ["a", "b", "c", "7"], "extra": ["x"] * 4}


def test_files_that_disagree_on_a_foreign_column_are_refused(parquet, tmp_path):
    parquet({"product_id": ["a"], "extra": ["x"]}, "d/1.parquet")
    parquet({"product_id": ["b"], "extra": [1]}, "d/2.parquet")

    said = "disagree on the type of a column: 'extra' holds int64 and string"
    with pytest.raises(SchemaError, match=said):
        read(tmp_path / "d", tables.PRODUCTS)
    assert read(tmp_path / "d", tables.PRODUCTS, only=["product_id"]).num_rows == 2


@pytest.mark.parametrize("read", [tables.read, tables.digest_rows, lambda s: s.column_names()])
def test_a_column_whose_name_is_no_text_is_a_damaged_file(tmp_path, read):
    pq.write_table(pa.table({"product_id": ["a"], "extra_column": [1]}), tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(data.replace(b"extra_column", b"extra_\xea\xffumn"))

    with pytest.raises(DataError, match="not a readable Parquet file"):
        read(tables.open_table(str(tmp_path / "t.parquet"), tables.PRODUCT_LIST))
