"""Text in a Parquet file that is not UTF-8: damage that each command tells of in one line."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import cli, tables
from cprtools.errors import DataError
from cprtools.tables.mapped import LAYOUT_KEY, write_mapped
from tests.cli.commands import fails, train
from tests.robust import fuzz

# what a file of the user is looked up by: no command can do without
IDS = {"customer_id", "product_id", "seller_id", "query_id", "candidate_id"}


def spoiled(column):
    """The column with a first value that is not UTF-8, or None where it holds no text."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_list(column.type):
        values = spoiled(column.values)
        return values and pa.ListArray.from_arrays(column.offsets, values)
    if not pa.types.is_string(column.type) or not len(column):
        return None
    return pa.array([fuzz.NOT_TEXT, *column.to_pylist()[1:]], pa.binary()).view(pa.string())


def spoil(file):
    """Each name of a text column, and then the file is one in which that column is spoiled."""
    whole = file.read_bytes()
    table = pq.read_table(pa.BufferReader(whole))
    metadata = table.schema.metadata or {}
    for at, name in enumerate(table.column_names):
        column = spoiled(table.column(at))
        if column is None:
            continue
        changed = table.set_column(at, table.schema.field(at), column)
        with open(file, "wb") as out:
            if LAYOUT_KEY in metadata:
                write_mapped(changed, out, metadata)
            else:
                pq.write_table(changed, out)
        yield name
        file.write_bytes(whole)


@pytest.mark.parametrize("name", fuzz.READERS)
def test_every_command_tells_of_text_that_is_not_utf8(name, tmp_path, monkeypatch, capfdbinary):
    reader = fuzz.READERS[name]
    work = Path(shutil.copytree(fuzz.STORED, tmp_path / "work"))
    monkeypatch.chdir(work)
    fuzz.write_new_product(work)
    if reader.before:
        train(work, *reader.before.split())
    place = work / reader.place
    told = set()
    for file in sorted(place.iterdir()) if place.is_dir() else [place]:
        for column in spoil(file):
            capfdbinary.readouterr()
            code = cli._run([*reader.words.split(), *reader.out.split()])
            said = capfdbinary.readouterr().err.decode()
            errors = [line for line in said.splitlines() if line.startswith("cprtools: error: ")]
            if code == 0:  # this command needs no such column
                assert errors == [], (file.name, column)
                continue
            assert (code, len(errors)) == (4, 1), (file.name, column, said)
            assert "text that is not UTF-8" in errors[0], (file.name, column)
            assert (place.name if place.is_dir() else file.name) in errors[0]
            told.add(column)
    if reader.words.startswith("inspect") and "--" not in reader.words:
        assert told == set()  # it shows footers, no values
    else:
        assert told
        assert told >= IDS & set(pq.read_schema(place).names if place.is_file() else ())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), "dictionary"])
def test_both_engines_refuse_it_however_the_text_is_stored(kind, tmp_path):
    text = pa.array([b"fine", fuzz.NOT_TEXT], pa.binary()).view(pa.string())
    column = text.dictionary_encode() if kind == "dictionary" else text.cast(kind)
    pq.write_table(
        pa.table({"seller_id": column, "product_id": ["A", "B"]}), tmp_path / "l.parquet"
    )
    source = tables.open_table(str(tmp_path / "l.parquet"), tables.LISTINGS)

    with pytest.raises(DataError, match=r"^l\.parquet: column 'seller_id' holds text that is not"):
        tables.read(source)
    with pytest.raises(DataError, match=r"^l\.parquet: holds text that is not UTF-8"):
        tables.digest_rows(source)


def test_the_file_of_a_folder_is_named(tmp_path):
    for name, text in (("a", b"A"), ("b", fuzz.NOT_TEXT)):
        column = pa.array([text], pa.binary()).view(pa.string())
        pq.write_table(
            pa.table({"seller_id": ["S"], "product_id": column}), tmp_path / f"{name}.parquet"
        )

    with pytest.raises(DataError, match=r"b\.parquet: column 'product_id' holds text"):
        tables.read(tables.open_table(str(tmp_path), tables.LISTINGS))


def test_a_model_whose_type_names_are_numbers_is_refused(tmp_path):
    work = Path(shutil.copytree(fuzz.STORED, tmp_path / "work"))
    file = work / "cpr.model" / "types.parquet"
    table = pq.read_table(file)
    numbers = pa.array([1.5] * table.num_rows)
    pq.write_table(table.set_column(0, pa.field("name", numbers.type), numbers), file)

    line = fails(work, 3, "recommend", "--model", "cpr.model", "--all")
    assert "cpr.model: types.parquet: column 'name' must hold strings" in line
