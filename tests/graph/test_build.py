from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools import tables
from cprtools.errors import DataError, SchemaError, UsageError
from cprtools.graph import GraphInputs, build_graph

SPECS = {
    "listings": tables.LISTINGS,
    "pairs": tables.PAIRS,
    "products": tables.PRODUCTS,
    "high_demand": tables.HIGH_DEMAND,
    "views": tables.PAGE_VIEWS,
    "sellers": tables.SELLERS,
}
NONE_PAIR = {
    "co_view": 0,
    "purchase_after_view": 0,
    "query_count": 9,
    "candidate_count": 9,
    "lift": 1.0,
    "complement": True,
    "similar": False,
}


def listing(*pairs):
    return [{"seller_id": s, "product_id": p} for s, p in pairs]


def bought(*triples):
    return [
        {"query_id": q, "candidate_id": x, "co_purchase": n, **NONE_PAIR} for q, x, n in triples
    ]


def ids(*values):
    return [{"product_id": value} for value in values]


def build(folder: Path, *, given=None, **options):
    sources = {}
    for name, rows in (given or {}).items():
        path = folder / f"{name}.parquet"
        pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), path)
        sources[name] = tables.open_table(str(path), SPECS[name])
    return build_graph(GraphInputs(**sources), **options)


def node_ids(nodes, kind="product"):
    return [r["node_id"] for r in nodes.to_pylist() if r["node_type"] == kind]


def weights(edges, relation):
    return {
        (r["source_id"], r["target_id"]): r["weight"]
        for r in edges.to_pylist()
        if r["relation"] == relation
    }


FOUR_SELLERS = listing(
    ("A", "1"), ("A", "2"), ("A", "3"), ("B", "2"), ("B", "3"), ("B", "4"), ("C", "4"),
    ("C", "5"), ("C", "6"), ("D", "1"), ("D", "6"),
)  # fmt: skip


def test_the_tutorial_market_has_sparsity_13_of_24(tmp_path):
    nodes, edges, report = build(tmp_path, given={"listings": FOUR_SELLERS})
    assert (report.sellers, report.products, report.high_demand, report.listings) == (4, 6, 6, 11)
    assert report.sparsity == 1 - 11 / 24
    assert report.edges_before == 11 / 6
    assert nodes.num_rows == 10
    assert edges.num_rows == 22


def test_every_listing_has_its_reverse_with_the_same_weight(tmp_path):
    views = [{"product_id": p, "views": v} for p, v in (("1", 5), ("2", 7))]
    _, edges, _ = build(tmp_path, given={"listings": FOUR_SELLERS, "views": views})
    lists, listed_by = weights(edges, "lists"), weights(edges, "listed-by")
    assert listed_by == {(p, s): w for (s, p), w in lists.items()}
    assert lists["A", "1"] == 5 and lists["D", "1"] == 5 and lists["A", "3"] == 0


def test_a_sellers_own_page_views_weigh_its_listing(tmp_path):
    views = [
        {"product_id": "p", "views": 10, "seller_id": "A"},
        {"product_id": "p", "views": 30, "seller_id": None},
        {"product_id": "q", "views": 7, "seller_id": "A"},
    ]
    listings = listing(("A", "p"), ("B", "p"), ("A", "q"), ("B", "q"))
    nodes, edges, _ = build(tmp_path, given={"listings": listings, "views": views})
    # what was seen at A says nothing of the listings of B
    assert weights(edges, "lists") == {
        ("A", "p"): 10, ("B", "p"): 30, ("A", "q"): 7, ("B", "q"): 0,
    }  # fmt: skip
    found = {r["node_id"]: r["views"] for r in nodes.to_pylist()}
    assert found == {"p": 40, "q": 7, "A": 17, "B": 30}


def test_views_of_whole_pages_are_not_mixed_with_those_of_a_sellers_offers(tmp_path):
    # eleven tools with views of their own, and one perfume whose page the whole market looks at
    views = [
        {"product_id": "hammer", "views": 9, "seller_id": "A"},
        {"product_id": "perfume", "views": 3910, "seller_id": None},
        {"product_id": "saw", "views": 5, "seller_id": "B"},
    ]
    listings = listing(("A", "hammer"), ("A", "perfume"), ("B", "perfume"))
    _, edges, _ = build(tmp_path, given={"listings": listings, "views": views})
    # B was looked at for a saw that it does not list
    assert weights(edges, "lists") == {
        ("A", "hammer"): 9, ("A", "perfume"): 0, ("B", "perfume"): 3910,
    }  # fmt: skip


def test_a_row_that_counts_no_views_at_a_seller_says_what_no_row_says(tmp_path):
    # an export that names every offer: nobody saw any of A's, and one row of the two is left out
    views = [
        {"product_id": "p", "views": 0, "seller_id": "A"},
        {"product_id": "p", "views": 30, "seller_id": None},
        {"product_id": "q", "views": 7, "seller_id": None},
    ]
    listings = listing(("A", "p"), ("A", "q"))
    _, edges, _ = build(tmp_path, given={"listings": listings, "views": views})
    assert weights(edges, "lists") == {("A", "p"): 30, ("A", "q"): 7}


def test_bought_with_edges_are_symmetric_and_take_the_larger_count(tmp_path):
    pairs = bought(("a", "b", 5), ("b", "a", 2), ("a", "c", 1), ("d", "a", 2), ("a", "a", 9))
    _, edges, report = build(tmp_path, given={"pairs": pairs})
    assert weights(edges, "bought-with") == {
        ("a", "b"): 5, ("b", "a"): 5, ("a", "d"): 2, ("d", "a"): 2,
    }  # fmt: skip
    assert report.bought_together == 2
    assert report.sparsity is None


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_edges_are_sorted_by_relation_and_ends_whatever_their_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr("cprtools.graph.build._CHUNK", chunk)
    given = {"listings": FOUR_SELLERS[::-1], "pairs": bought(("6", "1", 4), ("2", "5", 3))}
    edges = build(tmp_path, given=given)[1]
    rows = [tuple(row.values())[:5] for row in edges.to_pylist()]
    listed = [(row["seller_id"], row["product_id"]) for row in FOUR_SELLERS]
    together = [("1", "6"), ("2", "5"), ("5", "2"), ("6", "1")]
    assert rows == [
        *(("product", x, "bought-with", "product", y) for x, y in together),
        *(("product", p, "listed-by", "seller", s) for p, s in sorted((p, s) for s, p in listed)),
        *(("seller", s, "lists", "product", p) for s, p in sorted(listed)),
    ]


def test_page_views_count_over_the_last_months_only(tmp_path):
    ts = pa.array(["2024-12-01", "2024-02-01", "2024-01-01"]).cast(pa.timestamp("us"))
    views = pa.table({"product_id": ["p", "p", "p"], "views": [1, 10, 100], "ts": ts})
    given = {"listings": listing(("A", "p")), "views": views}
    for months, expected in ((1, 1), (11, 11), (12, 111)):
        nodes, _, _ = build(tmp_path, given=given, views_months=months)
        assert nodes.column("views")[0].as_py() == expected


def test_rows_without_a_time_are_left_out_where_others_have_one(tmp_path):
    ts = pa.array(["2024-12-01", None]).cast(pa.timestamp("us"))
    views = pa.table({"product_id": ["p", "p"], "views": [1, 10], "ts": ts})
    nodes, _, report = build(tmp_path, given={"listings": listing(("A", "p")), "views": views})
    assert nodes.column("views")[0].as_py() == 1
    assert report.views_without_time == 1


def test_page_views_in_the_future_are_left_out_and_are_not_the_newest(tmp_path):
    now = datetime.now(UTC).replace(tzinfo=None)
    ts = [now - timedelta(days=40), now - timedelta(days=1), now + timedelta(hours=5)]
    late = [now + timedelta(days=2), datetime(2924, 1, 1)]
    counts = [1, 10, 100, 1000, 10_000, 100_000]
    views = pa.table({"product_id": ["p"] * 6, "views": counts, "ts": [*ts, *late, None]})
    given = {"listings": listing(("A", "p")), "views": views}
    nodes, _, report = build(tmp_path, given=given, views_months=1)
    # a clock a zone ahead is no future; 40 days ago is out of one month before that
    assert nodes.column("views")[0].as_py() == 10 + 100
    assert (report.views_in_the_future, report.views_without_time) == (2, 1)
    only = {**given, "views": views.slice(3, 2)}
    nodes, _, report = build(tmp_path, given=only)
    assert (nodes.column("views")[0].as_py(), report.views_in_the_future) == (0, 2)


def test_further_products_are_the_most_viewed_unlisted_ones(tmp_path):
    given = {
        "listings": listing(("A", "hot"), ("A", "listed")),
        "high_demand": ids("hot"),
        "views": [
            {"product_id": p, "views": v}
            for p, v in (("x", 5), ("w", 5), ("y", 5), ("z", 9), ("listed", 7), ("hot", 3))
        ],
        "pairs": bought(("hot", "y", 4), ("hot", "never", 4)),
    }
    nodes, edges, report = build(tmp_path, given=given, additional=2)
    # w, x and y have the same views: y is bought with another product
    assert node_ids(nodes) == ["hot", "listed", "y", "z"]
    assert (report.high_demand, report.additional) == (1, 3)
    assert set(weights(edges, "bought-with")) == {("hot", "y"), ("y", "hot")}
    assert report.edges_before == 1 / 1
    assert report.edges_after == (1 + 1) / 1
    nodes, _, _ = build(tmp_path, given=given, additional=0)
    assert node_ids(nodes) == ["hot", "listed"]
    # w and x have the same of everything: the first id
    nodes, _, _ = build(tmp_path, given=given, additional=3)
    assert node_ids(nodes) == ["hot", "listed", "w", "y", "z"]
    nodes, _, _ = build(tmp_path, given=given)
    assert node_ids(nodes) == ["hot", "listed", "never", "w", "x", "y", "z"]


def test_products_bring_their_attributes_and_gaps_stay_null(tmp_path):
    products = [{"product_id": "p", "title": "Lamp", "category": ["Home", "Light"], "price": 3.5}]
    given = {"listings": listing(("A", "p"), ("A", "q")), "products": products}
    nodes, _, report = build(tmp_path, given=given)
    p, q, seller = nodes.to_pylist()
    assert (p["title"], p["category"], p["price"], p["brand"]) == ("Lamp", "Home", 3.5, None)
    assert q["category"] is None and seller["category"] is None
    assert report.unknown_listings == 1


def test_declared_sellers_are_nodes_without_listings_and_keep_their_category(tmp_path):
    sellers = [{"seller_id": "A", "category": "Home"}, {"seller_id": "new", "category": "Phones"},
               {"seller_id": "bare", "category": None}]  # fmt: skip
    given = {"listings": listing(("A", "p"), ("B", "p")), "sellers": sellers}
    nodes, edges, report = build(tmp_path, given=given)
    found = {r["node_id"]: r["category"] for r in nodes.to_pylist() if r["node_type"] == "seller"}
    assert found == {"A": "Home", "B": None, "bare": None, "new": "Phones"}
    assert edges.num_rows == 2 * 2
    # four sellers and one product, listed by two of them
    assert (report.sellers, report.sparsity) == (4, 1 - 2 / 4)
    given["sellers"] = [{"seller_id": "new"}]
    assert node_ids(build(tmp_path, given=given)[0], "seller") == ["A", "B", "new"]


def test_duplicates_and_unknown_ids_are_counted(tmp_path):
    given = {
        "listings": listing(("A", "p"), ("A", "p"), ("A", "p")),
        "high_demand": ids("p", "ghost"),
    }
    nodes, edges, report = build(tmp_path, given=given)
    assert (report.duplicate_listings, report.unknown_high_demand) == (2, 1)
    assert node_ids(nodes) == ["ghost", "p"] and edges.num_rows == 2


def test_a_page_view_alone_makes_no_product_of_what_the_catalogue_lacks(tmp_path):
    given = {
        "listings": listing(("A", "p"), ("A", "listed")),
        "pairs": bought(("p", "bought", 4)),
        "products": ids("p", "new"),
        "views": [{"product_id": p, "views": 9} for p in ("p", "ghost", "listed")],
    }

    def recommendable():
        nodes = build(tmp_path, given=given)[0].to_pylist()
        return [r["node_id"] for r in nodes if r["is_high_demand"]], len(nodes)

    # the ghost stays as an additional product
    assert recommendable() == (["bought", "listed", "new", "p"], 6)
    given["high_demand"] = ids("ghost")
    assert recommendable() == (["ghost"], 6)
    # without a catalogue views are what tells of it
    del given["high_demand"], given["products"]
    assert recommendable() == (["bought", "ghost", "listed", "p"], 5)


def test_rows_that_go_with_no_other_table_are_counted_by_input(tmp_path):
    given = {
        "listings": FOUR_SELLERS,
        "pairs": bought(("1", "x", 5), ("x", "y", 5), ("1", "2", 1)),
        "products": ids(*"123"),
        "high_demand": ids("1", "seen", "ghost"),
        "sellers": [{"seller_id": s} for s in ("A", "new")],
        "views": [
            {"product_id": p, "views": 1, "seller_id": s}
            for p, s in (("1", "A"), ("1", None), ("y", "new"), ("1", "z"), ("seen", None),
                         ("nothing", "A"))
        ],
    }  # fmt: skip
    report = build(tmp_path, given=given)[2]
    assert report.matches == {
        "listings": (11, 6), "pairs": (2, 1), "high_demand": (3, 2), "sellers": (2, 1),
        "views": (6, 3),
    }  # fmt: skip
    assert report.strangers == {}
    # what there is nothing to compare with is no stranger
    alone = {"pairs": given["pairs"], "sellers": given["sellers"], "views": given["views"]}
    assert build(tmp_path, given=alone)[2].matches == {"views": (6, 4)}


def test_inputs_under_a_tenth_of_whose_rows_match_are_strangers(tmp_path):
    for others, expected in ((9, {}), (10, {"views": (11, 1)})):
        views = [{"product_id": "p", "views": 1}] + [{"product_id": "q", "views": 1}] * others
        given = {"listings": listing(("A", "p")), "views": views}
        assert build(tmp_path, given=given)[2].strangers == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"listings": listing(("A", None))}, "no product_id"),
        ({"listings": [{"seller": "A", "product_id": "p"}]}, "no column 'seller_id'"),
        ({"listings": listing(("A", "p")), "high_demand": tables.HIGH_DEMAND.schema.empty_table()},
         "no rows"),
        ({"listings": listing(("A", "p")), "views": [{"product_id": "p", "views": -1}]},
         "negative"),
        ({"pairs": bought(("a", "b", 1))}, "no edges"),
        ({"listings": listing(("A", "p")),
          "sellers": [{"seller_id": "A", "category": x} for x in "xy"]}, "differ in 'category'"),
        ({"listings": listing(("A", "p")),
          "products": [{"product_id": "p", "title": t} for t in ("x", "y")]}, "differ in 'title'"),
    ],
)  # fmt: skip
def test_unusable_tables_are_refused(tmp_path, given, message):
    with pytest.raises(SchemaError, match=message):
        build(tmp_path, given=given)


def test_a_temporary_folder_that_is_full_is_said_so(tmp_path, monkeypatch):
    full = duckdb.OutOfMemoryException("failed to offload data block: temp_directory is full")

    def no_space(*_):
        raise full

    monkeypatch.setattr("cprtools.graph.build._edges", no_space)
    with pytest.raises(DataError, match="temporary folder is full"):
        build(tmp_path, given={"listings": FOUR_SELLERS})
    full = duckdb.BinderException("no such column")
    with pytest.raises(duckdb.BinderException):
        build(tmp_path, given={"listings": FOUR_SELLERS})


def test_listings_or_pairs_are_needed():
    with pytest.raises(UsageError, match="--listings or --pairs"):
        build_graph(GraphInputs())


@settings(deadline=None, max_examples=5, derandomize=True)
@given(rows=st.permutations(FOUR_SELLERS), threads=st.sampled_from([1, 2]))
def test_row_order_and_threads_change_nothing(tmp_path_factory, rows, threads):
    folder = tmp_path_factory.mktemp("order")
    pairs = bought(("1", "2", 5), ("2", "1", 2), ("6", "1", 4))
    first = build(folder, given={"listings": FOUR_SELLERS, "pairs": pairs}, threads=1)
    other = build(folder, given={"listings": rows, "pairs": pairs[::-1]}, threads=threads)
    assert first[0].equals(other[0]) and first[1].equals(other[1]) and first[2] == other[2]
    for table, keys in (
        (other[0], ["node_type", "node_id"]),
        (other[1], ["relation", "source_id"]),
    ):
        assert table.equals(table.sort_by([(key, "ascending") for key in keys]))
