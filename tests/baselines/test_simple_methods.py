"""Popularity, co-purchase and the methods by type: worked by hand and against slow loops."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from cprtools.baselines import (
    CoPurchase,
    Popularity,
    Problem,
    Reverse,
    TypeCounts,
    TypePopularity,
)
from tests.baselines import oracle_scores

# phones 0 and 1, case 2, charger 3, and 4 without a type
WEIGHTS = np.array(
    [
        [0, 1, 4, 0, 0],
        [0, 0, 2, 1, 0],
        [3, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 2, 0],
    ],
    dtype=np.float32,
)
TYPES = np.array([0, 0, 1, 2, -1])
EVERYONE = np.arange(5)


def example(weights=WEIGHTS, types=TYPES, num_types=3):
    return Problem(csr_matrix(weights), np.asarray(types), num_types, is_square=True)


def square_matrices():
    weights = arrays(np.float32, (6, 6), elements=st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 5.0]))
    types = arrays(np.int64, 6, elements=st.integers(-1, 2)).filter(lambda t: (t >= 0).any())
    return st.tuples(weights, types)


def test_popularity_is_the_column_sum_for_every_query():
    scores = Popularity.fit(example()).score(np.array([3, 0]))
    np.testing.assert_array_equal(scores, [[3, 1, 6, 3, 1], [3, 1, 6, 3, 1]])


def test_co_purchase_count_is_the_querys_own_row():
    scores = CoPurchase.fit(example()).score(np.array([2, 3]))
    np.testing.assert_array_equal(scores, [[3, 0, 0, 0, 1], [0, 0, 0, 0, 0]])


def test_co_purchase_confidence_divides_by_the_row():
    scores = CoPurchase.fit(example(), variant="confidence").score(np.array([0]))
    np.testing.assert_allclose(scores, [[0, 1 / 5, 4 / 5, 0, 0]], rtol=1e-6)


def test_co_purchase_lift_compares_with_independence():
    scores = CoPurchase.fit(example(), variant="lift").score(np.array([0, 3]))
    lift = [0, 1 * 14 / (5 * 1), 4 * 14 / (5 * 6), 0, 0]
    np.testing.assert_allclose(scores, [lift, [0] * 5], rtol=1e-6)


def test_reverse_reads_the_pairs_that_lead_to_the_query():
    scores = Reverse.fit(example()).score(np.array([2, 3, 4]))
    np.testing.assert_array_equal(scores, [[4, 2, 0, 0, 0], [0, 1, 0, 0, 2], [0, 0, 1, 0, 0]])


def test_reverse_confidence_is_the_share_of_the_candidates_pairs():
    scores = Reverse.fit(example(), variant="confidence").score(np.array([2, 3]))
    # to 2: 4 of the 5 from 0, 2 of the 3 from 1; to 3: 1 of the 3 from 1, both of 4
    expected = [[4 / 5, 2 / 3, 0, 0, 0], [0, 1 / 3, 0, 0, 2 / 2]]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_reverse_answers_a_query_that_only_others_lead_to():
    # nobody bought anything after 3, but 4 led to it twice and 1 once
    query = np.array([3])
    assert not CoPurchase.fit(example()).score(query).any()
    assert Reverse.fit(example()).score(query).argmax() == 4


@pytest.mark.parametrize("method", [CoPurchase, Reverse])
@pytest.mark.parametrize("variant", ["count", "lift", "confidence"])
def test_co_purchase_variant_survives_storage(method, variant):
    fitted = method.fit(example(), variant=variant)
    loaded = method.load(example(), lambda name: fitted.tables()[name])
    np.testing.assert_array_equal(loaded.score(EVERYONE), fitted.score(EVERYONE))


def test_type_counts_adds_the_rows_of_the_querys_type():
    scores = TypeCounts.fit(example()).score(EVERYONE)
    phones, everything = [0, 1, 6, 1, 0], [3, 1, 6, 3, 1]
    np.testing.assert_array_equal(scores, [phones, phones, [3, 0, 0, 0, 1], [0] * 5, everything])


def test_type_popularity_multiplies_the_two_probabilities():
    fitted = TypePopularity.fit(example(), smoothing=1e-9)
    # phones are followed by phone 1, case 6, charger 1 of 8; phones were bought 3 and 1 times of 4
    np.testing.assert_allclose(
        fitted.type_scores(np.array([0])), [[1 / 8, 6 / 8, 1 / 8]], rtol=1e-6
    )
    expected = [1 / 8 * 3 / 4, 1 / 8 * 1 / 4, 6 / 8, 1 / 8, 0]
    np.testing.assert_allclose(fitted.score(np.array([0])), [expected], rtol=1e-6, atol=1e-9)


def test_type_popularity_spreads_the_pseudo_count():
    fitted = TypePopularity.fit(example(), smoothing=1.0)
    # shares of the four classes: (total + 1/4) / (14 + 1)
    share = np.array([4 + 1 / 4, 6 + 1 / 4, 3 + 1 / 4, 1 + 1 / 4]) / 15
    follows = (np.array([1, 6, 1, 0]) + share) / 9
    within = [(3 + 1 / 2) / 5, (1 + 1 / 2) / 5, 1, 1, 1]
    expected = follows[[0, 0, 1, 2, 3]] * within
    np.testing.assert_allclose(fitted.score(np.array([1])), [expected], rtol=1e-6)


def test_type_popularity_of_a_type_never_followed_falls_back_to_shares():
    fitted = TypePopularity.fit(example())
    share = np.array([4 + 1 / 4, 6 + 1 / 4, 3 + 1 / 4]) / 15
    np.testing.assert_allclose(fitted.type_scores(np.array([3, 4])), [share, share], rtol=1e-6)


def test_type_popularity_of_many_types_takes_the_memory_of_its_scores():
    n, num_types = 20_000, 200
    pairs = csr_matrix((np.ones(n, np.float32), (np.arange(n), (np.arange(n) * 7 + 1) % n)), (n, n))
    problem = Problem(pairs, np.arange(n) % num_types, num_types, is_square=True)
    fitted = TypePopularity.fit(problem)
    tracemalloc.start()
    scores = fitted.score(np.arange(num_types))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # in double precision at once it took five times as much
    assert peak < 1.5 * scores.nbytes


def test_type_popularity_scores_are_probabilities():
    fitted = TypePopularity.fit(example())
    np.testing.assert_allclose(fitted.score(EVERYONE).sum(axis=1), 1, rtol=1e-6)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(square_matrices())
def test_type_counts_equals_the_loop(case):
    weights, types = case
    found = TypeCounts.fit(example(weights, types)).score(np.arange(6))
    np.testing.assert_allclose(found, oracle_scores.type_counts(weights, list(types)))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(square_matrices(), st.sampled_from([0.1, 1.0, 3.0]))
def test_type_popularity_equals_the_loop(case, smoothing):
    weights, types = case
    fitted = TypePopularity.fit(example(weights, types), smoothing=smoothing)
    of_types, of_items = oracle_scores.type_popularity(weights, list(types), 3, smoothing)
    np.testing.assert_allclose(fitted.type_scores(np.arange(6)), of_types, rtol=1e-5)
    np.testing.assert_allclose(fitted.score(np.arange(6)), of_items, rtol=1e-5)
