"""Answers by an index: close to exact, never shorter, and exact where the index cannot tell."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.answers import approximate
from cprtools.answers.approximate import Approximate, build_index, pays
from cprtools.baselines import Factorisation, Problem
from cprtools.ranking import TwoStage
from cprtools.retrieval import top_k

pytest.importorskip("hnswlib")
SELLERS, PRODUCTS, DIM = 40, 4000, 12


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(0)
    sellers = random.standard_normal((SELLERS, DIM)).astype(np.float32)
    products = random.standard_normal((PRODUCTS, DIM)).astype(np.float32)
    sellers[7] = 0
    return Factorisation(sellers, products / np.linalg.norm(products, axis=1, keepdims=True), {})


def stage_of(model, is_candidate=None):
    problem = Problem(
        matrix=csr_matrix((SELLERS, PRODUCTS), dtype=np.float32),
        types=np.zeros(PRODUCTS, np.int64),
        num_types=1,
        is_candidate=is_candidate,
    )
    return TwoStage(problem, {"mf": model})


@pytest.fixture
def searched(model, monkeypatch):
    """The model with an index that is walked however few candidates are allowed."""
    monkeypatch.setattr(approximate, "_FEW", 0)
    return Approximate(model, build_index(stage_of(model)))


def share_of(found, exact):
    return np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)])


def test_an_index_finds_nearly_all_and_its_recall_is_measured_against_exact_search(model):
    index = build_index(stage_of(model))
    queries, products = model.factors()
    known = np.flatnonzero(queries.any(axis=1))
    exact, _ = top_k(queries[known] @ products.T, 100)
    found, _ = index.graph.search(queries[known], 100)
    assert index.recall == pytest.approx(share_of(found, exact), abs=1e-4)
    assert index.recall > 0.9
    assert index.facts()["index_recall_at_100"] == index.recall


def test_a_filter_that_leaves_half_is_looked_through_and_forbidden_ones_never_come(searched):
    every = np.arange(SELLERS)
    allowed = np.random.default_rng(1).random((SELLERS, PRODUCTS)) < 0.5
    found, scores = searched.best(every, 20, allowed)
    exact, _ = top_k(searched.score(every), 20, allowed)
    assert (found >= 0).all()
    assert np.take_along_axis(allowed, found, axis=1).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert share_of(found, exact) > 0.9


@pytest.mark.parametrize("kept", [1, 5, 30, 400])
def test_a_filter_that_starves_the_search_is_answered_exactly(searched, kept):
    allowed = np.zeros((SELLERS, PRODUCTS), dtype=bool)
    # the worst products of all for the first seller: no walk from it would come by them
    allowed[:, np.argsort(searched.score(np.array([0]))[0])[:kept]] = True
    every = np.arange(SELLERS)
    found = searched.best(every, 20, allowed)
    exact = top_k(searched.score(every), 20, allowed)
    np.testing.assert_array_equal(found[0], exact[0])
    assert (found[0] >= 0).sum(axis=1).tolist() == [min(20, kept)] * SELLERS


def test_where_the_nearest_are_all_forbidden_the_list_is_not_shorter(searched):
    every = np.arange(SELLERS)
    nearest, _ = top_k(searched.score(every), 1500)
    allowed = np.ones((SELLERS, PRODUCTS), dtype=bool)
    np.put_along_axis(allowed, nearest, False, axis=1)
    found, _ = searched.best(every, 20, allowed)
    np.testing.assert_array_equal(found, top_k(searched.score(every), 20, allowed)[0])


def test_a_query_of_zeros_gets_the_most_popular_as_in_exact_search(searched):
    found, _ = searched.best(np.array([7]), 3, np.ones((1, PRODUCTS), dtype=bool))
    assert found.tolist() == [[0, 1, 2]]


def test_scores_and_their_order_are_the_models_own_however_small_they_are(monkeypatch):
    monkeypatch.setattr(approximate, "_FEW", 0)
    random = np.random.default_rng(4)
    sellers, products = (
        (random.standard_normal((n, DIM)) / 1000).astype(np.float32) for n in (SELLERS, PRODUCTS)
    )
    model = Factorisation(sellers, products, {})
    searched = Approximate(model, build_index(stage_of(model)))

    found, scores = searched.best(np.arange(SELLERS), 20, np.ones((SELLERS, PRODUCTS), bool))

    assert (scores == np.take_along_axis(model.score(np.arange(SELLERS)), found, axis=1)).all()
    assert (np.diff(scores, axis=1) <= 0).all()


def test_few_candidates_are_compared_one_by_one(model):
    searched = Approximate(model, build_index(stage_of(model)))
    assert approximate._FEW > PRODUCTS
    every = np.arange(SELLERS)
    allowed = np.random.default_rng(2).random((SELLERS, PRODUCTS)) < 0.3
    np.testing.assert_array_equal(
        searched.best(every, 15, allowed)[0], top_k(searched.score(every), 15, allowed)[0]
    )


def test_an_index_over_high_demand_serves_that_pool_and_no_other(model):
    is_candidate = np.arange(PRODUCTS) % 4 == 0
    stage = stage_of(model, is_candidate)
    index = build_index(stage)
    assert len(index.pool.members) == PRODUCTS // 4
    searched = Approximate(model, index)
    narrow = searched.restricted(index.pool.members)
    every, allowed = np.arange(SELLERS), np.ones((SELLERS, PRODUCTS // 4), dtype=bool)
    exact, _ = top_k(model.score(every)[:, is_candidate], 10)
    np.testing.assert_array_equal(narrow.best(every, 10, allowed)[0], exact)
    other = searched.restricted(np.arange(50))
    assert not isinstance(other, Approximate)
    assert other.num_candidates == 50


def test_an_index_pays_for_many_queries_of_a_large_catalogue():
    assert not pays(10_000, 64, 1_000_000)
    assert not pays(2_000_000, 64, 1)
    assert pays(2_000_000, 64, 100_000)
