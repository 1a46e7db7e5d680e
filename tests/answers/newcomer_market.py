"""A shop whose last product has no pairs, and its model as if that product had come later."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cprtools import answers, tables
from cprtools.cpr import recipe
from cprtools.cpr.problem import build_problem
from cprtools.graph import GraphInputs, build_graph
from cprtools.linkpred import problem as seller_problem
from cprtools.linkpred import recipe as seller_recipe
from tests.training.few_steps import few_steps

LATE = "zz"
NUM_TYPES, NUM_BRANDS, COPIES = 4, 3, 5
FAST = {
    "embedding_dim": 16, "type_dim": 8, "hidden_dim": 32, "attribute_dim": 8, "batch_size": 32,
    "num_negatives": 50, "epochs": 2,
}  # fmt: skip
# tables with a row per product, of matrices with the products in their rows, and of items
_PER_PRODUCT = {
    "products", "codes", "vectors", "text_vectors", "mf_queries", "mf_candidates",
    "p_companion_items", "triplet_vectors", "sceptre_products", "gnn_products",
    "popularity_counts",
}  # fmt: skip
_ITEMS = {"item_knn_items", "ease_items"}


def shop_products():
    """Products with every kind of column, each with gaps; the last one is LATE."""
    rows = []
    for i in range(NUM_TYPES * NUM_BRANDS * COPIES + 1):
        kind, brand = i // (NUM_BRANDS * COPIES) % NUM_TYPES, i // COPIES % NUM_BRANDS
        rows.append(
            {
                "product_id": f"p{i:02}" if i < NUM_TYPES * NUM_BRANDS * COPIES else LATE,
                "title": None if i % 9 == 4 else f"Maker{brand} thing{kind} Model{i % 7}",
                "category_paths": [f"all{kind % 2}", f"kind{kind}"][: 1 + i % 4 % 3],
                "product_type": f"type {kind}",
                "brand": None if i % 11 == 5 else f"brand {brand}",
                "price": None if i % 6 == 3 else 5.0 + i,
                "weight": None if i % 7 == 2 else 10 + i * i,
                "colour": None if i % 5 == 1 else f"colour {i % 3}",
            }
        )
    return pa.Table.from_pylist(rows)


def shop_pairs():
    """Type t is completed by t + 1 of the same brand; some products lead to ids outside, too."""
    rows, size = [], NUM_BRANDS * COPIES
    for i in range(NUM_TYPES * size):
        for j in range(NUM_TYPES * size):
            follows = j // size == (i // size + 1) % NUM_TYPES
            if follows and i // COPIES % NUM_BRANDS == j // COPIES % NUM_BRANDS and (i + j) % 3:
                rows.append((f"p{i:02}", f"p{j:02}", 1 + (i * j) % 4, 0, True, False))
        if i % 4 == 0:
            rows.append((f"p{i:02}", f"outside {i % 3}", 2, 0, True, False))
        if i % COPIES:
            rows.append((f"p{i:02}", f"p{i - 1:02}", 0, 2, False, True))
    names = ["query_id", "candidate_id", "co_purchase", "co_view", "complement", "similar"]
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def shop_vectors(folder):
    """Two tables of vectors as sources; one product in eight has none in the second."""
    ids = shop_products().column("product_id").to_pylist()
    random = np.random.default_rng(5)
    sources = []
    for name, dim, kept in (
        ("text", 6, ids),
        ("image", 3, [x for i, x in enumerate(ids) if i % 8]),
    ):
        vectors = random.standard_normal((len(kept), dim)).astype(np.float32)
        pq.write_table(tables.vectors_table(pa.array(kept), vectors), folder / f"{name}.parquet")
        sources.append(tables.open_table(str(folder / f"{name}.parquet"), tables.VECTORS))
    return sources


def parts_by_time():
    """The shop's pairs again as those of earlier orders, of later ones and of the last earlier."""
    pairs, number = shop_pairs(), np.arange(shop_pairs().num_rows)
    return [pairs, *(pairs.filter(pa.array(number % every == 1)) for every in (2, 3))]


def train_shop(
    folder, method="p-companion", *, products=None, parts=(), with_ranker=False, **options
):
    """The full model in folder/full.model, and folder/late.model, which does not know LATE."""
    products = shop_products() if products is None else products
    built = build_problem(shop_pairs(), products, shop_vectors(folder), parts=parts)
    assert built.catalogue.ids[-1].as_py() == LATE
    with few_steps():
        stage = recipe.train(built.problem, method, options=options, with_ranker=with_ranker)
    members, facts = answers.model_members(stage, built.catalogue, vocabulary=built.vocabulary)
    n = products.num_rows
    _write_both(folder, answers.COMPLEMENTS, members, n, facts, {**facts, "num_queries": n - 1})
    return folder


def shop_listings():
    """Each seller lists one type of one or two brands, and some of them few things of another."""
    size, rows = NUM_BRANDS * COPIES, []
    for seller in range(48):
        kind = seller % NUM_TYPES
        for i in range(size):
            if (i * 7 + seller * 5) % 3 and (i // COPIES != seller % NUM_BRANDS or seller % 2):
                rows.append((f"s{seller:02}", f"p{kind * size + i:02}"))
        rows.append((f"s{seller:02}", f"p{(seller * 11) % (NUM_TYPES * size):02}"))
    sellers, products = zip(*sorted(set(rows)), strict=True)
    return pa.table({"seller_id": list(sellers), "product_id": list(products)})


def train_sellers(folder, method="gnn", *, demand=None, sellers=None, more=(), **options):
    """The same two models of a seller method; LATE is in the catalogue, and nobody lists it."""
    given = {
        "listings": (pa.concat_tables([shop_listings(), *more]), tables.LISTINGS),
        "products": (shop_products(), tables.PRODUCTS),
        "pairs": (full_pairs(), tables.PAIRS),
        "high_demand": (demand, tables.HIGH_DEMAND),
        "sellers": (sellers, tables.SELLERS),
    }
    sources = {}
    for name, (table, spec) in given.items():
        if table is not None:
            pq.write_table(table, folder / f"{name}.parquet")
            sources[name] = tables.open_table(str(folder / f"{name}.parquet"), spec)
    nodes, edges, _ = build_graph(GraphInputs(**sources))
    footer = tables.Footer(command="build-graph", params={}, seed=0, inputs=[])
    tables.write_folder({"nodes": nodes, "edges": edges}, str(folder / "graph"), "graph", footer)
    graph = tables.open_folder(str(folder / "graph"), ("graph",))
    built = seller_problem.build_problem(graph, shop_vectors(folder))
    assert built.catalogue.ids[-1].as_py() == LATE
    with few_steps():
        stage = seller_recipe.train(built, method, options=options)
    table = built.seller_table()
    members, facts = answers.model_members(stage, built.catalogue, table, built.vocabulary)
    _write_both(folder, answers.SELLERS, members, built.catalogue.table.num_rows, facts, facts)
    return folder


def full_pairs():
    """The shop's pairs with every column that the table must have."""
    pairs = shop_pairs()
    more = {"purchase_after_view": 0, "query_count": 9, "candidate_count": 9, "lift": 1.0}
    for name, value in more.items():
        pairs = pairs.append_column(name, pa.array([value] * pairs.num_rows))
    inside = pc.invert(pc.starts_with(pairs.column("candidate_id"), "outside"))
    return pairs.filter(inside)


def _write_both(folder, kind, members, n, facts, late_facts):
    footer = tables.Footer(command="train", params={}, seed=0, inputs=[])
    late = {name: _less(name, table, n) for name, table in members.items()}
    tables.write_folder(members, str(folder / "full.model"), kind, footer, facts)
    tables.write_folder(late, str(folder / "late.model"), kind, footer, late_facts)


def _less(name, table, n):
    """A member as it would be if the last of n products, which has no pairs, were not there."""
    if name == "mf_queries" and table.num_rows < n:
        # of sellers
        return table
    if name in _PER_PRODUCT:
        assert table.num_rows == n
        return table.slice(0, n - 1)
    if name == "words":
        return table.filter(pc.less(table.column("query_idx"), n - 1))
    if name in _ITEMS:
        rows = table.column("query_idx").to_numpy()
        # what is context comes after the products
        return table.set_column(0, "query_idx", pa.array(rows - (rows >= n)))
    return table
