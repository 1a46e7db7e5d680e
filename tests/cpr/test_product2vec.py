import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.cpr.config import CprConfig
from cprtools.cpr.features import encode_features
from cprtools.cpr.product2vec import Product2Vec, attention_weights, pool_neighbours
from tests.cpr import oracle_losses as oracle


def problem_of(**parts):
    n = 4
    given = {"types": np.array([0, 2, -1, 1]), "num_types": 3, **parts}
    return Problem(matrix=csr_matrix((n, n), dtype=np.float32), is_square=True, **given)


def test_unknown_codes_get_a_row_of_their_own():
    features = encode_features(problem_of(attributes={"brand": np.array([-1, 0, 1, -1])}))
    assert features.codes.tolist() == [[0, 2], [2, 0], [3, 1], [1, 2]]
    assert features.sizes == (4, 3)


def test_missing_vectors_and_prices_are_flagged_zeros():
    prices = np.array([np.e - 1, np.nan, np.e**3 - 1, np.nan], dtype=np.float32)
    vectors = np.array([[1, 0], [0, 0], [0, 1], [0, 0]], dtype=np.float32)
    dense = encode_features(problem_of(vectors=vectors, prices=prices)).dense
    # logs of 1 + price are 1 and 3: mean 2, deviation 1
    expected = [[1, 0, 1, -1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(dense, expected, atol=1e-5)
    assert dense.dtype == np.float32


def test_attributes_of_another_length_are_the_callers_bug():
    with pytest.raises(ValueError, match="one entry per candidate"):
        encode_features(problem_of(attributes={"brand": np.array([0, 1])}))


def test_attention_equals_the_slow_loop_and_ignores_padding():
    random = np.random.default_rng(0)
    item, neighbours = random.normal(size=(2, 6)), random.normal(size=(2, 4, 6))
    is_real = np.array([[True, True, True, False], [True, False, False, False]])
    found = attention_weights(*(torch.tensor(x) for x in (item, neighbours, is_real))).numpy()
    np.testing.assert_allclose(found[0, :3], oracle.attention(item[0], neighbours[0, :3]))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert not found[~is_real].any()
    padded = neighbours.copy()
    padded[~is_real] = 1e6
    pooled = pool_neighbours(torch.tensor(item), torch.tensor(neighbours), torch.tensor(is_real))
    again = pool_neighbours(torch.tensor(item), torch.tensor(padded), torch.tensor(is_real))
    np.testing.assert_array_equal(pooled, again)
    np.testing.assert_allclose(pooled[1], neighbours[1, 0])


def test_a_product_without_neighbours_pools_to_zero():
    pooled = pool_neighbours(
        torch.ones(1, 3), torch.ones(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool)
    )
    assert pooled.tolist() == [[0, 0, 0]]


def test_products_of_equal_features_have_equal_embeddings():
    torch.manual_seed(0)
    network = Product2Vec((3, 4), 2, CprConfig(embedding_dim=5)).eval()
    dense = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    codes = torch.tensor([[0, 1], [0, 1], [0, 1]])
    theta = network(dense, codes)
    assert theta.shape == (3, 5)
    assert torch.allclose(theta[0], theta[1])
    assert not torch.allclose(theta[0], theta[2], atol=1e-3)


def test_numbers_are_standardised_over_what_is_known_and_gaps_are_flagged():
    weights = np.array([1, np.nan, 3, np.nan], dtype=np.float32)
    dense = encode_features(problem_of(numbers={"weight": weights})).dense
    # mean 2, deviation 1
    assert dense[:, -2].tolist() == [-1, 0, 1, 0]
    assert dense[:, -1].tolist() == [1, 0, 1, 0]
