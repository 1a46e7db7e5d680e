"""Why a product is recommended to a seller."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.answers.seller_reasons import SellerReasons

LISTED = 4000


def large_seller():
    """One seller that lists the first half of the products; each has a twin in the other half."""
    angles = np.linspace(0, 6, LISTED)
    vectors = np.tile(np.column_stack([np.cos(angles), np.sin(angles)]), (2, 1)).astype(np.float32)
    listed = np.arange(LISTED)
    matrix = csr_matrix((np.ones(LISTED), (listed * 0, listed)), shape=(1, 2 * LISTED))
    problem = SimpleNamespace(
        matrix=matrix, vectors=vectors, co_purchases=None, num_candidates=2 * LISTED
    )
    unknown = np.full(2 * LISTED, -1)
    return SimpleNamespace(
        stage=SimpleNamespace(problem=problem),
        brand_codes=unknown,
        popularity=np.zeros(2 * LISTED),
        categories=lambda: (unknown, ()),
        text=lambda name, col: f"{name} {col}",
    )


def test_the_full_ranking_of_a_large_seller_takes_little_memory():
    cols = np.arange(LISTED, 2 * LISTED)
    write = SellerReasons(large_seller())
    tracemalloc.start()
    reasons = write(np.zeros(LISTED, np.int64), cols)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons == [f"like your title {col - LISTED}" for col in cols]
    # all products by all listings would be 64 MB
    assert peak < 40e6
