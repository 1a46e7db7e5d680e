"""The triplet baseline: its loss by hand, its gradient, and the planted market."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.cpr.towers import triplet_loss
from cprtools.cpr.triplet import Triplet
from cprtools.errors import SchemaError, UsageError
from tests.contracts.recommender_contract import RecommenderContract, tiny_problem
from tests.cpr.market import make_market, share_of_right_heads

FAST = {"embedding_dim": 8, "epochs": 2}


class TestTriplet(RecommenderContract):
    is_seeded = True

    def make(self, problem, seed=0):
        return Triplet.fit(problem, seed=seed, **FAST)

    def test_a_problem_without_pairs_can_be_scored(self):
        with pytest.raises(SchemaError, match="found none"):
            self.make(tiny_problem(np.zeros((3, 3)), is_square=True))

    def test_a_single_candidate_can_be_scored(self):
        scores = self.make(tiny_problem([[1]], is_square=True)).score(np.array([0]))
        assert np.isfinite(scores).all()


def test_the_loss_is_the_mean_over_violated_triplets():
    true = torch.tensor([0.9, 0.1])
    sampled = torch.tensor([[0.8, 0.2], [0.4, 0.9]])
    is_other = torch.tensor([[True, True], [True, False]])
    # 0.2 - 0.9 + 0.8 = 0.1; 0.2 - 0.9 + 0.2 < 0: easy; 0.2 - 0.1 + 0.4 = 0.5; the last is true
    found = triplet_loss(true, sampled, is_other, 0.2).item()
    assert found == pytest.approx((0.1 + 0.5) / 2)


def test_no_violated_triplet_costs_nothing():
    loss = triplet_loss(torch.ones(2), -torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool), 0.2)
    assert loss.item() == 0


def test_the_gradient_of_the_loss_is_right():
    random = np.random.default_rng(0)
    true, sampled = (
        torch.tensor(random.uniform(-1, 1, size=shape), requires_grad=True)
        for shape in ((4,), (4, 5))
    )
    is_other = torch.tensor(random.random((4, 5)) < 0.7)
    assert torch.autograd.gradcheck(
        lambda a, b: triplet_loss(a, b, is_other, 0.31), (true, sampled)
    )


def test_the_planted_market_is_learnt_for_new_products_too():
    market = make_market()
    heads = {}
    for rate in (0.01, 0.0):
        fitted = Triplet.fit(market.problem, epochs=10, embedding_dim=16, learning_rate=rate)
        for name, queries in (
            ("known", np.unique(market.held_out[:, 0])),
            ("new", np.flatnonzero(market.is_new)),
        ):
            heads[name, rate] = share_of_right_heads(market, fitted.score(queries), queries)
    assert min(heads["known", 0.01], heads["new", 0.01]) > 0.9
    assert max(heads["known", 0.0], heads["new", 0.0]) < 0.5


def test_pairs_score_higher_the_way_they_go():
    market = make_market()
    fitted = Triplet.fit(market.problem, epochs=10, embedding_dim=16)
    first, second = market.held_out.T
    forward, backward = fitted.score_pairs(first, second), fitted.score_pairs(second, first)
    assert (forward > backward).mean() > 0.9


def test_options_out_of_range_and_sellers_are_refused():
    market = make_market(num_types=2, num_brands=2, copies=2)
    with pytest.raises(UsageError, match="margin must be at least 0"):
        Triplet.fit(market.problem, margin=-1)
    with pytest.raises(UsageError, match="no option 'depth'"):
        Triplet.fit(market.problem, depth=3)
    with pytest.raises(SchemaError, match="answers products, not sellers"):
        Triplet.fit(Problem(csr_matrix((2, 3)), np.full(3, -1), 0))


def test_scoring_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, cprtools.cpr.triplet; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
