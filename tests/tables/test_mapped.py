"""Tables that are read in place: what is written is what is found, byte for byte."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools.errors import DataError
from cprtools.tables import mapped, vector_array
from cprtools.tables.mapped import MappedTable, Pieces, text_ends, write_mapped


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
    assert (table.numbers("v") == vectors).all()


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


def test_a_matrix_too_large_for_a_page_is_put_together_row_by_row(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "_LARGEST_PAGE", 1000)
    vectors = np.arange(600, dtype=np.float32).reshape(100, 6)
    table = written(tmp_path / "t.parquet", v=vector_array(vectors))
    found = table.numbers("v")
    assert isinstance(found, Pieces) and found.shape == (100, 6)
    rows = np.array([99, 0, 41, 42, 0])
    assert (found[rows] == vectors[rows]).all()
    assert (np.asarray(found) == vectors).all()


def test_another_layout_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="not laid out"):
        MappedTable(tmp_path / "t.parquet", "t")
