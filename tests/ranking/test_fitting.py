"""How the second stage is fitted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Popularity, Problem
from cprtools.ranking import DrawnAsNew, Settings, fit_two_stage
from cprtools.ranking.holdout import hold_out_listings, share_held_out, unlisted_by_draw


@pytest.mark.parametrize("by_popularity", [True, False])
def test_a_market_of_noise_gets_fewer_trees_and_one_of_groups_all(by_popularity):
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
    assert kept in ((20, 40, 80) if by_popularity else (120,))


def unlisted_against_listed(their_weight):
    """How much likelier a product that nobody lists seems than one that three in ten sellers do."""
    random = np.random.default_rng(0)
    listed = random.random((300, 80)) < 0.3
    listed[:, 0] = False
    problem = Problem(csr_matrix(listed.astype(np.float32)), np.full(80, -1), 0)
    inner, positives = hold_out_listings(problem, products=0.2, seed=0)
    unlisted = unlisted_by_draw(problem, inner, seed=0)
    share = share_held_out(problem, positives, unlisted)
    stage = fit_two_stage(
        problem,
        [(inner, positives)],
        lambda part: {"popularity": Popularity.fit(part)},
        drawn_as_new=DrawnAsNew(unlisted, share if their_weight is None else their_weight),
    )
    sellers = np.arange(100)
    lists = stage.lists(sellers, ~listed[sellers], 80)
    gaps = [scores[cols == 0][0] - scores[cols != 0].mean() for cols, scores in lists]
    return share, np.mean(gaps)


def test_a_product_that_nobody_lists_seems_no_likelier_than_its_equals():
    share, gap = unlisted_against_listed(None)
    assert share == pytest.approx(0.19, abs=0.02)
    assert abs(gap) < 0.3
    # all of its listings would count where of the others a fifth does
    assert unlisted_against_listed(1.0)[1] > 1


def test_where_all_pairs_of_a_tiny_shop_are_held_out_there_is_no_ranker():
    problem = Problem(csr_matrix([[0, 2], [2, 0]], dtype=np.float32), np.full(2, -1), 0,
                      is_square=True)  # fmt: skip
    nothing = replace(problem, matrix=csr_matrix((2, 2), dtype=np.float32))

    def fit(part):
        assert part.matrix.nnz
        return {"popularity": Popularity.fit(part)}

    stage = fit_two_stage(problem, [(nothing, problem.matrix)] * 3, fit)
    assert stage.trees is None
    assert stage.problem.matrix.nnz == 2
    # a draw that leaves something is learnt from
    said = []
    fit_two_stage(problem, [(nothing, problem.matrix), (problem, nothing.matrix)], fit,
                  say=said.append)  # fmt: skip
    assert any("too few pairs" in line for line in said)


def test_where_too_few_pairs_are_held_out_sources_are_fitted_once():
    listed = np.zeros((4, 8), dtype=np.float32)
    listed[:, :5] = 1
    problem = Problem(csr_matrix(listed), np.full(8, -1), 0)
    fitted, said = [], []

    def fit(part):
        fitted.append(part.matrix.nnz)
        return {"popularity": Popularity.fit(part)}

    stage = fit_two_stage(problem, [hold_out_listings(problem, seed=0)], fit, say=said.append)
    assert (stage.trees, stage.calibration, fitted) == (None, None, [20])
    assert any("too few pairs" in line for line in said)
