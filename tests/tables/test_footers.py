import io
import json
import os
import random
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools import __version__, tables
from cprtools.cli import console


def digest(path):
    return tables.digest_rows(tables.open_table(str(path), tables.ANY))


def test_the_footer_says_what_a_file_was_made_from(parquet, tmp_path):
    source = tables.open_table(parquet({"product_id": ["a", "b"]}), tables.ANY)
    rows, value = tables.digest_rows(source)
    footer = tables.Footer("mine-pairs", {"min_count": 2, "b": None}, 7, [source])
    tables.write(pa.table({"n": [1]}), str(tmp_path / "out"), footer)

    found = tables.read_footer(str(tmp_path / "out"))

    assert set(found) == {"version", "format", "command", "params", "seed", "inputs"}
    assert found["format"] == "1"
    assert (found["version"], found["command"], found["seed"]) == (__version__, "mine-pairs", "7")
    assert found["params"] == '{"b": null, "min_count": 2}'
    assert json.loads(found["inputs"]) == [{"digest": value, "name": "t.parquet", "rows": rows}]
    assert rows == 2


def test_a_report_beside_the_file_says_the_same_and_reads_the_inputs_once(parquet, monkeypatch):
    from cprtools.tables import provenance

    source = tables.open_table(parquet({"product_id": ["a", "b"]}), tables.ANY)
    reads, digest_rows = [], tables.digest_rows
    monkeypatch.setattr(provenance, "digest_rows", lambda s: reads.append(s) or digest_rows(s))
    footer = tables.Footer("mine-pairs", {"min_count": 2, "at": date(2024, 1, 1)}, 7, [source])
    facts = footer.as_dict()
    written = {key.decode()[9:]: value.decode() for key, value in footer.metadata().items()}

    assert len(reads) == 1
    assert json.loads(written["inputs"]) == facts["inputs"]
    assert json.loads(written["params"]) == facts["params"] == {"min_count": 2, "at": "2024-01-01"}
    assert json.loads(json.dumps(facts)) == facts


def test_options_that_decide_no_row_can_be_left_out_of_a_footer():
    console.begin("mine-pairs", {"products": "p.parquet", "window": "7d"})

    assert console.footer(without=["products"]).params == {"window": "7d"}


def test_no_file_holds_an_absolute_path(parquet, tmp_path):
    source = tables.open_table(parquet({"product_id": ["a"]}), tables.ANY)
    members = {"nodes": pa.table({"n": [1]})}
    tables.write_folder(members, str(tmp_path / "graph"), "graph", tables.Footer(inputs=[source]))
    folder = tables.open_folder(str(tmp_path / "graph"), ("graph",))
    console.begin("train-cpr", {"products": str(tmp_path / "p.parquet"), "output": "o", "seed": 3})
    tables.write(pa.table({"n": [1]}), str(tmp_path / "out"), console.footer(source, folder, None))

    for path in (tmp_path / "out", tmp_path / "graph" / "nodes.parquet"):
        assert os.fsencode(tmp_path) not in path.read_bytes()
    found = tables.read_footer(str(tmp_path / "out"))
    assert (found["seed"], found["params"]) == ("3", '{"products": "p.parquet"}')
    assert [i["name"] for i in json.loads(found["inputs"])] == ["t.parquet", "graph"]


def test_the_same_rows_and_footer_are_the_same_bytes(tmp_path):
    table = pa.table({"a": ["x", None], "l": [[1.5], []]})
    for name in ("one", "two"):
        tables.write(table, str(tmp_path / name), tables.Footer("c", {"z": 1, "a": 2}, 1))
        tables.write_folder({"t": table}, str(tmp_path / f"{name}.d"), "graph", tables.Footer("c"))

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    for member in ("t.parquet", "manifest.parquet"):
        first, second = (tmp_path / f"{name}.d" / member for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()


def test_the_footer_takes_the_place_of_what_the_table_carried(tmp_path):
    old = pa.table({"a": [1]}).replace_schema_metadata({"pandas": "{}", "cprtools.seed": "9"})
    tables.write(old, str(tmp_path / "t"), tables.Footer())

    assert tables.read_footer(str(tmp_path / "t"))["seed"] == "0"
    assert b"pandas" not in pq.read_schema(tmp_path / "t").metadata


def test_a_foreign_file_has_no_footer(parquet):
    assert tables.read_footer(parquet({"a": [1]})) == {}


rows = st.lists(
    st.tuples(
        st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3),
        st.none() | st.integers(-3, 3),
        st.none() | st.floats(width=32, allow_subnormal=False),
        st.none() | st.lists(st.none() | st.integers(0, 2), max_size=2),
    ),
    min_size=1,
    max_size=12,
)
SCHEMA = pa.schema(
    [("s", pa.string()), ("i", pa.int64()), ("f", pa.float32()), ("l", pa.list_(pa.int64()))]
)


def as_table(drawn):
    columns = zip(*drawn, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("digests")


@settings(deadline=None, max_examples=40, derandomize=True)
@given(rows, st.randoms(use_true_random=False), st.integers(0, 12))
def test_the_digest_ignores_the_order_of_rows_and_the_layout_of_files(place, drawn, chance, cut):
    for old in place.rglob("*.parquet"):
        old.unlink()
    (place / "d").mkdir(exist_ok=True)
    pq.write_table(as_table(drawn), place / "t.parquet")
    shuffled = list(drawn)
    chance.shuffle(shuffled)
    for number, part in enumerate((shuffled[:cut], shuffled[cut:])):
        if part:
            small = {"row_group_size": 2, "use_dictionary": number == 0, "compression": "gzip"}
            pq.write_table(as_table(part), place / "d" / f"{number}.parquet", **small)

    assert digest(place / "t.parquet") == digest(place / "d")


@pytest.mark.parametrize(
    ("column", "value"), [("s", "B"), ("s", None), ("i", 8), ("f", 2.25), ("l", [2, 1]), ("l", [1])]
)
def test_one_value_changes_the_digest(tmp_path, column, value):
    drawn = {"s": ["a", "b"], "i": [1, 2], "f": [0.5, 1.5], "l": [[1, 2], [1, 2]]}
    pq.write_table(pa.table(drawn), tmp_path / "one.parquet")
    drawn[column] = [drawn[column][0], value]
    pq.write_table(pa.table(drawn), tmp_path / "two.parquet")

    assert digest(tmp_path / "one.parquet")[1] != digest(tmp_path / "two.parquet")[1]


def test_a_row_more_and_two_values_that_change_places_change_the_digest(tmp_path):
    digests = set()
    for number, (a, b) in enumerate([("x", "y"), ("y", "x")]):
        for count in (1, 2, 3):
            table = pa.table({"a": [a] * count, "b": [b] * count})
            pq.write_table(table, tmp_path / f"{number}{count}.parquet")
            digests.add(digest(tmp_path / f"{number}{count}.parquet")[1])

    assert len(digests) == 6


def test_files_that_disagree_on_a_type_have_a_digest_all_the_same(tmp_path):
    pq.write_table(pa.table({"ts": [1]}), tmp_path / "1.parquet")
    moment = pa.array([1], pa.timestamp("us"))
    pq.write_table(pa.table({"ts": moment}), tmp_path / "2.parquet")

    assert digest(tmp_path)[0] == 2


def test_the_digest_of_a_shuffled_large_table_stays(tmp_path):
    numbers = list(range(5000))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"n": numbers}), tmp_path / "t.parquet")
    random.Random(1).shuffle(numbers)
    pq.write_table(pa.table({"n": numbers}), buffer, row_group_size=700)
    (tmp_path / "u.parquet").write_bytes(buffer.getvalue())

    assert digest(tmp_path / "t.parquet") == digest(tmp_path / "u.parquet")
