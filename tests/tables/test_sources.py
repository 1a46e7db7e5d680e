import io
import os
import stat
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.errors import DataError, SchemaError, UsageError
from cprtools.tables import piping

IDS = {"product_id": ["a", "b"]}


def ids(place, spec=tables.HIGH_DEMAND):
    return tables.read(tables.open_table(str(place), spec)).column("product_id").to_pylist()


def parquet_bytes(table):
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def test_a_file_a_folder_and_a_pattern_give_the_same_rows(parquet, tmp_path):
    one = parquet(IDS, "d/one.parquet")

    assert ids(one) == ids(tmp_path / "d") == ids(tmp_path / "d" / "*.parquet") == ["a", "b"]


def test_a_folder_is_read_with_its_partitions_and_without_hidden_files(parquet, tmp_path):
    parquet({"product_id": ["b"]}, "d/country=DE/x.parquet")
    parquet({"product_id": ["a"]}, "d/country=AT/day=1/x.parquet")
    for name in ("_old.parquet", ".tmp.parquet", "_temporary/x.parquet", ".git/x.parquet"):
        parquet({"product_id": [name]}, f"d/{name}")
    (tmp_path / "d" / "_SUCCESS").touch()
    (tmp_path / "d" / "readme.txt").write_text("no table")
    (tmp_path / "d" / "folder.parquet").mkdir()

    assert ids(tmp_path / "d") == ["a", "b"]


def test_a_pattern_reads_folders_it_meets_and_skips_what_spark_leaves(parquet, tmp_path):
    parquet({"product_id": ["a"]}, "d/x.parquet")
    parquet({"product_id": ["b"]}, "d/year=1/y.parquet")
    (tmp_path / "d" / "_SUCCESS").touch()

    assert ids(tmp_path / "d" / "*") == ["a", "b"]


@pytest.mark.parametrize("name", ["data[1].parquet", "a*b?.parquet", 'it\'s "new".parquet'])
def test_a_name_that_exists_is_no_pattern_for_either_reader(parquet, tmp_path, name):
    import duckdb

    path = parquet({"product_id": ["right"]}, name)
    parquet({"product_id": ["wrong"]}, "data1.parquet")
    parquet({"product_id": ["wrong"]}, "axbx.parquet")
    source = tables.open_table(path, tables.HIGH_DEMAND)

    assert ids(path) == ["right"]
    assert duckdb.connect().execute(tables.scan_sql(source)).fetchall() == [("right",)]
    assert tables.digest_rows(source)[0] == 1


@pytest.mark.parametrize("name", ["none.parquet", "none*.parquet", "x" * 5000, "no/such/place"])
def test_a_missing_place_is_a_data_error(name):
    with pytest.raises(DataError, match="no such file or folder"):
        tables.open_table(name, tables.ANY)


def test_a_folder_without_parquet_and_a_file_that_is_none_are_data_errors(tmp_path):
    (tmp_path / "text.parquet").write_text("a,b\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no tables"):
        tables.open_table(str(tmp_path / "empty"), tables.ANY)
    with pytest.raises(DataError, match=r"^text\.parquet: not a readable Parquet file$"):
        ids(tmp_path / "text.parquet")


def test_the_damaged_file_of_a_folder_is_named(parquet, tmp_path):
    whole = parquet(IDS, "d/one.parquet")
    (tmp_path / "d" / "two.parquet").write_bytes(Path(whole).read_bytes()[:-20])

    with pytest.raises(DataError, match=r"d/two\.parquet: not a readable Parquet file"):
        ids(tmp_path / "d")


def test_pages_that_are_damaged_behind_a_good_footer_are_a_data_error(parquet):
    path = parquet({"product_id": [f"{i:08}" for i in range(5000)]})
    data = bytearray(Path(path).read_bytes())
    data[4:2000] = bytes(1996)
    Path(path).write_bytes(data)

    with pytest.raises(DataError, match="not a readable Parquet file"):
        ids(path)
    with pytest.raises(DataError, match="not a readable Parquet file"):
        tables.digest_rows(tables.open_table(path, tables.ANY))


@pytest.fixture
def model(tmp_path):
    members = {
        "vectors": tables.vectors_table(pa.array(["v"]), np.ones((1, 2))),
        "products": pa.table({"product_id": ["p"]}),
    }
    tables.write_folder(members, str(tmp_path / "m"), "complements", tables.Footer())
    return tmp_path / "m"


def tar_of(folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return buffer.getvalue()


def test_a_model_stands_in_for_the_tables_it_holds(model, piped):
    assert ids(model, tables.VECTORS) == ["v"]
    assert ids(model, tables.PRODUCTS) == ["p"]
    with pytest.raises(SchemaError, match="holds no pairs"):
        tables.open_table(str(model), tables.PAIRS)

    data = tar_of(model)
    for spec, expected in ((tables.VECTORS, ["v"]), (tables.PRODUCTS, ["p"])):
        piped(data)
        assert ids("-", spec) == expected
    piped(data)
    with pytest.raises(SchemaError, match="it holds no pairs"):
        tables.open_table("-", tables.PAIRS)


def test_a_piped_model_that_lacks_a_member_is_refused(model, piped):
    (model / "products.parquet").unlink()
    piped(tar_of(model))

    with pytest.raises(DataError, match=r"products\.parquet is missing"):
        tables.open_table("-", tables.VECTORS)


def stream_bytes(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return sink.getvalue()


@pytest.mark.parametrize("encode", [parquet_bytes, stream_bytes])
def test_standard_input_may_be_parquet_or_an_arrow_stream(piped, encode):
    piped(encode(pa.table(IDS)))

    assert ids("-") == ["a", "b"]


def test_the_digest_of_a_pipe_is_the_digest_of_the_file(piped, parquet):
    table = pa.table({"product_id": ["a", "b"], "n": [1, None], "l": [["x"], []]})
    digests = [tables.digest_rows(tables.open_table(parquet(table), tables.ANY))]
    for encode in (parquet_bytes, stream_bytes):
        piped(encode(table))
        digests.append(tables.digest_rows(tables.open_table("-", tables.ANY)))

    assert len(set(digests)) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"PAR", "neither Parquet nor"),
        (b"a,b\n1,2\n", "neither Parquet nor"),
        (b"\xff\xff\xff\xffgarbage", "damaged Arrow stream"),
        (stream_bytes(pa.table(IDS))[:-30], "damaged Arrow stream"),
        (b"PAR1" + b"x" * 100, "not a readable Parquet file"),
        (parquet_bytes(pa.table(IDS))[:-9], "not a readable Parquet file"),
        (b"x" * 257 + b"ustar" + b"x" * 250, "expected a folder as a tar"),
    ],
)
def test_anything_else_on_standard_input_is_a_data_error(piped, data, message):
    piped(data)
    with pytest.raises(DataError, match=message):
        ids("-")


def test_the_second_dash_is_refused(piped):
    piped(parquet_bytes(pa.table(IDS)))
    tables.open_table("-", tables.ANY)

    with pytest.raises(UsageError, match="only one input"):
        tables.open_table("-", tables.ANY)


def test_a_terminal_and_a_closed_input_are_refused(monkeypatch):
    monkeypatch.setattr(piping, "_spooled", {})
    main, side = os.openpty()
    with os.fdopen(main, "rb"), os.fdopen(side) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(UsageError, match="that is a terminal"):
            tables.open_table("-", tables.ANY)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="closed"):
        tables.open_table("-", tables.ANY)


def test_a_real_pipe_is_read_and_its_copy_is_removed(script, tmp_path):
    lines = """
source = tables.open_table('-', tables.HIGH_DEMAND)
sys.stdout.write(','.join(tables.read(source).column('product_id').to_pylist()))
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = script(lines.strip(), input=parquet_bytes(pa.table(IDS)), env=environment)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"a,b", b"")
    assert list(tmp_path.iterdir()) == []


def test_the_copy_of_a_pipe_is_for_nobody_elses_eyes(piped):
    piped(parquet_bytes(pa.table(IDS)))
    (path,) = tables.open_table("-", tables.ANY).paths

    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"])] * 2, names=["product_id"] * 2)
    pq.write_table(table, tmp_path / "t.parquet")

    with pytest.raises(SchemaError, match="two columns have the same name: product_id"):
        ids(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "a",
        "a/",
        "*.parquet",
        "**",
        "**/*.parquet",
        "a/*",
        "a/**/[cf]*",
        "?",
        "[ab]",
        "a/_*",
        "*",
        "first.parquet",
        "a/../a",
        ".h/*",
        ".*/*",
        "a/**/**",
        "a/../*/[cf]*",
        "*/b",
    ],
)
def test_what_would_be_read_is_what_is_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folders = ("", "a/", "a/b/", ".h/", "a/_s/")
    for folder in folders:
        (tmp_path / folder).mkdir(exist_ok=True)
    new = ("c.parquet", "c.csv", "c", "_c.parquet", ".c.parquet", "c.txt")
    for folder in folders:
        (tmp_path / folder / "first.parquet").write_bytes(parquet_bytes(pa.table(IDS)))
    (tmp_path / "a" / "_first").write_bytes(parquet_bytes(pa.table(IDS)))
    source = tables.open_table(name, tables.ANY)
    for path in [Path(folder) / file for folder in folders for file in new]:
        foretold = source.would_read(str(path)), source.would_read(str(tmp_path / path))
        path.write_bytes(parquet_bytes(pa.table(IDS)))
        try:
            paths = tables.open_table(name, tables.ANY).paths
            is_read = path.resolve() in {Path(each).resolve() for each in paths}
        except DataError as error:
            is_read = "different formats" in str(error)
        assert foretold == (is_read, is_read), path
        path.unlink()
