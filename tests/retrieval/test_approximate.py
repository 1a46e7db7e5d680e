import sys

import numpy as np
import pytest

from cprtools.errors import MissingExtraError
from cprtools.retrieval import top_k
from cprtools.retrieval.approximate import HnswIndex


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
