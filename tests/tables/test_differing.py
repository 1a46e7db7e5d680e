"""The difference of two files or folders: what came, went, moved and changed."""

import json
import subprocess
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from cprtools import tables
from cprtools.errors import DataError, SchemaError


def write(path, table, **params):
    pq.write_table(table, path)
    opened = tables.open_table(str(path), tables.ANY)
    tables.write(tables.read_any(opened), str(path), tables.Footer("recommend", params, 1, []))


def recs(text):
    rows = []
    for line in filter(None, text.split(";")):
        query, products = line.split(":")
        rows += [
            {"query_id": query.strip(), "rank": rank, "product_id": product, "score": 1 / rank}
            for rank, product in enumerate(products.split(), 1)
        ]
    return pa.Table.from_pylist(rows)


@pytest.fixture
def differ(tmp_path):
    def compare(before, after, rows=10):
        write(tmp_path / "a.parquet", before, k=10, model="one")
        write(tmp_path / "b.parquet", after, k=10, model="two")
        return tables.differ(str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet"), rows)

    return compare


def test_two_lists_are_compared_by_what_came_went_and_moved(differ):
    found = differ(recs("x: a b c; y: a b; z: c"), recs("x: c b d; y: a b; w: a"))

    (table,) = found.tables
    assert table.key == ("query_id", "product_id")
    assert table.rows == (6, 6)
    # x keeps b at 2, moves c from 3 to 1, loses a and gains d; z goes and w comes
    assert (table.same, table.changed, table.came, table.went) == (3, 1, 2, 2)
    assert table.by_column == {"rank": 1, "score": 1}
    assert table.lists == {
        "in both": 2,
        "only before": 1,
        "only after": 1,
        "unchanged": 1,
        "same first": 1,
        "kept": pytest.approx(1 / 2 * (2 / 3 + 2 / 2)),
        "moved": 1,
    }
    assert table.examples["moved"] == [
        {"query_id": "x", "product_id": "c", "a.rank": 3, "b.rank": 1}
    ]
    assert [row["query_id"] for row in table.examples["came"]] == ["w", "x"]
    assert [row["query_id"] for row in table.examples["went"]] == ["x", "z"]


def test_footers_tell_which_options_and_inputs_differ(differ):
    found = differ(recs("x: a"), recs("x: a"))

    assert found.is_empty
    assert found.footers == {"params.model": ("one", "two")}
    assert "the same rows and columns" in tables.difference_text(found)


def test_columns_that_came_or_have_another_type_are_told_and_integer_ids_equal_their_text(differ):
    before = pa.table({"product_id": [1, 2], "price": [1.0, 2.0], "old": ["u", "v"]})
    after = pa.table({"product_id": ["1", "2"], "price": [1.0, 3.0], "new": ["u", "v"]})

    (table,) = differ(before, after).tables

    assert table.columns == {
        "product_id": ("BIGINT", "VARCHAR"),
        "old": ("VARCHAR", None),
        "new": (None, "VARCHAR"),
    }
    assert (table.same, table.changed) == (1, 1)
    assert table.examples["changed"] == [{"product_id": "2", "a.price": 2.0, "b.price": 3.0}]


rows = st.lists(
    st.tuples(st.sampled_from("uvw"), st.one_of(st.none(), st.integers(0, 2))), max_size=12
)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(before=rows, after=rows)
def test_rows_without_a_key_are_counted_as_often_as_they_occur(tmp_path_factory, before, after):
    folder = tmp_path_factory.mktemp("diff")
    for name, part in (("a", before), ("b", after)):
        columns = {"event": pa.array([r[0] for r in part], pa.string()),
                   "n": pa.array([r[1] for r in part], pa.int64())}  # fmt: skip
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")

    (table,) = tables.differ(str(folder / "a.parquet"), str(folder / "b.parquet")).tables

    counted = Counter(before), Counter(after)
    assert table.key == ()
    assert table.same == (counted[0] & counted[1]).total()
    assert table.went == (counted[0] - counted[1]).total()
    assert table.came == (counted[1] - counted[0]).total()


def test_a_text_file_is_compared_with_parquet_by_its_values(tmp_path):
    pq.write_table(pa.table({"product_id": ["a", "b"], "n": ["1", "2"]}), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("product_id,n\nb,2\na,3\n")

    (table,) = tables.differ(str(tmp_path / "a.parquet"), str(tmp_path / "b.csv")).tables

    assert (table.same, table.changed, table.came, table.went) == (1, 1, 0, 0)


def test_folders_are_compared_table_by_table(tmp_path):
    for name, ids in (("a", ["p", "q"]), ("b", ["p", "r"])):
        members = {"products": pa.table({"product_id": ids})}
        members[f"only_{name}"] = pa.table({"n": [1]})
        tables.write_folder(members, str(tmp_path / name), "sellers", tables.Footer("train"))

    found = tables.differ(str(tmp_path / "a"), str(tmp_path / "b"))

    assert found.only == (("only_a",), ("only_b",))
    (table,) = found.tables
    assert (table.name, table.same, table.came, table.went) == ("products", 1, 1, 1)
    assert "products: rows by product_id" in tables.difference_text(found)


@pytest.mark.parametrize("text", [("a",), ("b",), ("a", "b")])
def test_lists_in_csv_are_compared_as_those_in_parquet(tmp_path, text):
    order = "c b d e f g h i j k l m"
    lists = {"a": recs(f"x: {order}; y: a b"), "b": recs(f"x: m {order[:-2]}; y: a b; w: a")}
    found = []
    for endings in ({"a": "parquet", "b": "parquet"}, dict.fromkeys(text, "csv")):
        names = [str(tmp_path / f"{side}.{endings.get(side, 'parquet')}") for side in "ab"]
        for name, table in zip(names, lists.values(), strict=True):
            csv.write_csv(table, name) if name.endswith("csv") else pq.write_table(table, name)
        found.append(tables.differ(*names).tables[0])

    assert found[1].lists == found[0].lists
    assert found[1].examples["moved"] == found[0].examples["moved"]
    assert found[1].examples["moved"][0]["a.rank"] == 12


def test_a_rank_that_orders_no_list_is_a_column_as_any_other(differ):
    before = pa.table({"product_id": ["p", "q"], "rank": ["gold", "tin"]})
    after = pa.table({"product_id": ["p", "q"], "rank": ["gold", "zinc"]})
    (table,) = differ(before, after).tables
    assert table.examples["changed"] == [{"product_id": "q", "a.rank": "tin", "b.rank": "zinc"}]


def test_rows_of_folders_that_go_by_place_are_said_to_tell_little(tmp_path):
    keyed = pa.table({"product_id": ["p", "q"]})
    for name, places in (("one", [0, 1]), ("other", [1, 1]), ("same", [1, 0])):
        members = {"products": keyed, "pairs": pa.table({"query_idx": places})}
        tables.write_folder(members, str(tmp_path / name), "complements", tables.Footer("train"))

    def told(other):
        return tables.difference_text(tables.differ(str(tmp_path / "one"), str(tmp_path / other)))

    assert "to see what became of the answers, compare what both recommend" in told("other")
    assert "compare what both recommend" not in told("same")


def test_a_folder_and_a_table_are_not_compared(tmp_path):
    pq.write_table(pa.table({"n": [1]}), tmp_path / "t.parquet")
    members = {"products": pa.table({"product_id": ["p"]})}
    tables.write_folder(members, str(tmp_path / "m"), "sellers", tables.Footer("train"))

    with pytest.raises(SchemaError, match="a graph or model folder and a table"):
        tables.differ(str(tmp_path / "m"), str(tmp_path / "t.parquet"))


def test_a_damaged_file_is_named(tmp_path):
    table = pa.table({"n": list(range(100_000))})
    pq.write_table(table, tmp_path / "good.parquet")
    data = bytearray((tmp_path / "good.parquet").read_bytes())
    data[200:40_000] = b"\xff" * 39_800
    (tmp_path / "bad.parquet").write_bytes(data)

    with pytest.raises(DataError, match=r"bad\.parquet"):
        tables.differ(str(tmp_path / "good.parquet"), str(tmp_path / "bad.parquet"))


def test_a_file_whose_footer_is_damaged_is_named(tmp_path):
    pq.write_table(pa.table({"n": [1]}), tmp_path / "good.parquet")
    data = (tmp_path / "good.parquet").read_bytes()
    # Arrow's schema: DuckDB reads the rows without a look at it
    at = data.index(b"ARROW:schema") + 20
    (tmp_path / "bad.parquet").write_bytes(data[:at] + b"!!!!" + data[at + 4 :])

    with pytest.raises(DataError, match=r"bad\.parquet: not a readable Parquet file"):
        tables.differ(str(tmp_path / "good.parquet"), str(tmp_path / "bad.parquet"))


def test_text_cannot_steer_a_terminal_and_json_holds_the_same(differ):
    found = differ(recs("x: a"), recs("x: \x1b[31m"))

    assert "\x1b" not in tables.difference_text(found)
    told = json.loads(tables.difference_json(found))
    assert told["same"] is False
    assert told["tables"][0]["came"] == 1
    assert told["footers"]["params.model"] == ["one", "two"]


def test_tables_too_wide_for_the_memory_are_not_called_damaged(differ, monkeypatch):
    monkeypatch.setattr("cprtools.tables.differing._MEMORY", "20MB")
    wide = pa.table({"product_id": ["p"], **{f"c{i}": [0.5] for i in range(600)}})
    with pytest.raises(DataError, match=r"b\.parquet: too many columns, .* within 20MB of memory"):
        differ(wide, wide)


# the peak of a program by itself: what its parent held does not count
PEAK = """
import sys
from cprtools import tables
tables.differ(*sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_memory_grows_with_the_columns_and_not_with_their_square(tmp_path):
    places = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    for place, value in zip(places, (0.5, 1.5), strict=True):
        columns = {f"c{i}": [value] * 2048 for i in range(1000)}
        pq.write_table(pa.table({"product_id": [f"p{i}" for i in range(2048)], **columns}), place)

    done = subprocess.run([sys.executable, "-c", PEAK, *places], capture_output=True, check=True)
    # 0.35 GB; 0.8 where each count had a copy of all columns
    assert int(done.stdout) < 550_000
