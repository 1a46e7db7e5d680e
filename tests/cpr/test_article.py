"""The article preset: its outputs, its closed form, and gradients of both published presets."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch.utils._python_dispatch import TorchDispatchMode

from cprtools.baselines import Problem
from cprtools.cpr.article import ArticleNetwork
from cprtools.cpr.batches import PairSampler
from cprtools.cpr.config import make_config
from cprtools.cpr.features import encode_features
from cprtools.cpr.pcompanion import DirectedNetwork, PaperNetwork
from cprtools.cpr.product2vec import attention_weights, pool_neighbours
from cprtools.cpr.scoring import ClosedForm, TransitionTable
from cprtools.cpr.training import article_loss, closed_form, paper_loss
from tests.cpr import oracle_losses as oracle
from tests.cpr.market import SMALL, make_market


@pytest.fixture(scope="module")
def market():
    return make_market(num_types=3, num_brands=3, copies=4)


def network_of(kind, problem, **options):
    torch.manual_seed(1)
    preset = "article" if kind is ArticleNetwork else "paper"
    config = make_config({**SMALL, "preset": preset, "margin": 2.5, **options}, seed=0)
    return kind(encode_features(problem), config).eval()


def batch_of(network, problem):
    return next(PairSampler(problem.matrix, network.config, np.random.default_rng(0)).epoch())


def test_an_output_joins_the_product_and_one_predicted_type_by_hand(market):
    network = network_of(ArticleNetwork, market.problem)
    query = torch.tensor([3])
    with torch.no_grad():
        theta = network.embed(query)[0].numpy()
        gamma = network.outputs_of_type(network.types_of(query))[0].numpy()
        found = network.outputs(query)[0].numpy()
    assert gamma.shape == (3, 8)
    weights, bias = (x.detach().numpy() for x in (network.join.weight, network.join.bias))
    for k in range(3):
        expected = weights @ np.concatenate([theta, gamma[k]]) + bias
        np.testing.assert_allclose(found[k], expected, rtol=1e-4, atol=1e-5)


def test_the_item_distance_is_that_of_the_nearest_output(market):
    network = network_of(ArticleNetwork, market.problem)
    queries, candidates = torch.tensor([3, 7]), torch.tensor([[8, 2, 5], [1, 0, 9]])
    with torch.no_grad():
        outputs = network.outputs(queries).numpy()
        found = network.item_distance(queries, candidates).numpy()
        for row, column in np.ndindex(2, 3):
            theta = network.embed(candidates[row, column][None])[0].numpy()
            nearest = min(oracle.squared_distance(out, theta) for out in outputs[row])
            assert found[row, column] == pytest.approx(nearest, rel=1e-4)


def test_the_numpy_score_is_the_distance_that_the_article_network_trains(market):
    network = network_of(ArticleNetwork, market.problem)
    form = closed_form(network, market.problem.matrix)
    queries = torch.tensor([0, 5, 9, 30])
    everyone = torch.arange(market.problem.num_candidates).expand(4, -1)
    with torch.no_grad():
        expected = -network.item_distance(queries, everyone).numpy() / 2.5
    np.testing.assert_allclose(form.logits(queries.numpy()), expected, rtol=1e-4, atol=1e-4)


def test_the_best_of_several_outputs_scores():
    # outputs (1, 0) and (0, 2) against candidates (3, 0), (0, 1) and (1, 1)
    form = ClosedForm(
        embeddings=np.zeros((3, 2), np.float32),
        source=np.tile(np.array([[1, 0, 0, 2]], np.float32), (3, 1)),
        target=np.array([[3, 0], [0, 1], [1, 1]], np.float32),
        bias=np.array([0, 0.5, 0], np.float32),
        transitions=TransitionTable(np.log(np.full((2, 2), 1 / 2, np.float32))),
        types=np.zeros(3, np.int64),
        type_weight=0.0,
    )
    np.testing.assert_allclose(form.logits(np.array([1])), [[3, 2.5, 2]])


def test_types_are_judged_by_their_items(market):
    network = network_of(ArticleNetwork, market.problem, type_margin=3.0)
    form = closed_form(network, market.problem.matrix)
    types = market.problem.types
    with torch.no_grad():
        products = torch.arange(len(types))
        theta, outputs = network.embed(products).numpy(), network.outputs(products).numpy()
    items = np.array([theta[types == w].mean(axis=0) for w in range(3)])
    for u in range(3):
        mine = outputs[types == u].mean(axis=0)
        near = np.array([min(oracle.squared_distance(o, item) for o in mine) for item in items])
        powers = np.exp(-near / 3)
        found = form.type_probabilities(np.flatnonzero(types == u)[:1])[0]
        np.testing.assert_allclose(found, powers / powers.sum(), rtol=1e-3)


def test_the_article_loss_reaches_every_parameter_through_items_alone(market):
    network = network_of(ArticleNetwork, market.problem, margin=0.01, num_outputs=2)
    article_loss(network, batch_of(network, market.problem)).backward()
    names = dict(network.named_parameters())
    assert not any("complement" in name or "projection" in name for name in names)
    for name, parameter in names.items():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("kind", "loss"), [(PaperNetwork, paper_loss), (ArticleNetwork, article_loss)]
)
def test_gradients_of_the_published_losses_equal_finite_differences(kind, loss):
    types = np.array([0, 1, 0, 1, 2])
    matrix = csr_matrix(np.eye(5, k=1, dtype=np.float32))
    prices = np.array([1, 2, 5, 9, 3], np.float32)
    problem = Problem(matrix, types, 3, prices=prices, is_square=True)
    sizes = {"embedding_dim": 3, "type_dim": 2, "hidden_dim": 4, "attribute_dim": 2}
    options = {**sizes, "num_negatives": 2, "batch_size": 4, "slack": 0.37, "type_slack": 0.37}
    network = network_of(kind, problem, **options, type_margin=0.4).double()
    network.dense = network.dense.double()
    batch = batch_of(network, problem)
    names, values = zip(*network.named_parameters(), strict=True)

    def loss_of(*parameters):
        for name, value in zip(names, parameters, strict=True):
            holder, _, leaf = name.rpartition(".")
            module = network.get_submodule(holder)
            # a plain attribute in the parameter's place, so that gradients reach the argument
            module._parameters.pop(leaf, None)
            setattr(module, leaf, value)
        return loss(network, batch)

    start = tuple(value.detach().clone().requires_grad_() for value in values)
    assert torch.autograd.gradcheck(loss_of, start)


def test_gradients_of_the_attention_equal_finite_differences():
    random = np.random.default_rng(0)
    item, neighbours = (
        torch.tensor(random.normal(size=shape), requires_grad=True) for shape in ((2, 3), (2, 4, 3))
    )
    is_real = torch.tensor([[True, True, True, False], [True, False, True, False]])
    for is_scaled in (True, False):
        assert torch.autograd.gradcheck(
            lambda i, n, s=is_scaled: pool_neighbours(i, n, is_real, is_scaled=s),
            (item, neighbours),
        )


def test_unscaled_attention_is_the_softmax_of_the_dot_products_and_sums_to_one():
    item, neighbours = torch.tensor([[1.0, 2.0]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    found = attention_weights(item, neighbours, torch.ones(1, 2, dtype=torch.bool), is_scaled=False)
    # dot products 1 and 2
    expected = [[1 / (1 + np.e), np.e / (1 + np.e)]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.sum().item() == pytest.approx(1)


class Largest(TorchDispatchMode):
    """The most numbers that a tensor made inside the block has."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.untyped_storage().size():
            self.numbers = max(self.numbers, made.untyped_storage().nbytes() // made.itemsize)
        return made


@pytest.mark.parametrize("kind", [DirectedNetwork, PaperNetwork, ArticleNetwork])
def test_transitions_of_many_types_hold_no_numbers_of_all_pairs(kind):
    market = make_market(num_types=200, num_brands=1, copies=1)
    network = network_of(kind, market.problem)
    with Largest() as largest:
        types = closed_form(network, market.problem.matrix).transitions
    assert largest.numbers < 201 * 201
    assert max(types.source.size, types.target.size) < 201 * 201
    np.testing.assert_allclose(np.exp(types.rows(np.arange(201))).sum(axis=1), 1, rtol=1e-5)
