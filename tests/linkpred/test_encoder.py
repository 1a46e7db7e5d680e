import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.graph.homogeneous import LISTS, make_graph
from cprtools.graph.sampling import full_blocks
from cprtools.linkpred.encoder import GraphEncoder, RelationalLayer, sampled_softmax_loss
from cprtools.linkpred.features import RMS, NodeFeatures


def small_graph(views=None):
    """Sellers 0 and 1, products 2 to 5; seller 0 lists three of them, seller 1 the last."""
    together = np.zeros((4, 4), dtype=np.float32)
    together[0, 3] = together[3, 0] = 2
    listings = csr_matrix(np.array([[1, 1, 1, 0], [0, 0, 0, 1]], dtype=np.float32))
    return make_graph(listings, csr_matrix(together), views)


def whole(graph):
    (block,) = full_blocks(graph)
    return block


def test_part_by_part_all_nodes_get_the_vectors_that_they_have_at_once():
    torch.manual_seed(0)
    graph, encoder = small_graph(), GraphEncoder(5, 8, 3, 0.1).eval()
    features, is_product = torch.randn(6, 5), (torch.arange(6) >= 2).long()
    with torch.no_grad():
        expected = encoder(features, is_product, [whole(graph)] * 3)
    found = encoder.everywhere(features, is_product, lambda: full_blocks(graph, 3))
    torch.testing.assert_close(found, expected)


def test_a_layer_adds_the_mapped_mean_of_each_relation_to_the_state():
    torch.manual_seed(0)
    graph, layer = small_graph(), RelationalLayer(3, 0.0)
    state = torch.randn(6, 3)
    found = layer(state, whole(graph), (torch.arange(6) >= 2).long())
    for node in range(6):
        change = layer.own(state[node])
        for number, transform in enumerate(layer.relations):
            sources = [
                int(s)
                for s, d, r in zip(graph.sources, graph.destinations, graph.relations, strict=True)
                if d == node and r == number
            ]
            if sources:
                change = change + transform(sum(state[s] for s in sources) / len(sources))
        expected = layer.norm(state[node] + torch.relu(change))
        torch.testing.assert_close(found[node], expected)


def test_encoder_vectors_have_length_one_and_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    graph, encoder = small_graph(), GraphEncoder(5, 8, 2, 0.0)
    block = whole(graph)
    out = encoder(torch.randn(6, 5), (block.nodes >= 2).long(), [block, block])
    torch.testing.assert_close(out.norm(dim=1), torch.ones(6))
    (out[:2] @ out[2:].T * encoder.scale).pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_the_loss_corrects_for_sampling_and_leaves_known_pairs_out():
    logits = torch.tensor([[2.0, 1.0, 0.5]])
    expected = torch.log(torch.tensor([0.5, 0.25, 1.0]))
    known = torch.tensor([[True, True, False]])
    found = sampled_softmax_loss(logits, torch.tensor([0]), expected, known)
    # candidate 1 is known too; exp(2)/0.5 against exp(0.5)/1
    share = 2 * np.exp(2) / (2 * np.exp(2) + np.exp(0.5))
    assert float(found) == pytest.approx(-np.log(share), rel=1e-5)


def test_a_sellers_vector_is_the_view_weighted_mean_of_its_products():
    views = csr_matrix([[1.0, 3, 0, 0], [0, 0, 0, 0]])
    vectors = np.eye(4, dtype=np.float32)
    features = NodeFeatures(small_graph(views), vectors, 8)
    found = features() / (RMS * 2)
    # views 1 and 3: (1/4, 3/4, 0, 0), then length 1; without views all listings count alike
    expected = np.array([1 / 4, 3 / 4, 0, 0]) / np.hypot(1 / 4, 3 / 4)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found[1], [0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found[2:], vectors, atol=1e-6)


def test_a_predicted_listing_takes_no_part_in_its_sellers_vector():
    graph, vectors = small_graph(), np.eye(4, dtype=np.float32)
    features = NodeFeatures(graph, vectors, 8)
    ends = list(zip(graph.sources.tolist(), graph.destinations.tolist(), strict=True))
    predicted = torch.tensor([ends.index((0, 3)), ends.index((1, 5))])
    found = features(predicted) / (RMS * 2)
    np.testing.assert_allclose(found[0], np.array([1, 0, 1, 0]) / 2**0.5, atol=1e-6)
    # nothing is left of the second seller
    np.testing.assert_allclose(found[1], np.zeros(4), atol=1e-3)
    np.testing.assert_allclose(features()[1] / (RMS * 2), [0, 0, 0, 1])


def test_a_predicted_listing_leaves_with_the_weight_of_its_views():
    graph = small_graph(csr_matrix([[1.0, 3, 2, 0], [0, 0, 0, 0]]))
    features = NodeFeatures(graph, np.eye(4, dtype=np.float32), 8)
    ends = list(zip(graph.sources.tolist(), graph.destinations.tolist(), strict=True))
    found = features(torch.tensor([ends.index((0, 3))])) / (RMS * 2)
    np.testing.assert_allclose(found[0], np.array([1, 0, 2, 0]) / 5**0.5, atol=1e-6)


def test_rounding_errors_of_a_seller_with_nothing_left_are_no_vector():
    rng = np.random.default_rng(0)
    graph = make_graph(csr_matrix(np.ones((1, 50))), None, rng.random(50, dtype=np.float32))
    features = NodeFeatures(graph, rng.standard_normal((50, 16), dtype=np.float32), 8)
    left = features(torch.from_numpy(np.flatnonzero(graph.relations == LISTS)))[0]
    assert 0 < left.norm() < 0.01 * RMS * 4


def test_the_shorter_numbers_are_those_of_the_table_in_every_batch():
    graph, vectors = small_graph(), np.random.default_rng(0).random((4, 4), dtype=np.float32)
    features = NodeFeatures(graph, vectors, 8, precision=torch.bfloat16)
    for predicted in (None, torch.tensor([0]), torch.tensor([1, 2]), None):
        table = features(predicted)
        assert torch.equal(features.short, table.to(torch.bfloat16))
    assert NodeFeatures(graph, vectors, 8).short is None


def test_products_without_a_vector_start_from_zero():
    vectors = np.eye(4, dtype=np.float32)
    vectors[2] = 0
    features = NodeFeatures(small_graph(), vectors, 8)
    assert features()[4].abs().sum() == 0


def test_random_initial_vectors_are_learned():
    features = NodeFeatures(small_graph(), None, 8)
    assert features().shape == (6, 8)
    assert [p.shape for p in features.parameters()] == [(6, 8)]
