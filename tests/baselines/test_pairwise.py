"""LightGCN and BPR: the propagation, its gradient, early stopping, and planted groups recovered."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Bpr, LightGcn, Popularity, Problem
from cprtools.baselines.lightgcn import (
    LightGcnConfig,
    Trainer,
    normalised_graph,
    propagate,
    stop_early,
)
from cprtools.baselines.tuning import fit_tuned
from tests.baselines.test_factorisation import low_rank_problem, recall


def two_blocks(rows=40, columns=60):
    """Even sellers list half of the even products, odd ones of the odd; and what is in a block."""
    block = np.arange(rows)[:, None] % 2 == np.arange(columns)[None] % 2
    listed = block & (np.random.default_rng(0).random(block.shape) < 0.5)
    return Problem(csr_matrix(listed.astype(np.float32)), np.full(columns, -1), 0), block


def share_in_block(fitted, problem, block):
    """Of the best product that each seller does not list."""
    scores = fitted.score(np.arange(problem.num_queries))
    scores[problem.matrix.nonzero()] = -np.inf
    return block[np.arange(len(block)), scores.argmax(axis=1)].mean()


def test_one_layer_is_worked_by_hand():
    # seller 0 lists products 0 and 1, seller 1 lists product 1: degrees 2, 1 and 1, 2
    graph = normalised_graph(csr_matrix([[3.0, 1.0], [0.0, 1.0]]))
    root = 2**0.5
    expected = np.zeros((4, 4))
    expected[0, 2], expected[0, 3], expected[1, 3] = 1 / root, 1 / 2, 1 / root
    np.testing.assert_allclose(graph.toarray(), expected + expected.T, rtol=1e-6)
    nodes = np.array([[1], [2], [3], [4]], dtype=np.float32)
    # of seller 0: (1 + 3 / root + 4 / 2) / 2; of product 1: (4 + 1 / 2 + 2 / root) / 2
    sellers = [(1 + 3 / root + 4 / 2) / 2, (2 + 4 / root) / 2]
    products = [(3 + 1 / root) / 2, (4 + 1 / 2 + 2 / root) / 2]
    found = propagate(graph, nodes, 1)
    np.testing.assert_allclose(found[:, 0], [*sellers, *products], rtol=1e-6)
    np.testing.assert_array_equal(propagate(graph, nodes, 0), nodes)


def test_the_gradient_is_that_of_the_loss_by_torch():
    import torch

    problem, _ = low_rank_problem(rows=7, columns=9)
    config = LightGcnConfig(embedding_dim=3, num_layers=2, regularisation=0.3)
    trainer = Trainer(problem.matrix, config, seed=0)
    trainer.nodes *= 10
    sellers, listed, others = np.array([0, 1, 1, 6]), np.array([2, 3, 3, 0]), np.array([5, 1, 8, 2])
    found = trainer.gradient(sellers, listed, others)
    nodes = torch.tensor(trainer.nodes, dtype=torch.float64, requires_grad=True)
    step = torch.tensor(trainer.graph.toarray(), dtype=torch.float64)
    smooth = (nodes + step @ nodes + step @ step @ nodes) / 3
    i, j = listed + 7, others + 7
    margin = (smooth[sellers] * (smooth[i] - smooth[j])).sum(dim=1)
    length = sum(nodes[rows].square().sum(dim=1) for rows in (sellers, i, j))
    loss = (-torch.log(torch.sigmoid(margin)) + 0.3 / 2 * length).mean()
    torch.autograd.backward(loss)
    np.testing.assert_allclose(found, nodes.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [Bpr, LightGcn])
def test_two_planted_blocks_are_recovered(method):
    problem, block = two_blocks()
    untrained = method.fit(problem, learning_rate=1e-9)
    assert share_in_block(method.fit(problem), problem, block) == 1
    if method is Bpr:  # propagation alone tells the blocks apart
        assert share_in_block(untrained, problem, block) < 0.9


@pytest.mark.parametrize("method", [Bpr, LightGcn])
def test_tuned_on_planted_groups_it_beats_popularity(method):
    problem, hidden = low_rank_problem()
    said = []
    fitted = fit_tuned(method, problem, say=said.append)
    assert said[-1].startswith(f"{method.method}: chosen ")
    assert recall(fitted, problem, hidden) > 0.8
    assert recall(Popularity.fit(problem), problem, hidden) < 0.4


def test_training_widens_the_margin_of_listed_products():
    problem, block = two_blocks()
    margins = []
    for epochs in (1, 20):
        scores = LightGcn.fit(problem, epochs=epochs).score(np.arange(problem.num_queries))
        margins.append(scores[block].mean() - scores[~block].mean())
    assert margins[1] > 2 * margins[0]


def test_a_listing_of_a_product_that_is_no_candidate_still_carries_messages():
    # sellers 0 and 1 share product 0 only, which nobody may be recommended; seller 2 shares nothing
    listed = np.zeros((3, 5), dtype=np.float32)
    listed[[0, 1, 0, 1, 2, 2], [0, 0, 1, 2, 3, 4]] = 1
    wanted = np.array([False, True, True, True, True])
    problem = Problem(csr_matrix(listed), np.full(5, -1), 0, is_candidate=wanted)
    scores = LightGcn.fit(problem).score(np.array([0]))[0]
    assert scores[2] > max(scores[3], scores[4])


def test_a_seller_without_listings_gets_no_scores_of_its_own():
    problem, _ = two_blocks()
    matrix = problem.matrix.toarray()
    matrix[[3, 4]] = 0
    fitted = LightGcn.fit(Problem(csr_matrix(matrix), problem.types, 0), epochs=2)
    assert not fitted.score(np.array([3, 4])).any()


def test_other_products_are_drawn_from_those_not_listed():
    problem, _ = two_blocks()
    trainer = Trainer(problem.matrix, LightGcnConfig(), seed=0)
    sellers = np.repeat(np.arange(problem.num_queries), 50)
    others = trainer.draw_others(sellers)
    assert not problem.matrix.toarray()[sellers, others].any()
    assert len(np.unique(others)) == problem.num_candidates


def test_training_stops_after_the_measure_has_stopped_growing():
    done = []
    curve = {5: 0.1, 10: 0.3, 15: 0.2, 20: 0.3, 25: 0.1, 30: 0.9}
    reached, epochs = stop_early(lambda: done.append(1), lambda: curve[len(done)])
    assert (reached, epochs, len(done)) == (0.3, 10, 25)


def test_the_epochs_that_validated_best_are_those_of_the_fit():
    problem, _ = low_rank_problem()
    chosen = LightGcn.choose_settings(problem, seed=1, say=lambda _: None)
    assert chosen["epochs"] % 5 == 0
    fitted = fit_tuned(LightGcn, problem, seed=1)
    again = LightGcn.fit(problem, seed=1, **chosen)
    np.testing.assert_array_equal(fitted.score(np.arange(9)), again.score(np.arange(9)))
