"""A shop whose last product has no pairs, and its model as if that product had come later."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cprtools import answers, tables
from cprtools.cpr import recipe
from cprtools.cpr.problem import build_problem

LATE = "zz"
NUM_TYPES, NUM_BRANDS, COPIES = 4, 3, 5
FAST = {
    "embedding_dim": 16, "type_dim": 8, "hidden_dim": 32, "attribute_dim": 8, "batch_size": 32,
    "num_negatives": 50, "epochs": 2,
}  # fmt: skip
# tables with a row per product, of matrices with the products in their rows, and of items
_PER_PRODUCT = {
    "products", "codes", "vectors", "text_vectors", "mf_queries", "mf_candidates",
    "p_companion_items", "triplet_vectors", "sceptre_products",
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


def train_shop(folder, method="p-companion", *, products=None, with_ranker=False, **options):
    """The full model in folder/full.model, and folder/late.model, which does not know LATE."""
    products = shop_products() if products is None else products
    built = build_problem(shop_pairs(), products, shop_vectors(folder))
    assert built.catalogue.ids[-1].as_py() == LATE
    stage = recipe.train(built.problem, method, options=options, with_ranker=with_ranker)
    members, facts = answers.model_members(stage, built.catalogue, vocabulary=built.vocabulary)
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    n = products.num_rows
    for name, parts, rows in (
        ("full", members, n),
        ("late", {name: _less(name, table, n) for name, table in members.items()}, n - 1),
    ):
        facts = {**facts, "num_queries": rows}
        tables.write_folder(
            parts, str(folder / f"{name}.model"), answers.COMPLEMENTS, footer, facts
        )
    return folder


def _less(name, table, n):
    """A member as it would be if the last of n products, which has no pairs, were not there."""
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
