"""What is held out inside the training part: listings, pairs, queries, products."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.ranking.holdout import (
    hold_out_listings,
    hold_out_pairs,
    share_held_out,
    shares_at_sellers,
    unlisted_by_draw,
)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 1000), st.sampled_from([0.1, 0.2, 0.5]))
def test_each_seller_gives_its_share_rounded_down(seed, fraction):
    rng = np.random.default_rng(seed)
    matrix = csr_matrix((rng.random((12, 30)) < 0.3).astype(np.float32))
    problem = Problem(matrix=matrix, types=np.full(30, -1), num_types=0)
    inner, held = hold_out_listings(problem, fraction=fraction, seed=seed)
    sizes = np.diff(matrix.indptr)
    expected = np.where(sizes >= 5, np.floor(sizes * fraction), 0)
    assert np.diff(held.indptr).tolist() == expected.tolist()
    assert (inner.matrix + held != matrix).nnz == 0


def square(seed=0, n=200):
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.random((n, n)) < 0.05, 1) | np.tril(rng.random((n, n)) < 0.02, -1)
    views = csr_matrix((rng.random((n, n)) < 0.02).astype(np.float32))
    return Problem(
        matrix=csr_matrix(dense.astype(np.float32)),
        types=np.zeros(n, dtype=np.int64),
        num_types=1,
        co_views=views,
        is_square=True,
    )


def test_both_directions_of_a_pair_are_held_out_together():
    problem = square()
    inner, held = hold_out_pairs(problem, pairs=0.5, queries=0, products=0, seed=3)
    with_reverse = (held > 0).multiply((problem.matrix.T > 0).tocsr())
    assert with_reverse.nnz > 0
    assert inner.matrix.T.tocsr().multiply(with_reverse).nnz == 0
    assert held.nnz == pytest.approx(0.5 * problem.matrix.nnz, rel=0.1)


def test_held_out_queries_keep_the_pairs_towards_them():
    problem = square()
    inner, held = hold_out_pairs(problem, pairs=0, products=0, seed=3)
    cold = np.flatnonzero(np.diff(held.indptr))
    assert (np.diff(inner.matrix.indptr)[cold] == 0).all()
    assert inner.matrix[:, cold].nnz > 0


def test_new_products_lose_every_pair_and_every_view():
    problem = square()
    inner, held = hold_out_pairs(problem, seed=3)
    touched = np.diff(inner.matrix.indptr) + inner.matrix.getnnz(axis=0)
    before = np.diff(problem.matrix.indptr) + problem.matrix.getnnz(axis=0)
    new = np.flatnonzero((touched == 0) & (before > 0))
    assert 0.04 * 200 < len(new) < 0.2 * 200
    assert inner.co_views[new].nnz == 0
    assert inner.co_views[:, new].nnz == 0
    assert held.nnz + inner.matrix.nnz == problem.matrix.nnz


def test_a_share_of_the_products_is_held_out_as_if_nobody_listed_them_yet():
    listed = np.random.default_rng(0).random((60, 400)) < 0.1
    matrix = csr_matrix(listed.astype(np.float32))
    problem = Problem(matrix=matrix, types=np.zeros(400, dtype=np.int64), num_types=1)
    inner, held = hold_out_listings(problem, products=0.1, seed=3)
    assert (inner.matrix + held != problem.matrix).nnz == 0
    listed = np.diff(problem.matrix.tocsc().indptr) > 0
    gone = listed & (np.diff(inner.matrix.tocsc().indptr) == 0)
    # of 400 products about 40: four standard errors of a share of 1/10 are 24
    assert abs(gone.sum() - 40) < 24
    # of the others each seller gives the fifth that it gave before
    _, before = hold_out_listings(problem, seed=3)
    rest = held.toarray()[:, ~gone]
    assert (rest == before.toarray()[:, ~gone]).all()
    # some would have lost all their listings without that, too
    drawn = unlisted_by_draw(problem, inner, seed=3)
    left = (problem.matrix - before).toarray().any(axis=0)
    assert (drawn == gone & left).all()
    assert drawn.any()
    hot = replace(problem, is_candidate=np.arange(400) < 200)
    _, few = hold_out_listings(hot, products=0.1, seed=3)
    assert few.nnz and not few[:, 200:].nnz


def test_the_share_held_out_is_that_of_the_listings_of_usual_candidates():
    # product 2 was drawn as new, product 3 is no candidate
    matrix = csr_matrix(np.array([[1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 0, 1]], dtype=np.float32))
    hot = np.array([True, True, True, False])
    problem = Problem(matrix, np.full(4, -1), 0, is_candidate=hot)
    positives = csr_matrix(([1.0, 1.0], ([0, 0], [0, 2])), shape=(3, 4))
    unlisted = np.array([False, False, True, False])
    assert share_held_out(problem, positives, unlisted) == 1 / 5
    assert share_held_out(replace(problem, is_candidate=None), positives, unlisted) == 1 / 7
    assert share_held_out(problem, positives, np.ones(4, dtype=bool)) == 1


def co_purchased(pairs, size):
    """Symmetric counts of these pairs."""
    matrix = np.zeros((size, size), dtype=np.float32)
    for left, right in pairs:
        matrix[left, right] = matrix[right, left] = 3
    return csr_matrix(matrix)


def test_co_purchases_at_a_seller_are_held_out_with_its_listing():
    # two sellers of ten products each, that share the first
    matrix = np.zeros((2, 19), dtype=np.float32)
    matrix[0, :10] = matrix[1, 9:] = matrix[1, 0] = 1
    at_sellers = [(i, j) for i in range(10) for j in range(i)]
    pairs = co_purchased(at_sellers, 19)
    problem = Problem(csr_matrix(matrix), np.full(19, -1), 0, co_purchases=pairs)
    share, by_chance = shares_at_sellers(problem)
    assert share == by_chance == 1
    assert (hold_out_listings(problem, seed=0)[0].co_purchases != pairs).nnz == 0
    inner, held = hold_out_listings(problem, purchases_at_sellers=True, seed=0)
    gone = set(held[0].indices) - {0, 9}
    assert gone
    number = (matrix - held.toarray()).T @ (matrix - held.toarray())
    for left, right in at_sellers:
        count = inner.co_purchases[left, right]
        assert count == inner.co_purchases[right, left]
        # of the first and the last of the first seller's some, since the second lists them, too
        assert 0 <= count <= 3
        if number[left, right] != 1 or {left, right} != {0, 9}:
            assert count == (3 if number[left, right] else 0)


def test_purchases_stay_in_the_share_of_the_sellers_that_are_left():
    # each of four sellers lists every product
    matrix = csr_matrix(np.ones((4, 40), dtype=np.float32))
    counts = np.full((40, 40), 100, dtype=np.float32)
    np.fill_diagonal(counts, 0)
    problem = Problem(matrix, np.full(40, -1), 0, co_purchases=csr_matrix(counts))
    inner, held = hold_out_listings(problem, purchases_at_sellers=True, seed=0)
    listed = (matrix - held).toarray()
    expected = 100 * (listed.T @ listed) / 4
    np.fill_diagonal(expected, 0)
    found = inner.co_purchases.toarray()
    assert (found == found.T).all()
    # five deviations of 100 draws at most
    assert abs(found - expected).max() <= 25
    assert found.sum() == pytest.approx(expected.sum(), rel=0.02)
    again = hold_out_listings(problem, purchases_at_sellers=True, seed=0)[0]
    assert (again.co_purchases != inner.co_purchases).nnz == 0


def test_co_purchases_that_no_seller_explained_before_stay():
    matrix = np.kron(np.eye(2), np.ones((1, 10))).astype(np.float32)
    across = [(i, 10 + j) for i in range(10) for j in range(5)]
    co_purchases = co_purchased([*across, (1, 0)], 20)
    problem = Problem(csr_matrix(matrix), np.full(20, -1), 0, co_purchases=co_purchases)
    assert shares_at_sellers(problem)[0] == pytest.approx(1 / 51)
    inner, held = hold_out_listings(problem, purchases_at_sellers=True, seed=0)
    assert held.nnz
    assert inner.co_purchases[:10, 10:].nnz == 50
    alone = replace(problem, co_purchases=None)
    assert hold_out_listings(alone, purchases_at_sellers=True, seed=0)[0].co_purchases is None
    assert shares_at_sellers(alone) == (0, 0)
    one = replace(problem, co_purchases=co_purchased([(0, 1)], 20))
    assert shares_at_sellers(one)[0] == 1


def test_a_random_pair_is_of_two_products():
    # each product has a seller of its own: one of both products never exists
    pairs = co_purchased([(i, j) for i in range(5) for j in range(i)], 5)
    matrix = csr_matrix(np.eye(5, dtype=np.float32))
    problem = Problem(matrix, np.full(5, -1), 0, co_purchases=pairs)
    assert shares_at_sellers(problem) == (0, 0)


def test_a_seller_of_everything_explains_co_purchases_and_random_pairs_alike():
    # twenty sellers of five products of their own; pairs are of one seller
    matrix = np.kron(np.eye(20), np.ones((1, 5))).astype(np.float32)
    at_sellers = [(5 * s + i, 5 * s + j) for s in range(20) for i in range(5) for j in range(i)]
    pairs = co_purchased(at_sellers, 100)
    problem = Problem(csr_matrix(matrix), np.full(100, -1), 0, co_purchases=pairs)
    share, by_chance = shares_at_sellers(problem)
    # a permuted pair is of one seller with 4 chances in 99
    assert share == 1 and by_chance < 0.1
    assert shares_at_sellers(problem) == (share, by_chance)
    mega = csr_matrix(np.vstack([matrix, np.ones((1, 100), dtype=np.float32)]))
    assert shares_at_sellers(replace(problem, matrix=mega)) == (1, 1)
