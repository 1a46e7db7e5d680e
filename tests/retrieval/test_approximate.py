import sys

import numpy as np
import pyarrow as pa
import pytest

from cprtools.errors import MissingExtraError, SchemaError
from cprtools.retrieval import top_k
from cprtools.retrieval.approximate import MEMBERS, HnswIndex


def normal(rows, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


@pytest.fixture(autouse=True)
def hnswlib():
    return pytest.importorskip("hnswlib")


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 3), (300, 10), (300, 300)])
def test_small_sets_are_searched_exactly(n, k):
    vectors, queries = normal(n, 8), normal(6, 8, seed=1)
    indices, products = HnswIndex(vectors).search(queries, k)
    expected, scores = top_k(queries @ vectors.T, k)

    assert (indices == expected).all()
    np.testing.assert_allclose(products, scores, rtol=1e-5, atol=1e-5)
    assert (indices.dtype, products.dtype) == (np.int64, np.float32)


def test_k_is_cut_to_the_candidates_there_are():
    indices, products = HnswIndex(normal(4, 3)).search(normal(2, 3, seed=1), 9)

    assert indices.shape == products.shape == (2, 4)
    assert [sorted(row) for row in indices.tolist()] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize(("n", "queries", "k"), [(0, 2, 5), (3, 0, 2), (3, 2, 0)])
def test_nothing_to_find_is_no_error(n, queries, k):
    indices, products = HnswIndex(np.ones((n, 3), np.float32)).search(normal(queries, 3), k)

    assert indices.shape == products.shape == (queries, min(n, k))


@pytest.mark.parametrize("different", [1, 5])
def test_many_equal_vectors_do_not_break_the_search(different):
    # products with the same title: the graph links them to each other and to nothing else
    vectors = np.repeat(normal(different, 4), 600 // different, axis=0)
    indices, products = HnswIndex(vectors).search(vectors[:3], 500)

    assert [len(set(row)) for row in indices.tolist()] == [500] * 3
    assert (np.diff(products, axis=1) <= 1e-5).all()


def test_the_same_vectors_give_the_same_answers():
    vectors, queries = normal(2000, 16), normal(20, 16, seed=1)
    first = HnswIndex(vectors, seed=3).search(queries, 50)
    second = HnswIndex(vectors, seed=3).search(queries, 50)

    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_larger_set_is_searched_nearly_exactly():
    vectors, queries = normal(3000, 16), normal(30, 16, seed=1)
    indices, _ = HnswIndex(vectors).search(queries, 20)
    expected, _ = top_k(queries @ vectors.T, 20)
    shared = [len(set(a) & set(b)) for a, b in zip(indices, expected, strict=True)]

    assert np.mean(shared) > 0.95 * 20


def test_without_hnswlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)

    with pytest.raises(MissingExtraError, match=r"needs hnswlib: pip install 'cprtools\[ann\]'"):
        HnswIndex(normal(2, 2))


def stored(vectors, seed=0):
    tables = HnswIndex(vectors, seed=seed).tables()
    return [tables[member] for member in MEMBERS]


@pytest.mark.parametrize("n", [1, 2, 40, 3000])
def test_a_stored_graph_answers_as_the_built_one(n):
    vectors, queries = normal(n, 16), normal(20, 16, seed=1)
    again = HnswIndex.load(vectors, *stored(vectors))

    for k in (1, 25):
        built = HnswIndex(vectors).search(queries, k)
        for one, other in zip(built, again.search(queries, k), strict=True):
            assert one.tobytes() == other.tobytes()
    assert again.tables()[MEMBERS[0]].equals(stored(vectors)[0])


def test_the_same_vectors_and_seed_give_the_same_graph_and_another_seed_another():
    vectors = normal(2000, 8)

    assert all(a.equals(b) for a, b in zip(stored(vectors), stored(vectors), strict=True))
    assert not stored(vectors)[0].equals(stored(vectors, seed=1)[0])


def replaced(table, name, change):
    """The table with a changed copy of one column's values."""
    values = table.column(name).to_pylist()
    change(values)
    column = pa.array(values, table.column(name).type)
    return table.set_column(table.column_names.index(name), name, column)


@pytest.mark.parametrize(
    ("member", "column", "change"),
    [
        (0, "linked", lambda rows: rows[3].__setitem__(0, 500)),  # a node that is not there
        (0, "linked", lambda rows: rows[3].__setitem__(0, -1)),
        (0, "linked", lambda rows: rows[3].extend([1] * 40)),  # more links than have room
        (0, "linked", lambda rows: rows[-1].append(next(iter({*range(500)} - tops(rows))))),
        (0, "node", lambda rows: rows.__setitem__(0, 1)),
        (0, "level", lambda rows: rows.__setitem__(-1, 9)),
        (1, "enterpoint_node", lambda rows: rows.__setitem__(0, 500)),
        (1, "M", lambda rows: rows.__setitem__(0, 0)),
    ],
)
def test_links_that_lead_nowhere_are_refused_not_followed(member, column, change):
    vectors = normal(500, 8)
    tables = stored(vectors)
    tables[member] = replaced(tables[member], column, change)

    with pytest.raises(SchemaError, match="hnsw index is damaged"):
        HnswIndex.load(vectors, *tables)


def tops(rows):
    """Nodes that an upper level links to."""
    return {node for row in rows[500:] for node in row}
