"""Words, brands, codes and the stored problem."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.baselines.catalogue import (
    encode,
    number_values,
    numeric_columns,
    numeric_prices,
    unit_rows,
)
from cprtools.baselines.storage import load_problem, problem_tables
from cprtools.baselines.vocabulary import learn_vocabulary, title_brand
from cprtools.errors import SchemaError


def attribute_codes(products):
    return learn_vocabulary(products).codes(products)


def title_words(products):
    return learn_vocabulary(products).word_rows(products)


def test_codes_follow_the_sorted_names_and_nulls_are_minus_one():
    codes, names = encode(pa.array(["b", None, "a", "b"]))
    assert codes.tolist() == [1, -1, 0, 1]
    assert names == ("a", "b")


def test_a_title_leads_with_its_brand_where_no_column_names_it():
    titles = pa.chunked_array([["Acme lens", "  acme BAG", None, ""]])
    assert title_brand(titles).to_pylist()[:3] == ["acme", "acme", None]
    codes = attribute_codes(pa.table({"title": titles}))["brand"]
    assert codes[0] == codes[1]
    assert codes[2] == -1


def test_rare_words_weigh_more_and_rows_have_length_one():
    titles = ["red lens micro", "red bag micro", "red tripod", "blue lens", "blue strap wide"]
    words = title_words(pa.table({"title": titles})).toarray()
    known = words.any(axis=1)
    np.testing.assert_allclose(np.linalg.norm(words[known], axis=1), 1, atol=1e-6)
    # micro, lens and blue are in two titles of five; red is in more than half and tells nothing:
    # lens and micro weigh the same, so row 0 shares one of its two words with rows 1 and 3
    assert words[0] @ words[1] == pytest.approx(1 / np.sqrt(2), abs=1e-6)
    assert words[0] @ words[3] == pytest.approx(1 / 2, abs=1e-6)
    assert not words[2].any()


def test_titles_without_a_shared_word_tell_nothing():
    assert title_words(pa.table({"title": ["one", "two"]})) is None
    assert title_words(pa.table({"product_id": ["x"]})) is None


def test_prices_that_are_none_are_unknown():
    prices = numeric_prices(pa.table({"price": [1.5, None, 0.0, -3.0]}))
    assert prices[0] == pytest.approx(1.5)
    assert np.isnan(prices[1:]).all()
    assert numeric_prices(pa.table({"price": pa.array([None, None], pa.float64())})) is None


def test_numbers_beyond_float32_are_unknown():
    # the largest double stands for "none" in some exports
    beyond = [2.0, np.finfo(np.float64).max, np.inf, 1e39]
    for values in (
        numeric_prices(pa.table({"price": beyond})),
        number_values(pa.chunked_array([beyond])),
    ):
        np.testing.assert_array_equal(values, np.float32([2, np.nan, np.nan, np.nan]))


def test_zero_rows_stay_zero():
    rows = unit_rows(np.array([[3, 4], [0, 0]], dtype=np.float32))
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


@pytest.mark.parametrize("size", [1e30, 1e18, 1e-13, 1e-30])
def test_the_direction_of_a_vector_counts_however_long_or_short_it_is(size):
    plain = np.array([[3, 4], [0, 0], [4, -3]], dtype=np.float32)
    rows = unit_rows(plain * np.array([[1], [1], [size]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0.8, -0.6]], rtol=1e-6)


def stored(members):
    def read(name):
        buffer = io.BytesIO()
        pq.write_table(members[name], buffer)
        return pq.read_table(buffer)

    return read


def problem():
    square = csr_matrix(np.array([[0, 2, 0], [0, 0, 1], [1, 0, 0]], dtype=np.float32))
    return Problem(
        matrix=square,
        types=np.array([0, -1, 1]),
        num_types=2,
        vectors=np.eye(3, 4, dtype=np.float32),
        words=csr_matrix(np.array([[1, 0], [0, 0], [0, 1]], dtype=np.float32)),
        attributes={"brand": np.array([0, 0, -1])},
        prices=np.array([1, np.nan, 3], dtype=np.float32),
        numbers={"weight": np.array([np.nan, 2, 7], dtype=np.float32)},
        context=csr_matrix(np.array([[0, 4], [3, 0], [0, 1]], dtype=np.float32)),
        is_candidate=np.array([True, False, True]),
        similar=csr_matrix(square.T, dtype=bool),
        co_views=square,
        is_square=True,
    )


def test_a_stored_problem_comes_back_as_it_was():
    before = problem()
    members = problem_tables(before)
    after = load_problem(stored(members), frozenset(members), 3, 2, True)
    for name in ("matrix", "words", "similar", "co_views", "context"):
        assert (getattr(before, name) != getattr(after, name)).nnz == 0, name
    for name in ("types", "vectors", "prices", "is_candidate"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), name)
    np.testing.assert_array_equal(before.attributes["brand"], after.attributes["brand"])
    np.testing.assert_array_equal(before.numbers["weight"], after.numbers["weight"])
    assert after.co_purchases is None


@pytest.mark.parametrize(
    ("member", "broken"),
    [
        ("codes", {"types": np.array([0, -1, 5])}),
        ("text_vectors", {"vectors": np.eye(2, 4, dtype=np.float32)}),
        ("interactions", {"matrix": csr_matrix(np.eye(4, dtype=np.float32))}),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(member, broken):
    members = problem_tables(problem())
    members[member] = problem_tables(replace(problem(), **broken))[member]
    with pytest.raises(SchemaError):
        load_problem(stored(members), frozenset(members), 3, 2, True)


def test_further_columns_of_shared_words_and_flags_are_attributes_and_names_are_not():
    n = 20
    products = pa.table(
        {
            "product_id": [f"p{i}" for i in range(n)],
            "colour": ["red", None, "blue", "red"] * 5,
            "is_organic": [True, False] * 10,
            "barcode": [f"{i:04}" for i in range(n)],
            "always": ["same"] * n,
        }
    )
    codes = attribute_codes(products)
    assert sorted(codes) == ["colour", "is_organic"]
    assert codes["colour"][:4].tolist() == [1, -1, 0, 1]


def test_whole_numbers_beyond_what_a_fraction_holds_are_numbers_too():
    nanoseconds = [1_700_000_000_000_000_001, None, 1_800_000_000_000_000_003]
    products = pa.table({"product_id": ["a", "b", "c"], "at": pa.array(nanoseconds, pa.int64())})
    found = numeric_columns(products)["at"]
    assert found[::2].tolist() == np.array(nanoseconds[::2], np.float32).tolist()
    assert np.isnan(found[1])


def test_further_numbers_keep_their_gaps_and_constants_tell_nothing():
    products = pa.table(
        {
            "product_id": ["a", "b", "c"],
            "price": [1.0, 2.0, 3.0],
            "weight": pa.array([3, None, 5], pa.int64()),
            "volume": [1.0, float("inf"), 1.0],
        }
    )
    numbers = numeric_columns(products)
    assert list(numbers) == ["weight"]
    assert numbers["weight"].tolist()[::2] == [3, 5]
    assert np.isnan(numbers["weight"][1])
