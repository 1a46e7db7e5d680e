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


def small_market():
    """One seller that lists products 0, 1 and 2, and five products that it does not list."""
    together = np.zeros((8, 8), dtype=np.float32)
    together[3, 0] = together[0, 3] = 2
    together[3, 1] = together[1, 3] = 5
    # cosines with product 2, the only listed one that has a vector
    cosines = np.array([np.nan, np.nan, 1, 0, 0.49, np.nan, np.nan, 0.5])
    vectors = np.nan_to_num(np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1))
    problem = SimpleNamespace(
        matrix=csr_matrix(np.array([[1, 1, 1, 0, 0, 0, 0, 0]], dtype=np.float32)),
        vectors=vectors.astype(np.float32),
        co_purchases=csr_matrix(together),
        num_candidates=8,
    )
    category = np.array([0, 0, 0, -1, -1, 0, -1, -1])
    return SimpleNamespace(
        stage=SimpleNamespace(problem=problem),
        brand_codes=np.array([0, 0, -1, 0, -1, -1, -1, -1]),
        brand_name=lambda col: "Acme",
        popularity=np.array([0, 0, 0, 7, 5, 4, 4, 0]),
        categories=lambda: (category, ("Shoes",)),
        text=lambda name, col: f"{name} {col}",
    )


def test_the_two_foremost_reasons_are_told_and_of_few_sellers_nothing():
    cols = np.arange(3, 8)
    assert SellerReasons(small_market())(np.zeros(5, np.int64), cols) == [
        # it is listed by seven sellers, too
        "you list 2 of Acme; bought together with your title 1 and 1 more of yours",
        "listed by 5 sellers",
        "you list 3 in Shoes",
        "no single reason stands out",
        "like your title 2",
    ]


def test_products_without_a_brand_or_a_category_are_nobodys():
    # one seller lists two of the last brand and category, the next one a product without either
    codes = np.array([0, 0, -1, -1, 0])
    problem = SimpleNamespace(
        matrix=csr_matrix(np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0]], dtype=np.float32)),
        vectors=None, co_purchases=None, num_candidates=5,
    )  # fmt: skip
    market = SimpleNamespace(
        stage=SimpleNamespace(problem=problem),
        brand_codes=codes,
        brand_name=lambda col: "Acme",
        popularity=np.zeros(5),
        categories=lambda: (codes, ("Shoes",)),
    )
    asked = np.array([0, 0, 1]), np.array([4, 3, 3])
    nothing = "no single reason stands out"
    assert SellerReasons(market)(*asked) == ["you list 2 of Acme", nothing, nothing]
    market.brand_codes = np.full(5, -1)
    assert SellerReasons(market)(*asked) == ["you list 2 in Shoes", nothing, nothing]


def test_a_long_name_is_cut_to_forty_letters():
    # product 7 is like product 2
    for title, shown in (
        ("a" * 40, "a" * 40),
        ("a" * 41, "a" * 39 + "\N{HORIZONTAL ELLIPSIS}"),
        ("a" * 38 + " is longer", "a" * 38 + "\N{HORIZONTAL ELLIPSIS}"),
    ):
        market = small_market()
        market.text = lambda name, col, title=title: title
        reasons = SellerReasons(market)(np.zeros(1, np.int64), np.array([7]))
        assert reasons == [f"like your {shown}"]
