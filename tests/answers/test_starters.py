"""Sellers with one listing and with none."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from cprtools import answers
from cprtools.answers.starters import lists_nothing, popular_products
from cprtools.retrieval import Pool
from tests.answers.newcomer_market import shop_listings, train_sellers

DECLARED = pa.table({"seller_id": ["new", "nowhere", "s01"], "category": ["type 2", None, "x"]})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = train_sellers(tmp_path_factory.mktemp("s"), "text-knn", sellers=DECLARED)
    return answers.open_model(str(folder / "full.model"))


def rows_of(model, seller, **asked):
    at = model.query_ids().to_pylist().index(seller)
    request = answers.SellerRequest(**{"k": 100, "threshold": 0.0, **asked})
    return pa.concat_tables(answers.recommend_products(model, np.array([at]), request)).to_pylist()


def listed_by(product):
    return shop_listings().column("product_id").to_pylist().count(product)


def test_a_seller_without_listings_gets_the_popular_products_of_its_declared_category(model):
    rows = rows_of(model, "new")
    assert len(rows) == 15 and {row["category"] for row in rows} == {"type 2"}
    counts = [listed_by(row["product_id"]) for row in rows]
    shown = [count for count in counts if count >= 5]
    assert len(set(shown)) > 1
    assert counts[: len(shown)] == sorted(shown, reverse=True)
    for row, count in zip(rows, counts, strict=True):
        popular = "popular" if count >= 5 else "in demand"
        assert row["reason"] == f"{popular} in type 2; the seller lists nothing yet"
    affinities = [row["affinity"] for row in rows]
    assert affinities == sorted(affinities, reverse=True)
    # some are asked for more than the mean: an answer at the default threshold
    assert 0 < len(rows_of(model, "new", threshold=0.5)) < 15


def test_an_affinity_of_the_threshold_is_enough(model):
    for seller in ("new", "s02"):
        best = rows_of(model, seller)[0]["affinity"]
        assert rows_of(model, seller, threshold=best)


def test_explained_it_is_the_popularity_alone(model):
    for row in rows_of(model, "new", explain=True):
        assert row["evidence"] == [{"name": "popular", "value": None, "added": row["affinity"]}]


def test_without_a_category_or_for_all_it_gets_what_is_popular_everywhere(model):
    for rows in (rows_of(model, "nowhere"), rows_of(model, "new", category="all")):
        assert len(rows) == 61
        assert rows[0]["reason"] == "popular in all categories; the seller lists nothing yet"
    asked = rows_of(model, "nowhere", category="type 1")
    assert asked[0]["reason"] == "popular in type 1; the seller lists nothing yet"
    assert {row["category"] for row in asked} == {"type 1"}


def test_what_fewer_than_five_sellers_list_is_not_told_apart(model):
    rows = rows_of(model, "nowhere")
    few = {row["affinity"] for row in rows if listed_by(row["product_id"]) < 5}
    assert len({listed_by(row["product_id"]) for row in rows} & {0, 1, 2, 3, 4}) > 1
    assert len(few) == 1


def market(listed):
    """As much of a model as popular products are found by: (sellers, products) 1 where listed."""
    problem = SimpleNamespace(matrix=csr_matrix(listed))
    popularity = listed.sum(axis=0, dtype=np.float64)
    return SimpleNamespace(popularity=popularity, stage=SimpleNamespace(problem=problem))


def test_the_affinity_is_the_share_of_sellers_at_equal_prior():
    # nine sellers with a listing, and one without
    listed = np.zeros((10, 4), dtype=np.float32)
    listed[:9, 0] = listed[:5, 2] = listed[:3, 3] = 1
    small = market(listed)
    allowed = np.array([True, False, True, True])
    cols, affinity = popular_products(small, Pool.all_of(4), allowed)
    assert cols.tolist() == [0, 2, 3]
    # (9 + 1/2)/10, (5 + 1/2)/10 and, of three sellers none told, (0 + 1/2)/10; their mean is
    # 15.5/30
    mean = 15.5 / 30
    expected = [
        (p / mean) / (p / mean + (1 - p) / (1 - mean)) for p in (9.5 / 10, 5.5 / 10, 0.5 / 10)
    ]
    np.testing.assert_allclose(affinity, expected)
    assert lists_nothing(small, np.array([9, 0])).tolist() == [True, False]
    nothing = popular_products(small, Pool.all_of(4), np.zeros(4, dtype=bool))
    assert len(nothing[0]) == len(nothing[1]) == 0


def test_where_no_product_is_told_apart_all_have_one_half():
    tiny = market(np.ones((2, 60), dtype=np.float32))
    # exactly, whatever the mean is rounded to: it is the default threshold
    for number in range(1, 61):
        _, affinity = popular_products(tiny, Pool.all_of(60), np.arange(60) < number)
        assert set(affinity.tolist()) == {0.5}


def test_a_seller_with_one_listing_gets_more_of_its_kind(tmp_path):
    one = pa.table({"seller_id": ["one", "other"], "product_id": ["p50", "p03"]})
    options = {"embedding_dim": 16, "num_layers": 2, "epochs": 5, "num_negatives": 16}
    folder = train_sellers(tmp_path, more=[one], **options)
    model = answers.open_model(str(folder / "full.model"))
    for seller, kind in (("one", "type 3"), ("other", "type 0")):
        rows = rows_of(model, seller, category="all", k=8)
        # 14 of the 60 others are of its kind: by chance 2 of 8
        assert sum(row["category"] == kind for row in rows) >= 5
        assert not any("nothing yet" in row["reason"] for row in rows)
        assert {row["category"] for row in rows_of(model, seller)} == {kind}


def test_what_a_seller_lists_counts_more_than_what_it_declared(model):
    sellers = model.sellers.to_pylist()
    primary = {row["seller_id"]: row["primary_category"] for row in sellers}
    assert primary["new"] == "type 2" and primary["nowhere"] is None
    assert primary["s01"] == "type 1"
