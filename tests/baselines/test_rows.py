"""Sparse rows in numpy alone give the bits that scipy gives."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines.dense import stable_product
from cprtools.baselines.rows import Rows, cosines, entries_at, product, row_sums


def random_matrix(shape, seed):
    random = np.random.default_rng(seed)
    there = random.random(shape) < 0.2
    return csr_matrix(there * random.random(shape, dtype=np.float32))


def in_place(matrix):
    return Rows(matrix.indptr, matrix.indices, matrix.data, matrix.shape)


def test_a_product_written_out():
    left = Rows(np.array([0, 2]), np.array([0, 2]), np.float32([2, 3]), (1, 3))
    right = Rows(np.array([0, 1, 1, 3]), np.array([1, 0, 1]), np.float32([5, 7, 11]), (3, 2))
    assert product(left, right).tolist() == [[3 * 7, 2 * 5 + 3 * 11]]


@pytest.mark.parametrize("seed", range(5))
def test_products_sums_and_cosines_are_those_of_scipy(seed):
    one, other = random_matrix((7, 30), seed), random_matrix((30, 40), seed + 50)
    assert (product(in_place(one), in_place(other)) == (one @ other).toarray()).all()
    rows, own = np.array([3, 0, 3, 29]), np.array([1, 2, 28])
    wanted = (other[rows] @ other[own].T).toarray()
    assert (cosines(in_place(other), rows, own) == wanted).all()
    assert (in_place(other)[rows].toarray() == other[rows].toarray()).all()
    sums = row_sums(in_place(other), other.data)
    assert (sums == other @ np.ones(40, np.float32)).all()


@pytest.mark.parametrize("at_once", [1, 20, 100])
def test_cosines_in_pieces_are_the_same_bits(monkeypatch, at_once):
    matrix = random_matrix((30, 40), 3)
    rows, own = np.array([3, 0, 3, 29]), np.arange(1, 30)
    monkeypatch.setattr("cprtools.baselines.rows._AT_ONCE", at_once)
    assert (cosines(in_place(matrix), rows, own) == (matrix[rows] @ matrix[own].T).toarray()).all()


def test_cosines_with_thousands_of_titles_of_thousands_of_words_take_little_memory():
    titles, words, each = 4000, 20_000, 8
    indices = np.sort(np.random.default_rng(0).integers(0, words, (titles, each))).ravel()
    data = np.ones(titles * each, np.float32)
    matrix = Rows(np.arange(titles + 1) * each, indices, data, (titles, words))
    tracemalloc.start()
    cosines(matrix, np.arange(300), np.arange(titles))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # a table of words by titles would be 320 MB
    assert peak < 50e6


def test_entries_are_those_of_scipy_and_none_where_none_is_asked_for():
    matrix, nowhere = random_matrix((7, 30), 1), np.zeros(0, np.int64)
    rows, cols = np.array([3, 0, 3]), np.array([1, 29, 1])
    for kind in (matrix, in_place(matrix)):
        assert (entries_at(kind, rows, cols) == matrix.toarray()[rows, cols]).all()
        assert entries_at(kind, nowhere, nowhere).shape == (0,)


def test_rows_without_entries_are_zeros():
    empty = Rows(np.zeros(4, int), np.zeros(0, int), np.zeros(0, np.float32), (3, 5))
    assert not empty[np.array([2, 0])].toarray().any()
    assert cosines(empty, np.array([0, 1]), np.array([2])).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("rows", [1, 2, 3, 20, 32])
@pytest.mark.parametrize("dim", [64, 100, 384])
def test_few_rows_against_many_columns_get_the_bits_of_a_full_block(rows, dim):
    random = np.random.default_rng(rows)
    columns = random.standard_normal((1_000_000 // dim + 7, dim), dtype=np.float32)
    block = random.standard_normal((64, dim), dtype=np.float32)
    assert (stable_product(block[:rows], columns) == stable_product(block, columns)[:rows]).all()
