"""Sceptre: both logistic models by hand, and planted topics."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem, Sceptre
from cprtools.errors import SchemaError


def sigmoid(odds):
    return 1 / (1 + np.exp(-odds))


def market(seed=0, kinds=4, size=120):
    """Kind k is completed by kind k + 1, never back; kinds are what the titles talk about."""
    random = np.random.default_rng(seed)
    of = np.arange(size) % kinds
    words = np.zeros((size, 10 * kinds), dtype=np.float32)
    for row, kind in enumerate(of):
        words[row, 10 * kind + random.choice(10, 6, replace=False)] = 1
    follows = (of[:, None] + 1) % kinds == of
    shown = follows & (random.random((size, size)) < 0.5)
    problem = Problem(
        csr_matrix(shown.astype(np.float32)),
        np.full(size, -1),
        0,
        words=csr_matrix(words),
        is_square=True,
    )
    return problem, of


def test_the_score_is_the_product_of_two_logistic_models_worked_by_hand():
    topics = np.array([[1, 0], [1 / 2, 1 / 2]], dtype=np.float32)
    link = np.array([[2, 0], [0, 4]], dtype=np.float32)
    fitted = Sceptre(topics, link, -1.0, np.array([1, 3], dtype=np.float32))
    # linked: -1 + 2 * 1 * 1/2 + 4 * 0 * 1/2; forward: 1 * (1/2 - 1) + 3 * (1/2 - 0)
    forward = sigmoid(-1 + 1) * sigmoid(-1 / 2 + 3 / 2)
    backward = sigmoid(-1 + 1) * sigmoid(1 / 2 - 3 / 2)
    found = fitted.score(np.array([0, 1]))
    assert found[0, 1] == pytest.approx(forward, rel=1e-6)
    assert found[1, 0] == pytest.approx(backward, rel=1e-6)
    assert found[0, 0] == pytest.approx(sigmoid(-1 + 2) * 1 / 2, rel=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_a_full_link_recovers_which_topic_completes_which(seed):
    problem, kinds = market(seed)
    fitted = Sceptre.fit(problem, seed=seed, topics=8, link="full")
    best = kinds[fitted.score(np.arange(len(kinds))).argmax(axis=1)]
    assert (best == (kinds + 1) % 4).mean() > 0.95


def test_the_published_diagonal_cannot_join_different_topics_by_themselves():
    problem, kinds = market()
    fitted = Sceptre.fit(problem, topics=8, link="diagonal")
    best = kinds[fitted.score(np.arange(len(kinds))).argmax(axis=1)]
    assert (best == (kinds + 1) % 4).mean() < 0.6
    assert np.count_nonzero(fitted.tables()["sceptre_topics"].column("link")[0].as_py()) <= 1


def test_direction_follows_the_pairs_that_go_one_way():
    # two kinds, one completes the other and never back
    random = np.random.default_rng(0)
    kinds = np.arange(60) % 2
    words = np.zeros((60, 20), dtype=np.float32)
    for row, kind in enumerate(kinds):
        words[row, 10 * kind + random.choice(10, 6, replace=False)] = 1
    pairs = ((kinds[:, None] == 0) & (kinds == 1)).astype(np.float32)
    problem = Problem(
        csr_matrix(pairs), np.full(60, -1), 0, words=csr_matrix(words), is_square=True
    )
    scores = Sceptre.fit(problem, topics=2, link="full").score(np.arange(60))
    first, second = np.nonzero(pairs)
    assert (scores[first, second] > scores[second, first]).mean() > 0.95


def test_products_without_text_or_attributes_say_what_is_needed():
    bare = Problem(csr_matrix((3, 3)), np.full(3, -1), 0, is_square=True)
    with pytest.raises(SchemaError, match="sceptre needs --products with a title"):
        Sceptre.fit(bare)
