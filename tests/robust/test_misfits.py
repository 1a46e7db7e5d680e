"""Tables of a stranger's model or graph that are good Parquet and do not fit the others.

Each case was found by `make fuzz`.
"""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import fails, ok, train
from tests.robust.fuzz import READERS, STORED, write_new_product


def put(folder, member, name, values):
    """One column of a member is another."""
    path = folder / f"{member}.parquet"
    table = pq.read_table(path)
    at = table.column_names.index(name)
    values = values if isinstance(values, list | pa.Array) else [values] * table.num_rows
    column = pa.array(values[: table.num_rows])
    pq.write_table(table.set_column(at, name, column), path)


def attribute_of(folder):
    names = pq.read_schema(folder / "codes.parquet").names
    return next(name for name in names if name.startswith("attribute_"))


NARROW = pa.array([[1.0]] * 99, pa.list_(pa.float32(), 1))
CASES = {
    "a title that is a number": ("graph", "nodes", "title", 1.5, "title"),
    "a price that is a word": ("graph", "nodes", "price", "x", "price"),
    "factors of other widths": ("complement model", "p_companion_items", "target", NARROW,
                                "p_companion_items"),
    "vectors of another width": ("extended model", "text_vectors", "vector", NARROW,
                                 "do not fit together"),
    "a vocabulary of lists": ("extended model", "vocabulary", "name", [[1]] * 99,
                              "do not fit together"),
    "a feature without a name": ("extended model", "p_companion_features", "column",
                                 ["product_type", "category", None, "price"],
                                 "do not fit together"),
    "a half of a product": ("seller model", "text_knn_settings", "nearest", 1.5, "found 1.5"),
    "half a product in place": ("one seller", "text_knn_settings", "nearest", 1.5, "found 1.5"),
    "a count below every number": ("truth", "pairs", "co_purchase", -(2**63 - 1), "is below 0"),
    "very many nearest": ("seller model", "text_knn_settings", "nearest", 1 << 61, None),
    "huge codes": ("seller model", "codes", None, [1 << 40] * 99, "outside its names"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_member_that_does_not_fit_is_told_or_does_no_harm(tmp_path, case):
    name, member, column, values, said = CASES[case]
    reader, work = READERS[name], tmp_path / "work"
    shutil.copytree(STORED, work)
    write_new_product(work)
    if reader.before:
        train(work, *reader.before.split())
    folder = work / reader.place if (work / reader.place).is_dir() else work
    put(folder, member, column or attribute_of(folder), values)
    if said is None:
        ok(work, *reader.words.split(), "-o", "out")
        return
    assert said in fails(work, 3, *reader.words.split(), "-o", "out")
    assert not (work / "out").exists()
