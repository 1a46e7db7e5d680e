"""New products by the stored networks: the planted market, and weights that are none."""

from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines import Popularity
from cprtools.baselines.extension import append_products
from cprtools.cpr.article import ArticleNetwork
from cprtools.cpr.batches import history_bags
from cprtools.cpr.cold import cold_factors
from cprtools.cpr.config import make_config
from cprtools.cpr.features import encode_features, make_encoding
from cprtools.cpr.model import PCompanion
from cprtools.cpr.pcompanion import DirectedNetwork, PaperNetwork
from cprtools.cpr.training import shared_weights
from cprtools.cpr.triplet import Triplet
from cprtools.errors import SchemaError
from tests.contracts.recommender_contract import parquet_reader
from tests.cpr.market import SMALL, make_market, share_of_right_heads


def part_of(problem, rows):
    """The problem of these products alone."""
    return replace(
        problem,
        matrix=problem.matrix[rows][:, rows],
        similar=problem.similar[rows][:, rows],
        types=problem.types[rows],
        attributes={name: codes[rows] for name, codes in problem.attributes.items()},
    )


@pytest.fixture(scope="module")
def markets():
    """The market with its new products at the end, the part that is known, and that joined again.

    Codes keep their meaning: every type and brand has known products.
    """
    market = make_market()
    order = np.concatenate([np.flatnonzero(~market.is_new), np.flatnonzero(market.is_new)])
    moved = replace(
        market,
        problem=part_of(market.problem, order),
        types=market.types[order],
        brands=market.brands[order],
        is_new=market.is_new[order],
    )
    known = part_of(market.problem, order[~moved.is_new])
    new = part_of(market.problem, order[moved.is_new])
    return moved, known, append_products(known, new)


@pytest.mark.parametrize(
    ("method", "options", "least"),
    [(PCompanion, SMALL, 0.8), (Triplet, {"epochs": 12, "embedding_dim": 16}, 0.5)],
)
def test_complements_of_and_among_new_products_are_found(markets, method, options, least):
    market, known, joined = markets
    assert (joined.matrix != market.problem.matrix).nnz == 0
    model = method.fit(known, **options).extended(joined)
    popular = Popularity.fit(known).extended(joined)
    new = np.flatnonzero(market.is_new)
    found = share_of_right_heads(market, model.score(new), new)
    assert found >= least
    assert found >= share_of_right_heads(market, popular.score(new), new) + 0.3
    # among new candidates alone: one in 25 has the right type and brand
    old = np.flatnonzero(~market.is_new)
    scores = np.where(market.is_new, model.score(old), -np.inf)
    assert share_of_right_heads(market, scores, old) >= least


@pytest.mark.parametrize(
    ("preset", "kind"),
    [("default", DirectedNetwork), ("paper", PaperNetwork), ("article", ArticleNetwork)],
)
def test_numpy_makes_of_a_product_without_pairs_what_the_network_makes_of_it(preset, kind):
    problem = make_market(num_types=3, num_brands=2, copies=2).problem
    config = make_config({**SMALL, "preset": preset, "margin": 2.5}, seed=0)
    encoding = make_encoding(problem)
    features = encode_features(problem, encoding)
    torch.manual_seed(0)
    network = kind(features, config).eval()
    n = problem.num_candidates
    nothing = csr_matrix((n, n), dtype=np.float32)
    with torch.no_grad():
        expected = network.factors(history_bags(nothing, nothing))

    found = cold_factors(shared_weights(network), features, asdict(config))

    for name in ("theta", "source", "target", "bias"):
        # a network begins without tables of its products
        here, there = getattr(found, name), getattr(expected, name).numpy()
        assert there.any()
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def stored(markets):
    _, known, _ = markets
    return PCompanion.fit(known, **{**SMALL, "epochs": 1}).tables()


def damaged(tables, member, change):
    return parquet_reader({**tables, member: change(tables[member])})


def put(table, column, at, value):
    values = table.column(column).to_pylist()
    values[at] = value
    kind = table.schema.field(column).type
    return table.set_column(table.column_names.index(column), column, pa.array(values, kind))


@pytest.mark.parametrize(
    ("member", "change", "said"),
    [
        ("network", lambda t: t.drop_columns(["values"]), "does not hold weights"),
        ("network", lambda t: put(t, "columns", 0, 5), "does not hold weights"),
        ("network", lambda t: put(t, "columns", 0, None), "does not hold weights"),
        ("network", lambda t: put(t, "columns", 0, 1), r"must be of shape \(6, 8\); found \(48, 1"),
        ("network", lambda t: put(t, "name", 0, "x"), r"tables.0.weight must be .* found none"),
        ("network", lambda t: put(t, "values", 0, [np.nan] * 48), "finite numbers"),
        ("features", lambda t: t.drop_columns(["size"]), "does not hold an encoding"),
        ("features", lambda t: t.slice(1), "must be of shape"),
        ("features", lambda t: put(t, "column", 1, "colour"), "the model's features are"),
        ("features", lambda t: put(t, "size", 1, None), "does not hold an encoding"),
    ],
)
def test_weights_and_encodings_that_are_none_are_refused(markets, stored, member, change, said):
    _, known, joined = markets
    model = PCompanion.load(known, damaged(stored, f"p_companion_{member}", change))
    assert np.isfinite(model.score(np.array([0]))).all()
    with pytest.raises(SchemaError, match=said):
        model.extended(joined)


def test_products_with_a_code_beyond_the_models_are_refused(markets, stored):
    _, known, joined = markets
    model = PCompanion.load(known, parquet_reader(stored))
    brands = joined.attributes["brand"].copy()
    brands[-1] = brands.max() + 1
    with pytest.raises(SchemaError, match="fewer values of brand"):
        model.extended(replace(joined, attributes={"brand": brands}))


def test_a_model_is_extended_twice_as_at_once(markets, stored):
    _, known, joined = markets
    n = known.num_candidates
    first = part_of(joined, np.arange(n + 3))
    model = PCompanion.load(known, parquet_reader(stored))
    queries = np.array([0, n, n + 2])
    twice = model.extended(first).extended(joined)
    np.testing.assert_array_equal(twice.score(queries), model.extended(joined).score(queries))
    assert csr_matrix(joined.matrix[n:]).nnz == 0
