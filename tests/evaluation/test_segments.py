"""Segments by any column of the products or the sellers."""

import pyarrow as pa
import pytest

from cprtools.errors import UsageError
from cprtools.evaluation import evaluate_complements, evaluate_sellers
from cprtools.evaluation.results import combine_tables
from cprtools.evaluation.segments import MOST_VALUES, attributes
from tests.evaluation.metric_tables import listings, lists, pairs, values_of

PRODUCTS = pa.table(
    {
        "product_id": ["x", "y", "z", "w", "a", "b"],
        "brand": ["Acme", "Acme", " Bolt ", "", "Acme", "Bolt"],
        "price": [1.0, 2.0, 2.0, None, 1.0, 1.0],
        "in_stock": [True, False, True, None, True, True],
        "tags": [["one", "two"], ["one"], ["two"], [], ["one"], ["two"]],
    }
)
TRUTH = pairs("x a 1, y a 3, z a 1, w b 1")
LISTS = lists("x: a; y: b a; z: b; w: b")


def segments_of(column):
    by = attributes([column], {"products": PRODUCTS})
    found = values_of(evaluate_complements(LISTS, TRUTH, by=by, ks=(1,), bootstrap=0))
    return {segment: value for (metric, _, segment), value in found.items() if metric == "Hit"}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        # x is found, y with 3 purchases is not
        ("brand", {"brand=Acme": 1 / 4, "brand=Bolt": 0 / 1, "brand=(none)": 1 / 1}),
        ("price", {"price=1": 1 / 1, "price=2": 0 / 4, "price=(none)": 1 / 1}),
        ("in_stock", {"in_stock=yes": 1 / 2, "in_stock=no": 0 / 3, "in_stock=(none)": 1 / 1}),
        ("tags", {"tags=one": 1 / 4, "tags=two": 0 / 1, "tags=(none)": 1 / 1}),
    ],
)
def test_a_column_of_the_products_parts_the_queries(column, expected):
    assert segments_of(column) == pytest.approx({"all": 2 / 6, **expected})


def test_rare_values_are_taken_together_and_every_query_is_in_one_segment():
    ids = [f"p{i:03}" for i in range(100)]
    brands = [f"b{min(i, 99 - i):03}" for i in range(100)]
    products = pa.table({"product_id": ids, "brand": brands})
    (brand,) = attributes(["brand"], {"products": products})

    masks = brand.masks(pa.array(ids))

    assert len(masks) == MOST_VALUES + 1
    assert sum(masks.values()).tolist() == [1] * 100
    assert masks["brand=(others)"].sum() == 100 - 2 * MOST_VALUES
    assert "brand=b000" in masks


def test_a_number_of_many_values_is_cut_into_quarters_of_the_products():
    ids = [f"p{i}" for i in range(100)]
    products = pa.table({"product_id": ids, "price": [float(i) for i in range(100)]})
    (price,) = attributes(["price"], {"products": products})

    masks = price.masks(pa.array(ids))

    assert [int(mask.sum()) for mask in masks.values()] == [25, 25, 25, 25]
    assert "price=1 (0 to 24.75)" in masks
    assert "price=4 (74.25 to 99)" in masks


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        # 2^53 + 1 is no fraction, and these two have the same 15 digits
        ([2**53 + 1, 2**53 + 1, 2**53 + 3], {f"at={2**53 + 1}": 2, f"at={2**53 + 3}": 1}),
        ([1_700_000_000_000_000_001 + i * 10**9 for i in range(40)], [10, 10, 10, 10]),
        ([2**62 + i for i in range(30)], [30]),
    ],
)
def test_whole_numbers_of_any_size_are_kept_apart_or_cut_into_quarters(values, sizes):
    ids = [f"p{i}" for i in range(len(values))]
    (at,) = attributes(["at"], {"products": pa.table({"product_id": ids, "at": values})})

    found = {name: int(mask.sum()) for name, mask in at.masks(pa.array(ids)).items()}

    assert (found if isinstance(sizes, dict) else list(found.values())) == sizes


def test_a_sellers_column_parts_sellers_and_a_products_column_their_held_out_products():
    recs = lists("s: a b; t: b", query="seller_id")
    truth = listings("s a, s b, t a")
    sellers = pa.table({"seller_id": ["s", "t"], "country": ["DE", "FR"]})
    by = attributes(["country", "brand"], {"sellers": sellers, "products": PRODUCTS})

    found = values_of(evaluate_sellers(recs, truth, products=PRODUCTS, by=by, ks=(1,), bootstrap=0))

    assert found["Recall", 1, "country=DE"] == pytest.approx(1 / 1)
    assert found["Recall", 1, "country=FR"] == pytest.approx(0 / 1)
    assert found["Recall", 1, "brand=Acme"] == pytest.approx((1 + 0) / 2)
    assert found["Recall", 1, "brand=Bolt"] == pytest.approx(0 / 1)


@pytest.mark.parametrize("column", ["colour", "product_id"])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(column):
    with pytest.raises(
        UsageError, match=f"--segment {column}: no such column of products; .*brand"
    ):
        attributes([column], {"products": PRODUCTS})


def test_without_any_table_the_missing_option_is_named():
    with pytest.raises(UsageError, match="give --products or --sellers"):
        attributes(["brand"], {})


def test_segments_stand_by_their_numbers_and_all_stands_first():
    products = pa.table({"product_id": [*"xyzw"], "stars": ["2 stars", "10 stars", "9", ""]})
    by = attributes(["stars"], {"products": products})
    found = evaluate_complements(LISTS, TRUTH, by=by, ks=(1,), bootstrap=0)
    segments = ["all", "stars=2 stars", "stars=9", "stars=10 stars", "stars=(none)"]

    for table in (found.metrics, combine_tables([found.metrics])):
        rows = [row["segment"] for row in table.to_pylist() if row["metric"] == "Hit"]
        assert rows == segments
