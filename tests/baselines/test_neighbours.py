"""Item-knn and text-knn: worked by hand, against slow loops, and on planted structure."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from cprtools.baselines import Ease, ItemKnn, Problem, TextKnn
from cprtools.baselines import sparse as sparse_module
from cprtools.baselines.sparse import (
    ColumnNeighbours,
    column_neighbours,
    matrix_table,
    reweight,
    table_matrix,
)
from cprtools.errors import SchemaError
from tests.baselines import oracle_scores


def sellers(weights, vectors=None):
    matrix = csr_matrix(np.asarray(weights, dtype=np.float32))
    return Problem(matrix, np.full(matrix.shape[1], -1), 0, vectors=vectors)


def weight_matrices(values=(0.0, 0.0, 1.0, 2.0)):
    return arrays(np.float32, (5, 7), elements=st.sampled_from(list(values)))


def unit(rows):
    matrix = np.asarray(rows, dtype=np.float64)
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0).astype(np.float32)


def test_cosine_of_columns_worked_by_hand():
    # columns (1,1,0), (1,1,1), (0,2,1)
    similar = column_neighbours(csr_matrix([[1, 1, 0], [1, 1, 2], [0, 1, 1]]), 10).toarray()
    ab, ac, bc = 2 / np.sqrt(2 * 3), 2 / np.sqrt(2 * 5), 3 / np.sqrt(3 * 5)
    np.testing.assert_allclose(similar, [[0, ab, ac], [ab, 0, bc], [ac, bc, 0]], rtol=1e-6)


def test_shrinkage_is_added_to_the_norms():
    similar = column_neighbours(csr_matrix([[1, 1], [1, 0]]), 10, shrinkage=2).toarray()
    np.testing.assert_allclose(similar[0, 1], 1 / (np.sqrt(2) + 2), rtol=1e-6)


def test_item_knn_adds_weight_times_similarity():
    scores = ItemKnn.fit(sellers([[1, 1, 0], [1, 1, 2], [0, 1, 1]])).score(np.array([2]))
    ab, ac, bc = 2 / np.sqrt(2 * 3), 2 / np.sqrt(2 * 5), 3 / np.sqrt(3 * 5)
    np.testing.assert_allclose(scores, [[ab + ac, bc, bc]], rtol=1e-6)


def test_item_knn_keeps_the_neighbours_of_the_candidate():
    # columns a (1,1), b (1,1), c (0,1): a is nearest to b and to c, b to a, and c to none
    scores = ItemKnn.fit(sellers([[1, 1, 0], [1, 1, 1]]), neighbours=1).score(np.array([1]))
    np.testing.assert_allclose(scores, [[1, 1, 1 / np.sqrt(2)]], rtol=1e-6)


def test_ties_at_the_border_go_to_the_more_popular_column():
    kept = column_neighbours(csr_matrix(np.ones((2, 4))), 2)
    np.testing.assert_array_equal(kept.indices, [1, 2, 0, 2, 0, 1, 0, 1])


def test_neighbours_do_not_depend_on_the_block(monkeypatch):
    random = np.random.default_rng(0)
    matrix = csr_matrix(np.floor(random.random((30, 23)) * 1.6).astype(np.float32))
    whole = column_neighbours(matrix, 4)
    monkeypatch.setattr(sparse_module, "_BLOCK", 5)
    parts = column_neighbours(matrix, 4)
    np.testing.assert_array_equal(parts.toarray(), whole.toarray())


def test_rows_are_the_same_in_any_order_and_number():
    random = np.random.default_rng(0)
    matrix = csr_matrix(np.floor(random.random((30, 23)) * 1.6).astype(np.float32))
    whole = column_neighbours(matrix, 4, 1.5).toarray()
    some = ColumnNeighbours(matrix, 4, 1.5)
    for asked in ([3], [22, 0, 7, 7], [], list(range(23))):
        rows = some.rows(np.array(asked, dtype=np.int64))
        np.testing.assert_array_equal(rows.toarray(), whole[asked])


def test_a_table_in_any_order_is_the_same_matrix():
    random = np.random.default_rng(1)
    matrix = csr_matrix(np.floor(random.random((9, 14)) * 1.6).astype(np.float32))
    table = matrix_table(matrix)
    for rows in (np.arange(table.num_rows), random.permutation(table.num_rows)):
        found = table_matrix(table.take(rows), matrix.shape, "t")
        assert found.has_canonical_format and found.dtype == np.float32
        np.testing.assert_array_equal(found.toarray(), matrix.toarray())


@settings(deadline=None, max_examples=80, derandomize=True)
@given(weight_matrices(), st.integers(1, 7), st.sampled_from([0.0, 1.0, 2.5]))
def test_item_knn_equals_the_loop(weights, neighbours, shrinkage):
    fitted = ItemKnn.fit(sellers(weights), neighbours=neighbours, shrinkage=shrinkage)
    expected = oracle_scores.item_knn(weights.astype(float).tolist(), 7, shrinkage)
    whole = ItemKnn.fit(sellers(weights), neighbours=7, shrinkage=shrinkage)
    np.testing.assert_allclose(whole.score(np.arange(5)), expected, rtol=1e-5, atol=1e-6)
    assert (fitted._items.toarray() > 0).sum(axis=0).max() <= neighbours


def test_item_knn_equals_the_loop_where_neighbours_are_cut():
    weights = np.random.default_rng(5).random((6, 9)).astype(np.float32)
    found = ItemKnn.fit(sellers(weights), neighbours=3).score(np.arange(6))
    np.testing.assert_allclose(found, oracle_scores.item_knn(weights.tolist(), 3, 0), rtol=1e-5)


@pytest.mark.parametrize("square", [True, False])
def test_checkerboard_puts_the_missing_square_first(square):
    # sellers of one colour list all products of that colour but one: exactly that one is missing
    board = (np.add.outer(np.arange(20), np.arange(20)) % 2 == 0).astype(np.float32)
    np.fill_diagonal(board, 0)
    problem = Problem(csr_matrix(board), np.full(20, -1), 0, is_square=square)
    scores = ItemKnn.fit(problem).score(np.arange(20))
    scores[board > 0] = -np.inf
    np.testing.assert_array_equal(scores.argmax(axis=1), np.arange(20))


def test_log_weighting_softens_counts():
    softened = reweight(csr_matrix(np.array([[0, 1], [3, 0]])), "log").toarray()
    np.testing.assert_allclose(softened, [[0, np.log(2)], [np.log(4), 0]], rtol=1e-6)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(weight_matrices())
def test_sparse_table_round_trip(weights):
    matrix = csr_matrix(weights)
    again = table_matrix(matrix_table(matrix), (5, 7), "pairs")
    np.testing.assert_array_equal(again.toarray(), weights)


def test_sparse_table_outside_the_shape_is_refused():
    table = matrix_table(csr_matrix(np.eye(4)))
    with pytest.raises(SchemaError, match=r"pairs: .* candidate_idx goes from 0 to 3"):
        table_matrix(table, (4, 3), "pairs")


def test_text_knn_adds_the_three_nearest_listed_products():
    vectors = unit([[1, 0], [1, 1], [0, 1], [-1, 0], [3, 4]])
    scores = TextKnn.fit(sellers([[1, 1, 1, 1, 0]], vectors)).score(np.array([0]))
    # candidate (3/5, 4/5): cosines 3/5, 7/(5 sqrt 2), 4/5 and -3/5, the last is left out
    np.testing.assert_allclose(scores[0, 4], 3 / 5 + 7 / (5 * np.sqrt(2)) + 4 / 5, rtol=1e-6)


def test_text_knn_of_fewer_listed_products_adds_what_there_is():
    vectors = unit([[1, 0], [0, 0], [3, 4], [-1, 0]])
    scores = TextKnn.fit(sellers([[1, 1, 0, 0], [0, 1, 0, 0]], vectors)).score(np.arange(2))
    np.testing.assert_allclose(scores, [[1, 0, 3 / 5, -1], [0, 0, 0, 0]], rtol=1e-6)


def test_text_knn_of_products_is_the_cosine():
    vectors = unit([[1, 0], [3, 4], [0, 0]])
    problem = Problem(csr_matrix((3, 3)), np.full(3, -1), 0, vectors=vectors, is_square=True)
    scores = TextKnn.fit(problem).score(np.array([1, 2]))
    np.testing.assert_allclose(scores, [[3 / 5, 1, 0], [0, 0, 0]], rtol=1e-6)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    weight_matrices((0.0, 0.0, 1.0)),
    arrays(np.int64, (7, 3), elements=st.integers(-3, 3)),
    st.integers(1, 4),
)
def test_text_knn_equals_the_loop(weights, rows, nearest):
    vectors = unit(rows)
    found = TextKnn.fit(sellers(weights, vectors), nearest=nearest).score(np.arange(5))
    expected = oracle_scores.text_knn(weights.tolist(), vectors.tolist(), nearest)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_text_knn_without_vectors_says_what_it_needs():
    with pytest.raises(SchemaError, match="text-knn needs --vectors"):
        TextKnn.fit(sellers([[1, 0]]))


@pytest.mark.parametrize("method", [ItemKnn, Ease])
def test_ids_outside_the_catalogue_tell_which_products_go_together(method):
    # 0 leads to a and 1; 2 leads to a: what follows 0 is near for 2, and nothing else says so
    matrix = csr_matrix(([1.0], ([0], [1])), shape=(4, 4), dtype=np.float32)
    context = csr_matrix(([1.0, 1.0], ([0, 2], [0, 0])), shape=(4, 1), dtype=np.float32)
    problem = Problem(
        matrix=matrix, types=np.zeros(4, np.int64), num_types=1, context=context, is_square=True
    )

    fitted = method.fit(problem)

    scores = fitted.score(np.array([2]))
    assert scores.shape == (1, 4)
    assert scores[0].argmax() == 1
    assert method.fit(replace(problem, context=None)).score(np.array([2])).max() <= 0
    tables = fitted.tables()
    loaded = method.load(problem, tables.__getitem__)
    assert np.array_equal(loaded.score(np.array([2])), scores)
