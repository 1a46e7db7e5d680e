import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.errors import SchemaError

ROWS = [[1.0, 2.0], [3.0, -4.5]]


def matrix(values, kind=None):
    column = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return tables.to_matrix(pa.chunked_array([column]), "v")


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 2),
        pa.list_(pa.float16()),
    ],
    ids=str,
)
def test_lists_and_fixed_size_lists_are_one_matrix(kind):
    found = matrix(ROWS, kind)

    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.tolist() == ROWS


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2)], ids=str)
def test_chunks_are_one_matrix(kind):
    chunks = [pa.array(rows, kind) for rows in ([], ROWS, [], [[5.0, 6.0]])]
    found = tables.to_matrix(pa.chunked_array(chunks), "v")
    assert (found.dtype, found.tolist()) == (np.float32, [*ROWS, [5.0, 6.0]])


def test_what_is_wrong_with_a_later_chunk_is_found():
    kind = pa.list_(pa.float32())
    for rows, message in (([[1.0]], "1 to 2"), ([[1.0, float("inf")]], "finite"), ([None], "1 ve")):
        chunks = [pa.array(part, kind) for part in (ROWS, rows)]
        with pytest.raises(SchemaError, match=message):
            tables.to_matrix(pa.chunked_array(chunks), "v")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_vectors_of_any_row_groups_are_read_alike(tmp_path, size):
    vectors = np.random.default_rng(0).standard_normal((10, 4), dtype=np.float32)
    ids = pa.array([f"p{i}" for i in range(10)])
    path = tmp_path / "v.parquet"
    pq.write_table(tables.vectors_table(ids, vectors), path, row_group_size=size)
    found, matrix = tables.read_vectors(tables.open_table(str(path), tables.VECTORS))
    assert found.equals(ids)
    np.testing.assert_array_equal(matrix, vectors)


def test_ids_without_a_vector_have_zeros():
    vectors = np.array(ROWS, dtype=np.float32)
    known, ids = pa.array(["a", "b"]), pa.array(["b", "x", "a", "b"])
    expected = [ROWS[1], [0, 0], ROWS[0], ROWS[1]]
    assert tables.align(ids, known, vectors).tolist() == expected
    assert tables.align(ids, known[:0], vectors[:0]).tolist() == [[0, 0]] * 4


def test_integers_are_vectors_and_slices_keep_their_rows():
    assert matrix([[1, 2]]).tolist() == [[1.0, 2.0]]
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 2)):
        array = pa.array([[9.0, 9.0], *ROWS, [9.0, 9.0]], kind).slice(1, 2)
        assert matrix(array).tolist() == ROWS


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([[1.0], [1.0, 2.0]], None, r"differ in length \(1 to 2\)"),
        ([[1.0], None], None, "1 vectors are null"),
        ([[1.0], None], pa.list_(pa.float32(), 1), "1 vectors are null"),
        ([[1.0, None]], None, "finite"),
        ([[float("nan")]], None, "finite"),
        ([[1e39]], None, "finite"),
        ([[]], pa.list_(pa.float32()), "finite numbers; found NaN, infinity or none"),
        ([[], []], pa.list_(pa.float32(), 0), "finite"),
        ([["x"]], None, "holds list"),
        ([[[1.0]]], None, "holds list"),
        ([1.0], None, "holds double; expected lists of floats"),
        (["1,2"], None, "holds string; expected lists of floats"),
    ],
)
def test_what_is_no_matrix_is_refused(values, kind, message):
    with pytest.raises(SchemaError, match=f"^v: .*{message}"):
        matrix(values, kind)


def test_no_rows_are_no_matrix_of_lists_but_one_of_fixed_lists():
    assert matrix([], pa.list_(pa.float32(), 3)).shape == (0, 3)
    with pytest.raises(SchemaError):
        matrix([], pa.list_(pa.float32()))


def test_a_vectors_table_comes_back_as_it_was(parquet):
    ids = pa.array(["b", "a"])
    path = parquet(tables.vectors_table(ids, np.array(ROWS)))
    found, vectors = tables.read_vectors(tables.open_table(path, tables.VECTORS))

    assert (found.to_pylist(), vectors.tolist()) == (["b", "a"], ROWS)


def test_align_gives_each_id_its_row_and_zeros_to_strangers():
    known, rows = pa.array(["a", "b"]), np.array(ROWS, np.float32)

    assert tables.align(pa.array(["b", "x", "a", "b"]), known, rows).tolist() == [
        ROWS[1],
        [0.0, 0.0],
        ROWS[0],
        ROWS[1],
    ]
    assert tables.align(pa.array([], pa.string()), known, rows).shape == (0, 2)


def products(**columns):
    return pa.table({"product_id": ["p"] * len(next(iter(columns.values()))), **columns})


def test_the_type_is_the_product_type_then_the_category_then_null():
    table = products(product_type=["t", None, " ", None], category=["c", " c ", "c", ""])

    assert tables.product_types(table).to_pylist() == ["t", "c", "c", None]
    assert tables.product_types(pa.table({"product_id": ["p"]})).to_pylist() == [None]


def test_a_type_is_a_category_only_where_no_product_has_a_category():
    some = products(product_type=["t", "u", " ", None], category=["c", None, "c", ""])
    none = products(product_type=["t", "u", None], category=[None, " ", ""])

    assert tables.categories(some).to_pylist() == ["c", None, "c", None]
    assert tables.with_plain_types(some).column("product_type").to_pylist() == ["t", "u", "c", None]
    assert tables.categories(none).to_pylist() == ["t", "u", None]
    assert tables.categories(products(product_type=["t", None])).to_pylist() == ["t", None]
    assert tables.categories(pa.table({"product_id": ["p"]})).to_pylist() == [None]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
    ids=str,
)
def test_a_path_counts_by_its_last_entry_as_type_and_its_first_as_category(kind):
    table = products(category=pa.array([["Home", "Kitchen", "Pans"], [], None, ["Toys"]], kind))

    assert tables.product_types(table).to_pylist() == ["Pans", None, None, "Toys"]
    assert tables.categories(table).to_pylist() == ["Home", None, None, "Toys"]


def test_several_paths_and_lists_of_fixed_size_are_taken_apart_too():
    several = products(category=[[["A", "B"], ["C", "D"]], [], [None]])
    fixed = products(category=pa.array([["A", "B"], None], pa.list_(pa.string(), 2)))

    assert tables.product_types(several).to_pylist() == ["D", None, None]
    assert tables.categories(several).to_pylist() == ["A", None, None]
    assert tables.product_types(fixed).to_pylist() == ["B", None]


def test_coded_numbers_are_types_and_structs_are_refused():
    coded = products(category=pa.array(["x", "x"]).dictionary_encode(), product_type=[7, None])

    assert tables.product_types(coded).to_pylist() == ["7", "x"]
    assert tables.categories(coded).to_pylist() == ["x", "x"]
    with pytest.raises(SchemaError, match="expected text or lists of text"):
        tables.product_types(products(category=[{"a": 1}]))
