"""Sceptre: both logistic models by hand, and planted topics."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem, Sceptre
from cprtools.baselines.sceptre import _fit_direction, _pairs, _topic_shares
from cprtools.errors import SchemaError


def sigmoid(odds):
    return 1 / (1 + np.exp(-odds))


def market(seed=0, makers=4, size=120):
    """A maker's cases complete its phones, never back; titles name the maker and the kind."""
    random = np.random.default_rng(seed)
    maker, kind = np.arange(size) % makers, np.arange(size) // makers % 2
    words = np.zeros((size, 10 * (makers + 2)), dtype=np.float32)
    for row in range(size):
        words[row, 10 * maker[row] + random.choice(10, 6, replace=False)] = 1
        words[row, 10 * (makers + kind[row]) + random.choice(10, 3, replace=False)] = 1
    completes = (maker[:, None] == maker) & (kind[:, None] == 0) & (kind == 1)
    shown = completes & (random.random((size, size)) < 0.5)
    problem = Problem(
        csr_matrix(shown.astype(np.float32)),
        np.full(size, -1),
        0,
        words=csr_matrix(words),
        is_square=True,
    )
    return problem, completes


def test_the_score_is_the_product_of_two_logistic_models_worked_by_hand():
    topics = np.array([[1, 0], [1 / 2, 1 / 2]], dtype=np.float32)
    link = np.array([2, 4], dtype=np.float32)
    fitted = Sceptre(topics, link, -1.0, np.array([1, 3], dtype=np.float32))
    # linked: -1 + 2 * 1 * 1/2 + 4 * 0 * 1/2; forward: 1 * (1/2 - 1) + 3 * (1/2 - 0)
    forward = sigmoid(-1 + 1) * sigmoid(-1 / 2 + 3 / 2)
    backward = sigmoid(-1 + 1) * sigmoid(1 / 2 - 3 / 2)
    found = fitted.score(np.array([0, 1]))
    assert found[0, 1] == pytest.approx(forward, rel=1e-6)
    assert found[1, 0] == pytest.approx(backward, rel=1e-6)
    assert found[0, 0] == pytest.approx(sigmoid(-1 + 2) * 1 / 2, rel=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_products_of_one_maker_are_linked_and_only_from_phone_to_case(seed):
    problem, completes = market(seed)
    phones = np.flatnonzero(completes.any(axis=1))
    fitted = Sceptre.fit(problem, seed=seed, topics=6)
    scores = fitted.score(np.arange(len(completes)))
    best = scores[phones].argmax(axis=1)
    # one in eight by chance
    assert completes[phones, best].mean() > 0.7
    first, second = np.nonzero(completes)
    assert (scores[first, second] > scores[second, first]).mean() > 0.95


def test_topics_of_shuffled_titles_know_none_of_it():
    problem, completes = market()
    shuffled = problem.words[np.random.default_rng(1).permutation(len(completes))]
    fitted = Sceptre.fit(replace(problem, words=shuffled), topics=6)
    phones = np.flatnonzero(completes.any(axis=1))
    best = fitted.score(phones).argmax(axis=1)
    assert completes[phones, best].mean() < 0.4


def test_shares_of_topics_add_up_to_the_root_of_their_number_and_no_text_has_none():
    documents = csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=float))
    shares = _topic_shares(documents, 4, seed=0)
    np.testing.assert_allclose(shares.sum(axis=1), [2, 2, 0], rtol=1e-5)


def test_pairs_known_both_ways_say_nothing_about_the_direction():
    topics = np.random.default_rng(0).random((6, 3)).astype(np.float32)
    one_way = csr_matrix(([1.0, 1.0], ([0, 1], [2, 3])), shape=(6, 6))
    back = csr_matrix(([1.0, 1.0], ([4, 5], [5, 4])), shape=(6, 6))
    found = [
        _fit_direction(matrix, topics, np.argwhere(matrix.toarray()), 0.1)
        for matrix in (one_way, (one_way + back).tocsr())
    ]
    assert found[0].any()
    np.testing.assert_array_equal(*found)


def test_pairs_drawn_to_learn_from_are_neither_known_nor_of_one_product():
    dense = np.random.default_rng(0).random((30, 30)) < 0.5
    np.fill_diagonal(dense, False)
    known, drawn = _pairs(csr_matrix(dense.astype(np.float32)), seed=0)
    assert len(known) == dense.sum() and len(drawn)
    assert dense[known[:, 0], known[:, 1]].all()
    assert not (dense | np.eye(30, dtype=bool))[drawn[:, 0], drawn[:, 1]].any()


def test_products_without_text_or_attributes_say_what_is_needed():
    bare = Problem(csr_matrix((3, 3)), np.full(3, -1), 0, is_square=True)
    with pytest.raises(SchemaError, match="sceptre needs --products with a title"):
        Sceptre.fit(bare)
