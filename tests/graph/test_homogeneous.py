import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from cprtools.graph.homogeneous import (
    BOUGHT_WITH,
    LISTED_BY,
    LISTS,
    make_graph,
    supervision_edges,
    view_weights,
)

# two sellers (nodes 0, 1), four products (nodes 2 to 5)
LISTINGS = csr_matrix(np.array([[1, 1, 1, 1], [0, 0, 1, 1]], dtype=np.float32))


def pairs(graph, edges):
    return {(int(graph.sources[e]), int(graph.destinations[e])) for e in edges}


def test_views_of_no_listing_weigh_no_edge():
    nothing = csr_matrix((2, 4), dtype=np.float32)
    together = csr_matrix(np.ones((4, 4), dtype=np.float32) - np.eye(4, dtype=np.float32))
    assert (make_graph(nothing, together, nothing).relations == BOUGHT_WITH).all()


def test_a_listing_makes_two_edges_and_a_co_purchase_one_each_way():
    together = np.zeros((4, 4), dtype=np.float32)
    together[0, 3] = together[3, 0] = 7
    together[1, 1] = 9
    graph = make_graph(LISTINGS, csr_matrix(together))
    assert graph.num_edges == 6 + 6 + 2
    assert pairs(graph, np.flatnonzero(graph.relations == LISTS)) == {
        (0, 2), (0, 3), (0, 4), (0, 5), (1, 4), (1, 5),
    }  # fmt: skip
    assert pairs(graph, np.flatnonzero(graph.relations == BOUGHT_WITH)) == {(2, 5), (5, 2)}
    assert set(graph.weights[graph.relations == BOUGHT_WITH]) == {7}


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 1000), sellers=st.integers(1, 6), products=st.integers(1, 8))
def test_reverse_is_the_edge_the_other_way_of_the_reverse_relation(seed, sellers, products):
    rng = np.random.default_rng(seed)
    listings = csr_matrix((rng.random((sellers, products)) < 0.4).astype(np.float32))
    together = np.triu(rng.integers(0, 3, (products, products)), 1).astype(np.float32)
    graph = make_graph(listings, csr_matrix(together + together.T))
    assert np.array_equal(graph.sources[graph.reverse], graph.destinations)
    assert np.array_equal(graph.reverse[graph.reverse], np.arange(graph.num_edges))
    other = {LISTS: LISTED_BY, LISTED_BY: LISTS, BOUGHT_WITH: BOUGHT_WITH}
    assert [other[r] for r in graph.relations] == list(graph.relations[graph.reverse])
    for node in range(graph.num_nodes):
        into = graph.destinations[graph.indptr[node] : graph.indptr[node + 1]]
        assert (into == node).all()


def test_one_sided_co_purchases_are_refused():
    together = np.zeros((4, 4), dtype=np.float32)
    together[0, 3] = 7
    with pytest.raises(ValueError, match="symmetric"):
        make_graph(LISTINGS, csr_matrix(together))


def test_views_per_listing_and_per_product_weigh_listings():
    per_product = make_graph(LISTINGS, views=np.array([1, 2, 3, 4], dtype=np.float32))
    per_listing = make_graph(LISTINGS, views=csr_matrix([[1.0, 0, 3, 0], [0, 0, 5, 6]]))
    expected = {(0, 2): 1, (0, 3): 2, (0, 4): 3, (0, 5): 4, (1, 4): 3, (1, 5): 4}
    other = {(0, 2): 1, (0, 3): 0, (0, 4): 3, (0, 5): 0, (1, 4): 5, (1, 5): 6}
    for graph, wanted in ((per_product, expected), (per_listing, other)):
        for edge in np.flatnonzero(graph.relations == LISTS):
            assert graph.weights[edge] == wanted[graph.sources[edge], graph.destinations[edge]]
            assert graph.weights[graph.reverse[edge]] == graph.weights[edge]


def test_view_weights_have_mean_one_per_seller_and_are_even_without_views():
    graph = make_graph(LISTINGS, views=csr_matrix([[1.0, 2, 3, 6], [0, 0, 0, 0]]))
    weights = view_weights(graph)
    found = {
        (int(graph.sources[e]), int(graph.destinations[e])): float(weights[e])
        for e in np.flatnonzero(graph.relations == LISTS)
    }
    # mean views of the first seller: 12/4 = 3
    assert found == pytest.approx(
        {(0, 2): 1 / 3, (0, 3): 2 / 3, (0, 4): 1, (0, 5): 2, (1, 4): 1, (1, 5): 1}
    )


def test_stratified_roots_are_high_demand_listings_and_the_three_most_viewed():
    views = csr_matrix(np.array([[9.0, 5, 5, 5, 1, 0]]))
    graph = make_graph(csr_matrix(np.ones((1, 6), dtype=np.float32)), views=views)
    hot = np.array([False, False, False, False, False, True])
    # top 3 by views: products 0, then 1 and 2 of the three with 5 views; 5 is in high demand
    assert pairs(graph, supervision_edges(graph, hot)) == {(0, 1), (0, 2), (0, 3), (0, 6)}
    assert len(supervision_edges(graph, None)) == 6


def test_top_viewed_is_counted_per_seller():
    views = csr_matrix([[1.0, 2, 3, 4], [0, 0, 1, 1]])
    graph = make_graph(LISTINGS, views=views)
    nothing = np.zeros(4, dtype=bool)
    assert pairs(graph, supervision_edges(graph, nothing)) == {
        (0, 3), (0, 4), (0, 5), (1, 4), (1, 5),
    }  # fmt: skip


def test_uniform_roots_are_all_edges_named_once_each():
    together = csr_matrix(np.array([[0, 1], [1, 0]], dtype=np.float32))
    graph = make_graph(csr_matrix(np.ones((1, 2), dtype=np.float32)), together)
    edges = supervision_edges(graph, np.zeros(2, dtype=bool), "uniform")
    assert pairs(graph, edges) == {(0, 1), (0, 2), (1, 2)}
    assert (graph.relations[supervision_edges(graph, None)] == LISTS).all()
    with pytest.raises(ValueError, match="stratified or uniform"):
        supervision_edges(graph, None, "other")
