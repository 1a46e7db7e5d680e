"""EASE: worked by hand, by its definition, and on planted structure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from cprtools.baselines import Ease, Popularity, Problem
from cprtools.baselines import ease as ease_module
from cprtools.baselines.ease import item_weights


def problem(weights, *, is_square=False):
    matrix = csr_matrix(np.asarray(weights, dtype=np.float32))
    return Problem(matrix, np.full(matrix.shape[1], -1), 0, is_square=is_square)


def definition(weights, regularisation):
    """B from its formula, entry by entry."""
    size = weights.shape[1]
    precision = np.linalg.inv(weights.T @ weights + regularisation * np.eye(size))
    return np.array(
        [
            [0 if i == j else -precision[i, j] / precision[j, j] for j in range(size)]
            for i in range(size)
        ]
    )


def test_two_products_worked_by_hand():
    # columns (1, 1) and (1, 0): X'X + 1 = [[3, 1], [1, 2]], its inverse [[2, -1], [-1, 3]] / 5
    found = item_weights(csr_matrix([[1.0, 1.0], [1.0, 0.0]]), 1.0, 10).toarray()
    np.testing.assert_allclose(found, [[0, 1 / 3], [1 / 2, 0]], rtol=1e-6)
    scores = Ease.fit(problem([[1, 1], [1, 0]]), regularisation=1.0, weighting="raw")
    np.testing.assert_allclose(scores.score(np.array([1])), [[0, 1 / 3]], rtol=1e-6)


def test_without_a_pair_all_scores_are_zero_and_nothing_is_written(capfd):
    found = Ease.fit(problem(np.zeros((3, 2)))).score(np.arange(3))
    assert found.tolist() == [[0, 0]] * 3
    assert capfd.readouterr() == ("", "")


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.sampled_from([(4, 7), (9, 5)]).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.0, 1.0, 3.0]))
    ),
    st.sampled_from([0.5, 2.0, 30.0]),
)
def test_both_sides_of_the_inverse_equal_the_formula(weights, regularisation):
    # more columns than rows goes through the rows' side; columns without entries are left out
    found = item_weights(csr_matrix(weights), regularisation, 100).toarray()
    np.testing.assert_allclose(found, definition(weights, regularisation), atol=1e-5)


@pytest.mark.parametrize("rows", [40, 15])
def test_blocks_and_neighbours_keep_the_largest_of_every_column(monkeypatch, rows):
    # fewer rows than columns go through the rows' side of the inverse
    random = np.random.default_rng(0)
    weights = (random.random((rows, 23)) < 0.3).astype(np.float64)
    weights[0] = 1
    whole = definition(weights, 2.0)
    monkeypatch.setattr(ease_module, "_BLOCK", 7)
    found = item_weights(csr_matrix(weights), 2.0, 4).toarray()
    for column in range(23):
        largest = np.sort(np.abs(whole[:, column]))[-4:]
        kept = found[:, column] != 0
        assert kept.sum() == 4
        np.testing.assert_allclose(np.sort(np.abs(found[kept, column])), largest, rtol=1e-5)


def test_past_the_limit_the_most_popular_take_part(monkeypatch):
    monkeypatch.setattr(ease_module, "MOST_ITEMS", 2)
    weights = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1.0]])
    found = item_weights(csr_matrix(weights), 1.0, 10).toarray()
    assert not found[1].any() and not found[:, 1].any()
    np.testing.assert_allclose(found[[0, 2]][:, [0, 2]], definition(weights[:, [0, 2]], 1.0))


@pytest.mark.parametrize("is_square", [True, False])
def test_planted_groups_are_found_and_popularity_does_not_find_them(is_square):
    random = np.random.default_rng(1)
    groups = np.arange(60) % 4
    full = (groups[:, None] == groups) & ~np.eye(60, dtype=bool)
    hidden = full & (random.random((60, 60)) < 0.2)
    given = problem(full & ~hidden, is_square=is_square)
    right = {}
    for method in (Ease, Popularity):
        scores = method.fit(given).score(np.arange(60))
        scores[given.matrix.nonzero()] = -np.inf
        scores[np.arange(60), np.arange(60)] = -np.inf
        found = hidden[np.arange(60), scores.argmax(axis=1)]
        right[method] = found[hidden.any(axis=1)].mean()
    assert right[Ease] == 1
    assert right[Popularity] < 0.5
