"""How the second stage is fitted: how many trees it keeps."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Popularity, Problem
from cprtools.ranking import Settings, fit_two_stage
from cprtools.ranking.fitting import enough_trees
from cprtools.ranking.holdout import hold_out_listings


def staged(num_queries, gains, candidates=10):
    """Ten candidates a query, the second one is right; few trees find it first where they gain."""
    labels = np.tile(np.arange(candidates) == 1, num_queries).astype(np.float32)
    queries = np.repeat(np.arange(num_queries), candidates)
    wrong = np.tile(-np.arange(candidates, dtype=float), num_queries)
    few = wrong.reshape(num_queries, candidates).copy()
    few[gains, 1] = 1
    return {5: few.ravel(), 20: wrong}, labels, queries, np.ones(len(labels), dtype=bool)


def test_fewer_trees_are_kept_where_they_clearly_find_more():
    assert enough_trees(*staged(50, np.arange(20)), 1) == 5
    # ten queries gain by fewer and nine by more: that is no more than its error
    scores, *rest = staged(50, np.arange(10))
    more, *_ = staged(50, np.arange(10, 19))
    assert enough_trees({5: scores[5], 20: more[5]}, *rest, 1) == 20
    # as much is found by both
    assert enough_trees(*staged(50, np.arange(20)), 10) == 20


def test_rows_that_are_not_usual_do_not_decide():
    scores, labels, queries, usual = staged(50, np.arange(20))
    assert enough_trees(scores, labels, queries, usual & (queries >= 20), 1) == 20
    assert enough_trees(scores, labels, queries, np.zeros_like(usual), 1) == 20


@pytest.mark.parametrize("by_popularity", [True, False])
def test_a_market_of_noise_gets_fewer_trees(by_popularity):
    random = np.random.default_rng(0)
    chance = 0.4 / np.arange(1, 601) ** 0.5
    groups = random.integers(0, 6, 200)[:, None] == random.integers(0, 6, 600)[None]
    if not by_popularity:
        chance = np.where(groups, 0.3, 0.01)
    listed = random.random((200, 600)) < chance
    attributes = {"noise": random.integers(0, 30, 600)}
    problem = Problem(
        csr_matrix(listed.astype(np.float32)), np.full(600, -1), 0, attributes=attributes
    )
    said = []
    stage = fit_two_stage(
        problem,
        [hold_out_listings(problem, seed=0)],
        lambda inner: {"other": Popularity.fit(inner)},
        settings=Settings(num_trees=120),
        say=said.append,
    )
    kept = len(stage.trees.roots)
    assert f"ranker: {kept} trees" in said
    assert kept in (20, 40, 80, 120)
    assert kept < 120 or not by_popularity
