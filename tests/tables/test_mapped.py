"""Tables that are read in place: what is written is what is found, byte for byte."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools.errors import DataError
from cprtools.tables import mapped, vector_array
from cprtools.tables.mapped import MappedTable, MatrixInFile, read_whole, text_ends, write_mapped


def written(path, **columns):
    table = pa.table(columns)
    with open(path, "wb") as out:
        write_mapped(table, out, {b"k": b"v"})
    return MappedTable(path, "t")


@pytest.mark.parametrize("rows", [1, 9, 30_000])
def test_numbers_flags_and_vectors_are_found_where_they_lie(tmp_path, rows):
    random = np.random.default_rng(rows)
    vectors = random.standard_normal((rows, 5), dtype=np.float32)
    flags = random.random(rows) < 0.5
    columns = {
        "a": random.integers(-9, 9, rows),
        "b": random.integers(0, 9, rows, dtype=np.int32),
        "c": random.standard_normal(rows),
    }
    table = written(tmp_path / "t.parquet", **columns, flag=flags, v=vector_array(vectors))
    for name, values in columns.items():
        assert (table.numbers(name) == values).all()
    assert (table.numbers("flag") == flags).all()
    assert (np.asarray(table.numbers("v")) == vectors).all()


def test_texts_are_read_one_by_one_with_nulls_and_empty_ones(tmp_path):
    texts = [None, "", "a", "ä€😀", None, "x" * 70_000, "end"]
    table = written(tmp_path / "t.parquet", text=texts)
    ends = text_ends(pa.chunked_array([texts]))
    # each string takes its bytes and 4 for their number
    assert ends.tolist()[:5] == [0, 4, 9, 4 + 9 + 9, 22]
    assert [table.text("text", ends, row) for row in range(len(texts))] == texts


def test_it_is_plain_parquet_for_everybody_else(tmp_path):
    written(tmp_path / "t.parquet", a=[3, 1], s=["x", None])
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"a": [3, 1], "s": ["x", None]}
    assert pq.read_metadata(tmp_path / "t.parquet").metadata[b"k"] == b"v"


@pytest.mark.parametrize("page", [1000, 1 << 30])
def test_a_matrix_in_one_page_or_in_several_is_read_by_rows_and_in_parts(
    tmp_path, monkeypatch, page
):
    monkeypatch.setattr(mapped, "_LARGEST_PAGE", page)
    vectors = np.arange(600, dtype=np.float32).reshape(100, 6)
    table = written(tmp_path / "t.parquet", v=vector_array(vectors), a=np.arange(100))
    found = table.numbers("v")
    assert isinstance(found, MatrixInFile)
    assert (found.shape, len(found), found.size, found.dtype) == ((100, 6), 100, 600, np.float32)
    # the first and the last row of every page among them
    rows = np.array([99, 0, 41, 0, *range(100)])
    assert (found[rows] == vectors[rows]).all()
    assert (np.asarray(found) == vectors).all()
    for start, stop in ((0, 100), (0, 1), (99, 100), (37, 90), (42, 84), (5, 5)):
        out = np.full((stop - start, 6), -1, dtype=np.float32)
        assert found.read(start, out) is out
        assert (out == vectors[start:stop]).all()


def test_a_matrix_is_read_from_the_file_that_it_was_whatever_comes_in_its_place(tmp_path):
    vectors = np.arange(60, dtype=np.float32).reshape(10, 6)
    found = written(tmp_path / "t.parquet", v=vector_array(vectors)).numbers("v")
    written(tmp_path / "new.parquet", v=vector_array(-vectors))
    (tmp_path / "new.parquet").rename(tmp_path / "t.parquet")
    assert (np.asarray(found) == vectors).all()


def test_a_matrix_whose_file_has_become_shorter_is_an_error(tmp_path):
    vectors = np.arange(60_000, dtype=np.float32).reshape(10_000, 6)
    found = written(tmp_path / "t.parquet", v=vector_array(vectors)).numbers("v")
    os.truncate(tmp_path / "t.parquet", 100_000)
    with pytest.raises(DataError, match="t: ends too early"):
        np.asarray(found)


def test_lists_of_one_number_are_a_matrix(tmp_path):
    vectors = np.arange(4, dtype=np.float32).reshape(4, 1)
    found = written(tmp_path / "t.parquet", v=vector_array(vectors)).numbers("v")
    assert (found.shape, np.asarray(found).tolist()) == ((4, 1), vectors.tolist())


@pytest.mark.parametrize("page", [1000, 1 << 30])
def test_a_whole_table_is_the_one_that_was_written(tmp_path, monkeypatch, page):
    monkeypatch.setattr(mapped, "_LARGEST_PAGE", page)
    vectors = np.arange(600, dtype=np.float32).reshape(100, 6)
    columns = {"s": [None, "x"] * 50, "v": vector_array(vectors), "n": np.arange(100), "w": None}
    columns["w"] = pa.array([[1.5]] * 100, pa.list_(pa.float32(), 1))
    path = tmp_path / "t.parquet"
    written(path, **columns)
    decoded = pq.read_table(path).replace_schema_metadata(None)
    found = read_whole(path).replace_schema_metadata(None)
    assert found.equals(decoded) and found.schema.equals(decoded.schema)
    assert found.column("v").num_chunks == 1
    for some in (["v"], ["n"], ["w", "s"]):
        assert (
            read_whole(path, some)
            .replace_schema_metadata(None)
            .equals(decoded.select([name for name in decoded.column_names if name in some]))
        )


@pytest.mark.parametrize("kind", ["nulls", "another writer", "no rows", "no mark"])
def test_matrices_that_do_not_lie_in_the_file_are_decoded(tmp_path, kind):
    lists = [[1.0, 2.0], None if kind == "nulls" else [3.0, 4.0], [5.0, 6.0]]
    table = pa.table({"v": pa.array(lists, pa.list_(pa.float32(), 2))})
    path = tmp_path / "t.parquet"
    try:
        written(path, v=table.column("v")[: 0 if kind == "no rows" else 3])
    except pa.ArrowNotImplementedError:
        pytest.skip("this pyarrow writes no nulls among lists of one length")
    if kind == "another writer":
        pq.write_table(pq.read_table(path), path)
    if kind == "no mark":
        pq.write_table(table, path)
    expected = [] if kind == "no rows" else lists
    assert read_whole(path).column("v").to_pylist() == expected


def test_pages_of_matrices_of_other_widths_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    kind = pa.list_(pa.float32())
    schema = pa.schema({"v": kind}).with_metadata({mapped.LAYOUT_KEY: b"mapped 1"})
    options = {"compression": "none", "use_dictionary": False}
    with pq.ParquetWriter(path, schema, **options) as writer:
        for width in (2, 3):
            writer.write_table(pa.table({"v": pa.array([[1.0] * width] * 4, kind)}, schema))
    with pytest.raises(DataError, match="not laid out"):
        MappedTable(path, "t").numbers("v")


def test_files_are_closed_when_nothing_reads_from_them_any_more(tmp_path):
    table = written(tmp_path / "t.parquet", v=vector_array(np.ones((3, 2), np.float32)))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    if before is None:
        pytest.skip("no list of open files here")
    del table
    assert len(os.listdir("/proc/self/fd")) < before


def test_another_layout_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="not laid out"):
        MappedTable(tmp_path / "t.parquet", "t")
