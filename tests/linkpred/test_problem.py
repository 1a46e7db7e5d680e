"""From a graph folder to the problem of a seller model, and each seller's primary category."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from cprtools import tables
from cprtools.errors import SchemaError
from cprtools.linkpred.problem import build_problem, primary_categories


def graph(tmp_path, listings, bought=(), demand=("p1", "p2", "p3")):
    sellers = sorted({s for s, _, _ in listings})
    products = ["p1", "p2", "p3", "p4"]
    n = len(sellers)
    nodes = pa.table(
        {
            "node_type": ["seller"] * n + ["product"] * 4,
            "node_id": [*sellers, *products],
            "is_high_demand": [False] * n + [p in demand for p in products],
            "views": [0] * (n + 4),
            "category": [None] * n + ["A", "B", "A", None],
            "title": [None] * n + ["Acme one", "Acme two", "Bolt three", None],
        }
    )
    rows = [("seller", s, "lists", "product", p, float(v)) for s, p, v in listings]
    rows += [("product", a, "bought-with", "product", b, float(w)) for a, b, w in bought]
    names = ["source_type", "source_id", "relation", "target_type", "target_id", "weight"]
    edges = pa.table(
        {name: [row[i] for row in rows] for i, name in enumerate(names)},
        schema=tables.EDGES.schema,
    )
    place = str(tmp_path / "graph")
    tables.write_folder({"nodes": nodes, "edges": edges}, place, "graph", tables.Footer())
    return tables.open_folder(place, ("graph",))


LISTINGS = (("s1", "p1", 3), ("s1", "p2", 9), ("s2", "p2", 1), ("s2", "p4", 0))


def test_rows_are_sellers_and_columns_products_by_number_of_listings(tmp_path):
    built = build_problem(graph(tmp_path, LISTINGS))
    assert built.sellers.column("seller_id").to_pylist() == ["s1", "s2"]
    assert built.catalogue.ids.to_pylist() == ["p2", "p1", "p4", "p3"]
    assert built.problem.matrix.toarray().tolist() == [[1, 1, 0, 0], [1, 0, 1, 0]]
    assert built.problem.is_candidate.tolist() == [True, True, False, True]
    assert built.views.toarray()[0].tolist() == [9, 3, 0, 0]


def test_co_purchases_are_symmetric_and_a_missing_brand_is_the_titles_first_word(tmp_path):
    built = build_problem(graph(tmp_path, LISTINGS, bought=[("p1", "p3", 4)]))
    pairs = built.problem.co_purchases.toarray()
    assert pairs[1, 3] == pairs[3, 1] == 4
    brand = built.problem.attributes["brand"]
    assert brand[0] == brand[1] != brand[3]
    assert brand[2] == -1


def test_a_graph_without_listings_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="the graph has no listings"):
        build_problem(graph(tmp_path, (), bought=[("p1", "p3", 4)]))


@pytest.mark.parametrize(
    ("listings", "bought"), [((("s1", "p9", 1),), ()), (LISTINGS, [("p1", "p9", 4)])]
)
def test_an_edge_to_a_node_that_is_not_there_is_refused(tmp_path, listings, bought):
    with pytest.raises(SchemaError, match="does not hold"):
        build_problem(graph(tmp_path, listings, bought))


def test_the_primary_category_has_the_largest_share_of_the_views():
    names = pa.chunked_array([["A", "B", "A", None]])
    views = csr_matrix(np.array([[2, 3, 2, 50], [1, 3, 1, 0]], dtype=np.float32))
    # A has 2 + 2 of 7 known views against 3; then B has 3 against 1 + 1
    assert primary_categories(names, views) == ["A", "B"]


def test_ties_go_by_name_and_without_views_each_listing_counts_once():
    names = pa.chunked_array([["B", "A", "B"]])
    tie = csr_matrix((np.array([2.0, 2.0]), ([0, 0], [0, 1])), shape=(1, 3))
    assert primary_categories(names, tie) == ["A"]
    unseen = csr_matrix((np.zeros(3), np.array([0, 1, 2]), np.array([0, 3])), shape=(1, 3))
    assert primary_categories(names, unseen) == ["B"]
    nothing = csr_matrix((1, 3), dtype=np.float32)
    assert primary_categories(names, nothing) == [None]


def test_views_of_what_has_no_category_do_not_leave_the_primary_one_to_the_name():
    names = pa.chunked_array([["A", "B", "B", None]])
    views = csr_matrix((np.array([0.0, 0, 0, 9]), [0, 1, 2, 3], [0, 4]), shape=(1, 4))
    # B has two of the three listings of a category, none of which was seen
    assert primary_categories(names, views) == ["B"]
