"""cprtools inspect, run as users run it, and the trace back to the raw inputs."""

import io
import json
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from tests import forking
from tests.cli.commands import refused


def cprtools(*words, cwd, **options):
    return forking.run(words, cwd, **options)


def inspect(*words, cwd, **options):
    done = cprtools("inspect", *words, cwd=cwd, **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout.decode()


SPLIT = ("--test-out", "held.parquet", "--by", "seller_id", "-q")


def look(place, *, trace=False, search=(), rows=0):
    """What the command prints, without the start of a process."""
    found = tables.inspect_place(str(place), rows)
    return tables.as_text(found, tables.trace(str(place), found.footer, search) if trace else None)


def make(source, target, rows):
    """The first rows of a table as a file of ours."""
    opened = tables.open_table(source, tables.ANY)
    footer = tables.Footer("split", {"fraction": 0.2}, 0, [opened])
    tables.write(tables.read_any(opened).slice(0, rows), target, footer)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A raw table, a part of it, and a part of that; the current folder holds them."""
    monkeypatch.chdir(tmp_path)
    table = pa.table({"seller_id": ["s"] * 20, "product_id": [f"p{i}" for i in range(20)]})
    pq.write_table(table, "raw.parquet")
    make("raw.parquet", "one.parquet", 16)
    make("one.parquet", "two.parquet", 13)
    return tmp_path


def test_rows_size_columns_and_the_footer_are_shown(place):
    shown = inspect("one.parquet", "--rows", 2, cwd=place).splitlines()

    assert shown[0].startswith("one.parquet: 16 rows, ")
    assert shown[1:8] == [
        "", "columns", "  seller_id   string", "  product_id  string",
        "", "first rows", "  seller_id  product_id",
    ]  # fmt: skip
    assert "made by cprtools" in "\n".join(shown) and "  fraction  0.2" in shown
    assert shown[-1].startswith("  raw.parquet  20 rows, digest ")


def test_a_foreign_file_is_said_to_be_none_of_ours(place):
    shown = look("raw.parquet", trace=True)

    assert "no cprtools footer" in shown
    assert shown.endswith("trace\n  a raw input\n")


def test_the_trace_leads_back_to_the_raw_input(place):
    shown = look("two.parquet", trace=True)

    assert shown.endswith(
        "trace\n"
        "  one.parquet: found, 16 rows, made by split\n"
        "    raw.parquet: found, 20 rows, a raw input\n"
    )


def test_the_trace_says_what_changed_and_what_is_missing(place):
    pq.write_table(pa.table({"other": list(range(16))}), place / "one.parquet")
    assert look("two.parquet", trace=True).endswith(
        "trace\n  one.parquet: changed since; one.parquet holds other rows than the 16 read\n"
    )

    (place / "one.parquet").unlink()
    assert look("two.parquet", trace=True).endswith(
        "trace\n  one.parquet: not found, 16 rows were read\n"
    )


def test_rows_in_another_order_or_layout_are_still_the_input(place):
    table = pq.read_table(place / "raw.parquet")
    pq.write_table(table.take(list(range(20))[::-1]), place / "raw.parquet", row_group_size=3)

    assert "raw.parquet: found, 20 rows" in look("one.parquet", trace=True)


def test_inputs_are_looked_for_beside_the_file_and_where_asked(
    place, tmp_path_factory, monkeypatch
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    archive = tmp_path_factory.mktemp("archive")
    monkeypatch.chdir(elsewhere)
    beside = look(place / "one.parquet", trace=True)
    assert "raw.parquet: found as " in beside

    monkeypatch.chdir(place)
    shutil.move(place / "raw.parquet", archive / "raw.parquet")
    assert "raw.parquet: not found" in look("one.parquet", trace=True)
    searched = look("one.parquet", trace=True, search=[str(archive)])
    assert "raw.parquet: found as " in searched


def test_what_came_through_a_pipe_is_traced_beyond_the_pipe(place):
    first = cprtools("split", "raw.parquet", *SPLIT, cwd=place)
    cprtools("split", "-", "-o", "two.parquet", *SPLIT, cwd=place, input=first.stdout)
    (place / "one.parquet").unlink()

    assert look("two.parquet", trace=True).endswith(
        "trace\n"
        "  standard input: not found, 16 rows were read, made by split\n"
        "    raw.parquet: found, 20 rows, a raw input\n"
    )

    (place / "kept.parquet").write_bytes(first.stdout)
    assert "standard input: found as kept.parquet, 16 rows, made by split" in look(
        "two.parquet", trace=True
    )


def test_a_file_written_over_its_own_input_does_not_trace_for_ever(place):
    make("raw.parquet", "raw.parquet", 20)

    lines = look("raw.parquet", trace=True).splitlines()

    assert [line for line in lines if "found" in line] == [
        "  raw.parquet: found, 20 rows, made by split",
        "    raw.parquet: found, 20 rows, made by split",
    ]


def test_json_is_one_object_with_the_same_facts(place):
    found = json.loads(
        inspect("two.parquet", "--format", "json", "--trace", "--rows", 1, cwd=place)
    )

    assert (found["kind"], found["rows"], found["footer"]["command"]) == ("table", 13, "split")
    assert found["tables"][0]["columns"] == {"seller_id": "string", "product_id": "string"}
    assert found["tables"][0]["first"][0]["seller_id"] == "s"
    (one,) = found["trace"]
    assert (one["status"], one["inputs"][0]["status"]) == ("found", "found")


def test_a_graph_or_model_folder_shows_its_manifest(place):
    source = tables.open_table("raw.parquet", tables.ANY)
    members = {"products": pa.table({"id": ["a", "b"]}), "weights": pa.table({"w": [0.5]})}
    tables.write_folder(
        members, "cpr.model", "complements",
        tables.Footer("train-cpr", {"epochs": 3}, 7, [source]), {"method": "popularity"},
    )  # fmt: skip

    shown = look("cpr.model", trace=True, rows=1)

    assert shown.startswith("cpr.model: complements, 3 rows, ")
    for part in (
        "facts\n  method  popularity\n",
        "products: 2 rows\n  id  string\n",
        "weights: 1 rows\n  w  double\n",
        "made by cprtools 0.1.0 train-cpr\n  epochs  3\n  seed    7\n",
        "trace\n  raw.parquet: found, 20 rows, a raw input\n",
    ):
        assert part in shown, shown


def test_a_damaged_model_folder_is_an_error(tmp_path):
    members = {"products": pa.table({"id": ["a", "b"]})}
    tables.write_folder(members, str(tmp_path / "m"), "sellers", tables.Footer())
    (tmp_path / "m" / "products.parquet").unlink()

    refused(cprtools("inspect", "m", cwd=tmp_path), 4, "products.parquet is missing")


def test_standard_input_may_be_a_table_or_a_folder(place):
    members = {"products": pa.table({"id": ["a", "b"]})}
    tables.write_folder(members, str(place / "m"), "graph", tables.Footer())
    names = ["manifest.parquet", "products.parquet"]
    tar = subprocess.run(
        ["tar", "-c", "-C", "m", *names], cwd=place, capture_output=True, check=True
    )

    table = inspect("-", cwd=place, input=(place / "one.parquet").read_bytes())
    folder = inspect("-", cwd=place, input=tar.stdout)

    assert table.startswith("standard input: 16 rows, ")
    assert folder.startswith("standard input: graph, 2 rows, ")


def test_nothing_in_a_file_can_steer_the_terminal(tmp_path):
    evil = "\x1b[2Jx\u202e\r\n\x07"
    table = pa.table({evil: [evil]})
    footer = tables.Footer(evil, {evil: evil}, 0, [])
    tables.write(table, str(tmp_path / "t.parquet"), footer)

    for words in (("--trace",), ("--format", "json")):
        shown = inspect("t.parquet", "--rows", 1, *words, cwd=tmp_path)
        assert all(ch.isprintable() or ch == "\n" for ch in shown)


def test_a_damaged_footer_is_shown_as_far_as_it_goes(tmp_path):
    metadata = {
        b"cprtools.version": b"0.1.0",
        b"cprtools.params": b"{nonsense",
        b"cprtools.inputs": b'[1, {"name": 5}, {"name": "a", "rows": 1, "digest": "d"}]',
    }
    table = pa.table({"a": [1]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "t.parquet")

    shown = look(tmp_path / "t.parquet", trace=True)

    assert "made by cprtools 0.1.0" in shown
    assert "  a: not found, 1 rows were read" in shown


def test_odd_values_are_shown_and_stay_json(tmp_path):
    table = pa.table(
        {
            "f": [float("nan")],
            "b": [b"\x00\xff"],
            "l": [[1.5, None]],
            "t": pa.array([0], pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")

    found = json.loads(inspect("t.parquet", "--rows", 5, "--format", "json", cwd=tmp_path))

    assert found["tables"][0]["first"] == [
        {"f": None, "b": "00ff", "l": [1.5, None], "t": "1970-01-01T00:00:00"}
    ]
    assert "[1.5, null]" in look(tmp_path / "t.parquet", rows=5)


def test_files_that_disagree_on_types_are_told(tmp_path):
    for day, prices in (("1", [1.5]), ("2", ["x"]), ("3", ["y"])):
        (tmp_path / "days").mkdir(exist_ok=True)
        table = pa.table({"product_id": ["a"], "price": prices})
        pq.write_table(table, tmp_path / "days" / f"{day}.parquet")
    shown = inspect("days", cwd=tmp_path).splitlines()
    told = [line for line in shown if "disagree" in line]

    assert told == [
        "  the files disagree on types, those of the first one are shown: "
        "price is double in 1, string in 2"
    ]
    assert shown[shown.index(told[0]) - 1].split() == ["price", "double"]
    table = json.loads(inspect("days", "--format", "json", cwd=tmp_path))["tables"][0]
    assert table["differing"] == {"price": {"double": 1, "string": 2}}
    (tmp_path / "days" / "1.parquet").unlink()
    assert "disagree" not in inspect("days", cwd=tmp_path)


def test_an_empty_table_is_no_error(tmp_path):
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "t.parquet")

    assert "t.parquet: 0 rows, " in look(tmp_path / "t.parquet", rows=3)


@pytest.mark.parametrize(
    ("name", "words", "code", "message"),
    [
        ("none", (), 4, "none: no such file or folder"),
        ("empty", (), 4, "empty: the folder holds no tables"),
        ("text", (), 4, "text: not a readable Parquet file"),
        ("text", ("--format", "csv"), 2, "--format must be one of table, json, got 'csv'"),
    ],
)
def test_bad_places_and_options_are_refused_in_one_line(tmp_path, name, words, code, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("a,b\n")

    refused(cprtools("inspect", name, *words, cwd=tmp_path), code, message)


def test_an_empty_pipe_is_an_error(tmp_path):
    refused(cprtools("inspect", "-", cwd=tmp_path, input=b""), 4, "standard input: empty")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_quiet(tmp_path, unbuffered):
    rows = [{"n": f"{i:040}"} for i in range(3000)]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    (tmp_path / "t.parquet").write_bytes(buffer.getvalue())
    line = (
        f"PYTHONUNBUFFERED={unbuffered} {sys.executable} -m cprtools inspect t.parquet --rows 3000 "
        "| head -c 1 >/dev/null; echo ${PIPESTATUS[0]}"
    )

    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, check=True)

    assert (done.stdout, done.stderr) == (b"141\n", b"")


def test_the_difference_of_two_files_is_told(place):
    shown = inspect("one.parquet", "--diff", "two.parquet", "--rows", 1, cwd=place)

    assert shown.startswith("one.parquet -> two.parquet: they differ\n")
    assert "rows by seller_id, product_id" in shown
    assert "\n  went     3\n" in shown
    assert "input raw.parquet" in shown


def test_a_trace_of_a_difference_is_refused(place):
    done = cprtools("inspect", "one.parquet", "--diff", "two.parquet", "--trace", cwd=place)

    refused(done, 2, "--diff and --trace are two questions; ask one at a time")
