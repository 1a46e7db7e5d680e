import tracemalloc

import numpy as np
import pytest
import torch
from scipy.sparse import random as sparse_random

from cprtools.cpr.batches import PairSampler, SoftmaxSampler, damped
from cprtools.cpr.config import make_config
from cprtools.cpr.features import encode_features
from cprtools.cpr.pcompanion import DirectedNetwork, PaperNetwork, TypeTransition
from cprtools.cpr.training import closed_form, directed_loss, paper_loss, train
from cprtools.cpr.warmstart import right_factors, start_tables
from tests.cpr import oracle_losses as oracle
from tests.cpr.market import SMALL, make_market


@pytest.fixture(scope="module")
def market():
    return make_market(num_types=3, num_brands=3, copies=4)


def paper_network(problem, **options):
    torch.manual_seed(1)
    config = make_config({**SMALL, "preset": "paper", "margin": 2.5, **options}, seed=0)
    return PaperNetwork(encode_features(problem), config).eval()


def pair_batch(network, problem):
    return next(PairSampler(problem.matrix, network.config, np.random.default_rng(0)).epoch())


def directed_network(problem, **options):
    torch.manual_seed(1)
    config = make_config({**SMALL, **options}, seed=0)
    network = DirectedNetwork(encode_features(problem), config)
    with torch.no_grad():
        for table in (network.identity, network.history, network.popularity):
            table.weight.normal_()
        network.type_bias.normal_()
    return network.eval()


def test_the_numpy_score_is_the_distance_that_the_paper_network_trains(market):
    network = paper_network(market.problem)
    form = closed_form(network, market.problem.matrix)
    queries = torch.tensor([0, 5, 9, 30])
    candidates = torch.tensor([7, 5, 2, 11])
    with torch.no_grad():
        items = network.item_distance(queries, candidates[:, None])[:, 0].numpy()
    found = form.logits(queries.numpy())[np.arange(4), candidates.numpy()]
    types = form.transitions.rows(form.types[queries])[np.arange(4), form.types[candidates]]
    np.testing.assert_allclose(found, -items / 2.5 + types, rtol=1e-4, atol=1e-5)


def test_the_item_distance_by_hand(market):
    network = paper_network(market.problem)
    with torch.no_grad():
        theta = network.embed(torch.tensor([3, 8])).numpy()
        complement = network.transition.complement.weight[market.types[8]].numpy()
        projected = network.projection.weight.numpy() @ complement + network.projection.bias.numpy()
        found = network.item_distance(torch.tensor([3]), torch.tensor([[8]])).item()
    assert found == pytest.approx(oracle.squared_distance(theta[0] * projected, theta[1]), rel=1e-4)


def test_the_type_score_is_the_distance_that_the_paper_network_trains(market):
    network = paper_network(market.problem, type_margin=3.0)
    form = closed_form(network, market.problem.matrix)
    types = torch.arange(4)
    with torch.no_grad():
        distances = network.type_distance(types, types.expand(4, 4)).numpy()
    powers = np.exp(-distances / 3.0)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(form.transitions.rows(np.arange(4))), expected, rtol=1e-4)
    query = np.array([6])
    np.testing.assert_allclose(
        form.type_probabilities(query)[0], expected[market.types[6], :3], rtol=1e-4
    )


def test_the_numpy_score_is_what_the_default_network_trains(market):
    network = directed_network(market.problem, identity_dropout=0.0, type_weight=0.7)
    form = closed_form(network, market.problem.matrix)
    sampler = SoftmaxSampler(market.problem.matrix, network.config, np.random.default_rng(0))
    batch = next(sampler.epoch())
    with torch.no_grad():
        vectors, bias = network.candidate_side(batch.candidates, batch.is_known)
        source = torch.from_numpy(form.source)[batch.queries]
        full = network.log_transitions(network.types_of(batch.queries))
        expected = source @ vectors.T + bias
        expected = expected + 0.7 * full[:, network.types_of(batch.candidates)]
    found = form.logits(batch.queries.numpy())[:, batch.candidates.numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_training_and_query_time_share_the_query_side(market):
    network = directed_network(market.problem)
    form = closed_form(network, market.problem.matrix)
    n, matrix = market.problem.num_candidates, market.problem.matrix
    history = network.history.weight.detach().numpy()
    for query in (0, 4, 17, n - 1):
        with torch.no_grad():
            expected = network.source(network.embed(torch.tensor([query])))[0].numpy()
        forward, reverse = matrix[query].indices, matrix[:, [query]].nonzero()[0]
        if len(forward):
            expected = expected + history[forward].sum(axis=0) / len(forward) ** 0.5
        if len(reverse):
            expected = expected + history[n + reverse].sum(axis=0) / len(reverse) ** 0.5
        np.testing.assert_allclose(form.source[query], expected, rtol=1e-4, atol=1e-5)


def test_switching_the_identity_off_leaves_the_features(market):
    network = directed_network(market.problem)
    products = torch.arange(market.problem.num_candidates)
    off, off_bias = network.candidate_side(products, torch.zeros(len(products)))
    with torch.no_grad():
        network.identity.weight.zero_()
        network.popularity.weight.zero_()
    on, on_bias = network.candidate_side(products, torch.ones(len(products)))
    assert torch.equal(off, on)
    assert torch.equal(off_bias, on_bias)


def test_a_type_has_one_embedding_as_query_and_another_as_complement():
    torch.manual_seed(0)
    network = TypeTransition(4, make_config(SMALL, seed=0)).eval()
    near = network(torch.arange(4)) @ network.complement.weight.T
    assert not torch.allclose(near, near.T, atol=1e-2)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_the_joint_loss_reaches_every_parameter(market, preset):
    problem = market.problem
    if preset == "paper":
        network = paper_network(problem, margin=0.01)
        paper_loss(network, pair_batch(network, problem)).backward()
    else:
        network = directed_network(problem)
        sampler = SoftmaxSampler(problem.matrix, network.config, np.random.default_rng(0))
        directed_loss(network, next(sampler.epoch())).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_the_type_loss_alone_leaves_the_items_alone(market):
    network = directed_network(market.problem, alpha=0.0)
    sampler = SoftmaxSampler(market.problem.matrix, network.config, np.random.default_rng(0))
    directed_loss(network, next(sampler.epoch())).backward()
    assert not network.identity.weight.grad.any()
    assert network.transition.query.weight.grad.any()


def test_right_factors_are_the_leading_singular_vectors():
    random = np.random.default_rng(0)
    spectrum = np.diag([9.0, 5, 3, 1, 0.1, 0.05])
    left, right = (np.linalg.qr(random.normal(size=(n, 6)))[0] for n in (30, 20))
    matrix = (left @ spectrum @ right.T).astype(np.float32)
    found = right_factors(matrix, 3, seed=0)
    np.testing.assert_allclose(np.abs(found.T @ right[:, :3]), np.eye(3), atol=1e-3)


def test_dimensions_beyond_the_rank_stay_zero(market):
    identity, history = start_tables(market.problem.matrix, 64, seed=0)
    assert identity.shape == (market.problem.num_candidates, 64)
    assert history.shape == (2 * market.problem.num_candidates, 64)
    assert np.isfinite(identity).all()
    assert not identity[:, 40:].any()
    assert not identity[market.is_new].any()


def test_known_pairs_start_at_the_same_logit_in_the_mean(market):
    matrix = market.problem.matrix
    identity, history = start_tables(matrix, 8, seed=0)
    weights = damped(matrix)
    sums = weights @ history[: matrix.shape[1]]
    pairs = weights.tocoo()
    sizes = np.diff(weights.indptr)[pairs.row]
    logits = np.einsum("ij,ij->i", sums[pairs.row], identity[pairs.col])
    # a query's sum is divided by the root of its number of pairs, as `history_bags` does
    assert (logits / np.sqrt(sizes)).mean() == pytest.approx(4, rel=1e-3)


def test_the_start_takes_no_number_for_each_pair_and_dimension():
    pairs = sparse_random(400, 400, density=0.5, format="csr", dtype=np.float32, random_state=0)
    tracemalloc.start()
    start_tables(pairs, 128, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < pairs.nnz * 128 * 4 / 2


def test_the_start_already_knows_the_planted_pairs(market):
    still = {"learning_rate": 0.0, "identity_learning_rate": 0.0, "validation_fraction": 0.0}
    options = {**SMALL, **still, "epochs": 1}
    form = train(market.problem, make_config(options, seed=0)).form
    items = form.source @ form.target.T
    known = market.problem.matrix.toarray() > 0
    assert items[known].mean() > items[~known].mean() + 2
