"""A pool: some candidates, numbered anew."""

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.retrieval import Pool


def test_a_pool_numbers_its_members_in_their_order():
    pool = Pool.where(np.array([False, True, False, True, True]))
    assert pool.members.tolist() == [1, 3, 4]
    assert pool.places(np.arange(5)).tolist() == [-1, 0, -1, 1, 2]
    assert pool.places(np.array([[4, 2], [2, 1]], dtype=np.int32)).tolist() == [[2, -1], [-1, 0]]
    assert not pool.is_whole


def test_the_whole_pool_keeps_every_number():
    pool = Pool.all_of(3)
    assert pool.is_whole and pool.members.tolist() == [0, 1, 2]
    assert pool.places(np.array([2, 0])).tolist() == [2, 0]


def test_an_empty_pool_has_no_number_for_anything():
    assert Pool.where(np.zeros(3, dtype=bool)).places(np.array([0, 2])).tolist() == [-1, -1]


def test_what_a_matrix_holds_is_forbidden_inside_the_pool_alone():
    pool = Pool.where(np.array([False, True, True]))
    known = csr_matrix(np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0]]))
    allowed = np.ones((2, 2), dtype=bool)
    # the queries in another order than the matrix has them
    pool.forbid(allowed, known, np.array([1, 0]))
    assert allowed.tolist() == [[False, True], [True, False]]
    pool.forbid(allowed, None, np.array([1, 0]))
    assert allowed.tolist() == [[False, True], [True, False]]
