"""A new quarter: products that a seller model never saw, and a list in place of the training's."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cprtools import answers
from cprtools.answers.filters import mask_of
from cprtools.baselines.catalogue import index_in
from tests.answers.newcomer_market import LATE, shop_products, shop_vectors, train_sellers

SMALL = {"embedding_dim": 16, "num_layers": 2, "epochs": 3, "num_negatives": 16}
METHODS = {
    "gnn": SMALL, "text-knn": {}, "item-knn": {}, "mf": {}, "popularity": {}, "ease": {},
}  # fmt: skip
EVERYTHING = {"k": 100, "threshold": 0.0, "category": "all"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders with full.model and late.model by method, trained once each."""
    folders = {}

    def folder(name):
        if name not in folders:
            folders[name] = train_sellers(tmp_path_factory.mktemp("s"), name, **METHODS[name])
        return folders[name]

    return folder


def extended(folder, products=None):
    model = answers.open_model(str(folder / "late.model"))
    new = shop_products() if products is None else products
    return answers.extend(model, new, "new.parquet", shop_vectors(folder))


def lists(model, sellers=None, **asked):
    rows = np.arange(model.sellers.num_rows) if sellers is None else np.array(sellers)
    request = answers.SellerRequest(**{**EVERYTHING, **asked})
    return pa.concat_tables(answers.recommend_products(model, rows, request))


@pytest.mark.parametrize("name", METHODS)
def test_a_late_product_is_placed_as_one_that_was_there_without_listings(trained, name):
    full = answers.open_model(str(trained(name) / "full.model"))
    result = extended(trained(name))
    assert (result.num_new, result.num_known) == (1, full.catalogue.table.num_rows - 1)
    assert LATE not in answers.open_model(str(trained(name) / "late.model")).product_ids.to_pylist()
    for use_ranker in (True, False):
        found = lists(result.model, use_ranker=use_ranker)
        expected = lists(full, use_ranker=use_ranker)
        assert LATE in found.column("product_id").to_pylist()
        affinities = [table.column("affinity").to_numpy() for table in (found, expected)]
        # where the curve is steep, rounding of a score is larger in its affinity
        np.testing.assert_allclose(*affinities, atol=5e-5)
        # scores that differ by rounding alone may change places
        keys = [("seller_id", "ascending"), ("product_id", "ascending")]
        one, other = found.sort_by(keys), expected.sort_by(keys)
        for column in ("seller_id", "product_id", "category", "reason"):
            assert one.column(column).equals(other.column(column)), column
        pair = [table.column("affinity").to_numpy() for table in (one, other)]
        np.testing.assert_allclose(*pair, rtol=1e-3, atol=1e-4)


def test_the_evidence_of_every_source_is_that_of_training(trained):
    stages = [
        extended(trained("gnn")).model.stage,
        answers.open_model(str(trained("gnn") / "full.model")).stage,
    ]
    queries = np.arange(stages[0].problem.num_queries)
    assert {"gnn", "mf", "item-knn", "text-knn"} == set(stages[0].sources)
    for name in stages[0].sources:
        one, other = (stage.sources[name].score(queries) for stage in stages)
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-5, err_msg=name)
    allowed = np.ones((len(queries), stages[0].problem.num_candidates), dtype=bool)
    one, other = (stage.evidence_block(queries, allowed) for stage in stages)
    np.testing.assert_array_equal(one.cols, other.cols)
    np.testing.assert_allclose(one.features, other.features, rtol=1e-4, atol=1e-5)


def test_vectors_alone_bring_new_products_and_no_category_hides_them(trained):
    folder = trained("gnn")
    sources = shop_vectors(folder)
    products = answers.products_of(sources)
    assert products.column_names == ["product_id"]
    assert sorted(products.column("product_id").to_pylist()) == sorted(
        shop_products().column("product_id").to_pylist()
    )
    model = extended(folder, products).model
    only = mask_of(pa.table({"product_id": [LATE]}), model.product_ids, "only")
    # the primary category is the default; LATE has none, and is the only one asked for
    table = lists(model, only=only, category=None)
    assert table.column("product_id").to_pylist() == [LATE] * model.sellers.num_rows
    assert table.column("category").null_count == table.num_rows
    named = model.strings("category")[0]
    assert lists(model, only=only, category=named).num_rows == 0


def test_a_type_is_no_category_of_a_new_product_where_the_model_has_categories(trained):
    folder = trained("text-knn")
    model = answers.open_model(str(folder / "late.model"))
    late_type = shop_products().column("product_type")[-1].as_py()
    # the shop has no categories, so its types are
    assert extended(folder).model.strings("category")[-1] == late_type
    table = model.catalogue.table
    groups = pa.array([f"group {i % 2}" for i in range(table.num_rows)])
    at = table.column_names.index("category")
    catalogue = replace(model.catalogue, table=table.set_column(at, "category", groups))
    model = answers.Model(model.folder, model.stage, catalogue, model.sellers)
    for column in (None, [None] * 61, ["group 1"] * 60 + [" "]):
        products = shop_products()
        if column is not None:
            products = products.append_column("category", pa.array(column, pa.string()))
        new = answers.extend(model, products, "new.parquet", shop_vectors(folder))
        assert new.num_new == 1
        assert new.model.catalogue.table.column("category")[-1].as_py() is None
        assert new.model.catalogue.table.column("product_type")[-1].as_py() == late_type


def test_a_list_takes_the_place_of_the_high_demand_products_of_the_training(tmp_path):
    demand = pa.table({"product_id": [f"p{i:02}" for i in range(0, 60, 2)]})
    folder = train_sellers(tmp_path, demand=demand, **SMALL)
    model = answers.open_model(str(folder / "full.model"))
    ids = model.product_ids
    assert set(lists(model).column("product_id").to_pylist()) <= set(
        demand.column("product_id").to_pylist()
    )
    quarter = pa.table({"product_id": ["p01", "p02", "p31"]})
    only = mask_of(quarter, ids, "quarter")
    found = lists(model, only=only)
    assert set(found.column("product_id").to_pylist()) == {"p01", "p02", "p31"}
    matrix = model.stage.problem.matrix
    own = index_in(pa.array(["p01", "p02", "p31"]), ids)
    assert found.num_rows == matrix.shape[0] * 3 - matrix[:, own].nnz
    # the model itself is as it was
    assert model.stage.problem.is_candidate.sum() == 30
    attributes = model.stage.problem.attributes
    assert "is_high_demand" not in attributes and "brand" in attributes


def test_a_model_from_learned_initial_vectors_knows_nothing_of_a_new_product(tmp_path):
    folder = train_sellers(tmp_path, **SMALL, init="random")
    source = extended(folder).model.stage.sources["gnn"]
    assert not source.product_vectors[-1].any()
    assert source.product_vectors[0].any()


def test_a_new_product_goes_first_to_sellers_of_its_kind(trained):
    # LATE with the vectors and attributes of p07, which sellers of type 0 list
    folder = trained("text-knn")
    model = answers.open_model(str(folder / "late.model"))
    vectors = model.stage.problem.vectors
    twin = int(index_in(pa.array(["p07"]), model.product_ids)[0])
    result = extended(folder).model
    result.stage.problem.vectors[-1] = vectors[twin]
    again = replace(result.stage, sources={
        "text-knn": result.stage.model.extended(result.stage.problem)
    })  # fmt: skip
    scores = again.model.score(np.arange(model.sellers.num_rows))[:, -1]
    lists_it = model.stage.problem.matrix[:, twin].toarray().ravel() > 0
    assert scores[lists_it].min() >= 1
    assert scores[lists_it].mean() > scores[~lists_it].mean()
