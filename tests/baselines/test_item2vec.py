"""Item2vec: its draws, the optimum that its loss has, direction and products without pairs."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Item2Vec, Problem
from cprtools.baselines.item2vec import PairDraws


def problem(weights):
    matrix = csr_matrix(np.asarray(weights, dtype=np.float32))
    return Problem(matrix, np.full(matrix.shape[1], -1), 0, is_square=True)


def test_pairs_are_drawn_by_weight_and_negatives_by_popularity():
    matrix = csr_matrix(np.array([[0, 3, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32))
    draws = PairDraws(matrix, power=0.5, seed=0)
    queries, candidates = draws.pairs(20_000)
    assert set(zip(queries.tolist(), candidates.tolist(), strict=True)) == {(0, 1), (1, 2)}
    assert (queries == 0).mean() == pytest.approx(3 / 4, abs=0.02)
    # popularity 0, 3 and 1: never, root of 3 and 1
    drawn = np.bincount(draws.negatives(20_000), minlength=3) / 20_000
    root = 3**0.5
    np.testing.assert_allclose(drawn, [0, root / (root + 1), 1 / (root + 1)], atol=0.02)


def test_scores_approach_the_shifted_mutual_information():
    # skip-gram with n negatives has its optimum at log(P(q,c) / (P(q) P_n(c))) - log n
    # (Levy and Goldberg, 2014); 0 buys 1 and 2 three to one, 3 buys them one to three
    weights = np.zeros((4, 4))
    weights[0, 1], weights[0, 2], weights[3, 1], weights[3, 2] = 3, 1, 1, 3
    options = {"weighting": "raw", "power": 1.0, "negatives": 2, "embedding_dim": 8}
    fitted = Item2Vec.fit(problem(weights), epochs=60, learning_rate=0.05, **options)
    found = fitted.score(np.array([0, 3]))[:, [1, 2]]
    often, seldom = 3 / 8 / (1 / 2 * 1 / 2), 1 / 8 / (1 / 2 * 1 / 2)
    expected = np.log([[often, seldom], [seldom, often]]) - np.log(2)
    np.testing.assert_allclose(found, expected, atol=0.15)


def test_a_planted_direction_is_learnt_and_an_untrained_model_has_none():
    # products of kind k are completed by kind k + 1 of 4, never back
    kinds = np.arange(80) % 4
    random = np.random.default_rng(0)
    follows = (kinds[:, None] + 1) % 4 == kinds
    hidden = follows & (random.random((80, 80)) < 0.2)
    given = problem(follows & ~hidden)
    first, second = np.nonzero(hidden)
    shares = {}
    for rate in (0.02, 1e-9):
        scores = Item2Vec.fit(given, epochs=10, learning_rate=rate).score(np.arange(80))
        shares[rate] = (scores[first, second] > scores[second, first]).mean()
        scores[given.matrix.nonzero()] = -np.inf
        best = kinds[scores.argmax(axis=1)]
        assert ((best == (kinds + 1) % 4).mean() > 0.95) == (rate == 0.02)
    assert shares[0.02] > 0.95 > shares[1e-9]


def test_products_without_pairs_have_no_evidence():
    weights = np.zeros((4, 4))
    weights[0, 1] = weights[1, 0] = 1
    scores = Item2Vec.fit(problem(weights), epochs=2).score(np.arange(4))
    assert not scores[2:].any()
    assert not scores[:, 2:].any()
    assert scores[0, 1] != 0
