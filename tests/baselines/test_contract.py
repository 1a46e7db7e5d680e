import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import BASELINES, SELLERS_ONLY, Problem
from tests.contracts.recommender_contract import RecommenderContract, planted_problem

SQUARE_ONLY = ["co-purchase", "item2vec", "reverse", "sceptre", "type-counts", "type-popularity"]


class BaselineContract(RecommenderContract):
    method = ""
    options = {}

    def make(self, problem, seed=0):
        return BASELINES[self.method].fit(problem, seed=seed, **self.options)


def contract(name, square, seeded=False, **options):
    return type(
        f"Test{name.title().replace('-', '')}{'Products' if square else 'Sellers'}",
        (BaselineContract,),
        {"method": name, "is_square": square, "is_seeded": seeded, "options": options},
    )


TestPopularityProducts = contract("popularity", True)
TestPopularitySellers = contract("popularity", False)
TestCoPurchaseProducts = contract("co-purchase", True)
TestTypeCountsProducts = contract("type-counts", True)
TestTypePopularityProducts = contract("type-popularity", True)
TestItemKnnProducts = contract("item-knn", True)
TestItemKnnSellers = contract("item-knn", False)
TestMfProducts = contract("mf", True, seeded=True, tune=False)
TestMfSellers = contract("mf", False, seeded=True, factors=8, weighting="binary")
TestReverseProducts = contract("reverse", True)
TestReverseLiftProducts = contract("reverse", True, variant="lift")
TestBprSellers = contract("bpr", False, seeded=True, factors=8, iterations=20)
TestLightgcnSellers = contract("lightgcn", False, seeded=True, embedding_dim=8, epochs=5)
TestEaseProducts = contract("ease", True)
TestEaseSellers = contract("ease", False, regularisation=2.0)
TestBlendProducts = contract("blend", True, seeded=True, settings={"mf": {"tune": False}})
TestBlendSellers = contract(
    "blend", False, seeded=True, settings={"mf": {"tune": False}}, weight=0.3, scaling="evidence"
)
TestItem2VecProducts = contract("item2vec", True, seeded=True, embedding_dim=8, epochs=2)
TestSceptreProducts = contract("sceptre", True, seeded=True, topics=4)
TestSceptreProducts.knows_new = False
TestTextKnnProducts = contract("text-knn", True)
TestTextKnnSellers = contract("text-knn", False)


def test_registry_holds_the_methods_by_their_names():
    assert sorted(BASELINES) == [
        "blend",
        "bpr",
        "co-purchase",
        "ease",
        "item-knn",
        "item2vec",
        "lightgcn",
        "mf",
        "popularity",
        "reverse",
        "sceptre",
        "text-knn",
        "type-counts",
        "type-popularity",
    ]
    assert all(method.method == name for name, method in BASELINES.items())


@pytest.mark.parametrize("name", SQUARE_ONLY)
def test_methods_for_products_refuse_sellers(name):
    from cprtools.errors import SchemaError

    with pytest.raises(SchemaError, match=f"{name} answers products"):
        BASELINES[name].fit(planted_problem(is_square=False))


@pytest.mark.parametrize("name", SELLERS_ONLY)
def test_methods_for_sellers_refuse_products(name):
    from cprtools.errors import SchemaError

    with pytest.raises(SchemaError, match=f"{name} answers sellers"):
        BASELINES[name].fit(planted_problem(is_square=True))


@pytest.mark.parametrize("name", ["type-counts", "type-popularity"])
def test_methods_by_type_refuse_products_without_types(name):
    from cprtools.errors import SchemaError

    problem = Problem(csr_matrix((2, 2)), np.array([-1, -1]), 0, is_square=True)
    with pytest.raises(SchemaError, match=f"{name} needs --products"):
        BASELINES[name].fit(problem)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_unknown_options_are_refused(name):
    from cprtools.errors import UsageError

    with pytest.raises(UsageError, match=f"{name}: no option 'depth'"):
        BASELINES[name].fit(planted_problem(is_square=True), depth=3)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("co-purchase", {"variant": "pmi"}, "count, lift, confidence, got 'pmi'"),
        ("reverse", {"variant": "pmi"}, "count, lift, confidence, got 'pmi'"),
        ("ease", {"regularisation": 0}, "regularisation must be at least"),
        ("ease", {"weighting": "sqrt"}, "raw, log, binary, got 'sqrt'"),
        ("item2vec", {"epochs": 0}, "epochs must be at least 1, got 0"),
        ("item2vec", {"negatives": 0}, "negatives must be at least 1, got 0"),
        ("sceptre", {"topics": 1}, "topics must be at least 2, got 1"),
        ("sceptre", {"regularisation": 0}, "regularisation must be at least"),
        ("item-knn", {"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ("item-knn", {"shrinkage": -1}, "shrinkage must be at least 0, got -1"),
        ("item-knn", {"weighting": "sqrt"}, "raw, log, binary, got 'sqrt'"),
        ("bpr", {"iterations": 0}, "iterations must be at least 1, got 0"),
        ("bpr", {"learning_rate": 0}, "learning_rate must be at least"),
        ("lightgcn", {"num_layers": -1}, "num_layers must be at least 0, got -1"),
        ("lightgcn", {"epochs": 0}, "epochs must be at least 1, got 0"),
        ("mf", {"factors": 0}, "factors must be at least 1, got 0"),
        ("mf", {"weighting": "sqrt"}, "raw, log, binary, got 'sqrt'"),
        ("text-knn", {"nearest": 0}, "nearest must be at least 1, got 0"),
        ("type-popularity", {"smoothing": 0}, "smoothing must be at least"),
    ],
)
def test_option_out_of_range_names_what_is_allowed(name, options, text):
    from cprtools.errors import UsageError

    with pytest.raises(UsageError, match=text):
        BASELINES[name].fit(planted_problem(is_square=True), **options)
