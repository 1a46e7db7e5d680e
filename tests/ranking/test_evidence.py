"""What types say about a pair: by hand, and with as many types as products."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.ranking import Evidence
from cprtools.retrieval import Pool


def _type_transition(problem, query_idx, cols):
    evidence = Evidence(problem, {}, Pool.all_of(problem.num_candidates))
    places = np.arange(len(cols))
    return evidence.features(np.array(query_idx), places, np.array(cols), {})["type_transition"]


def test_type_transition_is_the_smoothed_lift_of_one_type_after_another():
    # types 0, 1, 1 and none; of the three pairs between types two go 0 -> 1 and one 1 -> 0
    matrix = csr_matrix(
        (np.ones(4, np.float32), ([0, 0, 1, 0], [1, 2, 0, 3])), shape=(4, 4), dtype=np.float32
    )
    problem = Problem(matrix, np.array([0, 1, 1, -1]), 2, is_square=True)
    found = _type_transition(problem, [0, 1, 0, 3], [2, 2, 3, 0])
    prior = (2 + 1) / (3 + 2)
    expected = [(2 + 5 * prior) / (2 + 5) / prior, (0 + 5 * prior) / (1 + 5) / prior, 1, 1]
    assert found.tolist() == pytest.approx(np.log(expected).tolist())


def test_type_transition_of_products_without_any_type_is_zero():
    matrix = csr_matrix(([1.0], ([0], [1])), shape=(2, 2), dtype=np.float32)
    problem = Problem(matrix, np.array([-1, -1]), 0, is_square=True)
    assert _type_transition(problem, [0], [1]).tolist() == [0]


def test_a_type_per_product_takes_no_table_of_all_pairs_of_types():
    size = 4_000
    products = np.arange(size)
    matrix = csr_matrix((np.ones(size, np.float32), (products, (products + 1) % size)))
    problem = Problem(matrix, products, size, is_square=True)
    evidence = Evidence(problem, {}, Pool.all_of(size))
    tracemalloc.start()
    try:
        found = evidence._type_transition(products, (products + 1) % size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found > 0).all()
    # a table of float64 takes 128 MB
    assert peak < 16_000_000


def test_what_is_known_of_a_pair_and_of_the_products_before_it_by_hand():
    matrix = np.zeros((5, 5), dtype=np.float32)
    matrix[0, [1, 2]] = 3, 1
    matrix[2, [0, 3]] = 2, 6
    matrix[4, [0, 3]] = 1, 1
    views = np.zeros((5, 5), dtype=np.float32)
    views[0, [1, 2]] = 3, 1
    problem = Problem(
        csr_matrix(matrix), np.full(5, -1), 0, attributes={"brand": np.full(5, -1)},
        co_views=csr_matrix(views), is_square=True,
    )  # fmt: skip
    evidence = Evidence(problem, {}, Pool.all_of(5))
    found = evidence.features(np.array([0]), np.zeros(2, np.int64), np.array([2, 3]), {})

    # of the 4 bought after 0 one is 2, and of the 8 after 2 two are 0
    assert np.expm1(found["bought"]).tolist() == pytest.approx([1, 0])
    assert found["confidence"].tolist() == pytest.approx([1 / 4, 0])
    assert np.expm1(found["reverse"]).tolist() == pytest.approx([2, 0])
    assert found["reverse_confidence"].tolist() == pytest.approx([2 / 8, 0])
    # 2 and 4 lead to 0, half each, and to 3 by 6 and by 1
    assert found["siblings"].tolist() == pytest.approx([0, (6 + 1) / 2])
    # a quarter of the views beside 0 is of 2, which leads to 3 by 6
    assert found["co_viewed"].tolist() == pytest.approx([0, 6 / 4])
    # nobody knows whether products of unknown brand share it
    assert found["same_brand"].tolist() == [0, 0]
