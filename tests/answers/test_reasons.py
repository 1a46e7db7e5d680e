"""Why a complement is recommended: pairs known from the product, and pairs known towards it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cprtools import answers, tables
from cprtools.answers.in_place import open_in_place
from cprtools.cpr import recipe
from cprtools.cpr.problem import build_problem


def pairs_table(rows):
    """(query, candidate, co-purchases) as a table of complements."""
    query, candidate, count = zip(*rows, strict=True)
    n = len(rows)
    return pa.table({
        "query_id": query, "candidate_id": candidate, "co_purchase": count,
        "co_view": [0] * n, "complement": [True] * n, "similar": [False] * n,
    })  # fmt: skip


def both_models(folder, method, pairs, products, vectors=()):
    """The model in memory, and the same one in place."""
    built = build_problem(pairs, products, vectors)
    stage = recipe.train(built.problem, method, options={}, with_ranker=True)
    members, facts = answers.model_members(stage, built.catalogue)
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    place = str(folder / f"{method}.model")
    tables.write_folder(members, place, answers.COMPLEMENTS, footer, facts)
    memory = answers.open_model(place)
    return memory, open_in_place(memory.folder)


def reasons_of(model, query, **asked):
    """The reason for each product that is recommended to the query."""
    (found,) = answers.recommend_complements(
        model, np.array([model.find_query(query)]), answers.ComplementRequest(**asked)
    )
    columns = (found.column(name).to_pylist() for name in ("product_id", "reason"))
    return dict(zip(*columns, strict=True))


def test_a_pair_known_the_other_way_round_is_a_reason_of_its_own(tmp_path):
    pairs = pairs_table([("a", "b", 3), ("b", "a", 3), ("c", "a", 2)])
    products = pa.table({"product_id": ["a", "b", "c"]})
    for model in both_models(tmp_path, "reverse", pairs, products):
        reasons = reasons_of(model, "a")
        # nothing is known from a to c, and the pair of a and b is known both ways
        assert reasons["c"].split("; ")[0] == "bought the other way round 2 times"
        assert reasons["b"].split("; ")[0] == "bought together 3 times"


def test_a_product_that_fills_a_list_up_is_not_called_near(tmp_path):
    pairs = pairs_table([("a", "b", 3), ("b", "a", 1)])
    products = pa.table({"product_id": ["a", "b", "c"], "product_type": ["A", "B", "C"]})
    filling = "fills the list up, no known pair leads to it"
    expected = {
        "popularity": filling, "co-purchase": filling, "type-counts": filling,
        "type-popularity": "chosen by its type",
    }  # fmt: skip
    for method, reason in expected.items():
        for model in both_models(tmp_path, method, pairs, products):
            assert reasons_of(model, "a") == {"b": "bought together 3 times", "c": reason}


def test_text_calls_near_what_is_near(tmp_path):
    pairs = pairs_table([("a", "b", 3)])
    ids = ["a", "b", "c", "d"]
    products = pa.table({"product_id": ids})
    angles = np.array([0, 3, 0.5, 2.5])
    matrix = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    pq.write_table(tables.vectors_table(pa.array(ids), matrix), tmp_path / "v.parquet")
    vectors = [tables.open_table(str(tmp_path / "v.parquet"), tables.VECTORS)]
    for model in both_models(tmp_path, "text-knn", pairs, products, vectors):
        reasons = reasons_of(model, "a")
        assert reasons["b"] == "bought together 3 times"
        assert reasons["c"] == "nearest by its features"
        assert reasons["d"] == "fills the list up, no known pair leads to it"


def test_products_without_a_brand_do_not_have_the_same_one(tmp_path):
    pairs = pairs_table([("a", "b", 3), ("d", "c", 1)])
    # exports write "" for what is not known
    products = pa.table({"product_id": ["a", "b", "c", "d"], "brand": ["", "", " ", " "]})
    for model in both_models(tmp_path, "popularity", pairs, products):
        assert reasons_of(model, "a")["b"] == "bought together 3 times"
        assert reasons_of(model, "d")["c"] == "bought together once"


def test_a_type_completes_another_where_pairs_say_so_more_than_chance_would(tmp_path):
    pairs = pairs_table([
        ("a1", "b1", 10), ("a2", "b2", 10), ("a1", "c1", 8), ("a1", "d1", 1), ("a2", "d2", 1),
        ("e1", "d1", 50), ("e2", "d2", 50),
    ])  # fmt: skip
    ids = ["a1", "a2", "b1", "b2", "c1", "d1", "d2", "e1", "e2"]
    products = pa.table({"product_id": ids, "product_type": [name[0].upper() for name in ids]})
    for model in both_models(tmp_path, "popularity", pairs, products):
        of_a, of_e = (reasons_of(model, query, k=9) for query in ("a1", "e1"))
        # A to B: 20 where chance gives 30 * 20 / 130; E to D: 100 where it gives 100 * 102 / 130
        assert of_a["b1"] == "bought together 10 times; B completes A"
        assert of_a["b2"] == "B completes A; 10 joint purchases with other products"
        assert of_e["d2"] == "D completes E; 51 joint purchases with other products"
        # A to C is one pair; A to D: 2 where chance gives 30 * 102 / 130
        assert of_a["c1"] == "bought together 8 times"
        assert of_a["d1"] == "bought together once; 50 joint purchases with other products"
        assert of_a["d2"] == "51 joint purchases with other products"


def test_one_purchase_is_told_as_one(tmp_path):
    pairs = pairs_table([("a", "b", 1), ("b", "a", 2)])
    products = pa.table({"product_id": ["a", "b", "c"]})
    for model in both_models(tmp_path, "popularity", pairs, products):
        assert reasons_of(model, "c")["b"] == "1 joint purchase with other products"


def test_no_type_completes_itself(tmp_path):
    pairs = pairs_table([("a1", "a2", 3), ("a2", "a1", 3), ("b1", "b2", 3), ("b2", "b1", 3)])
    ids = ["a1", "a2", "b1", "b2"]
    products = pa.table({"product_id": ids, "product_type": [name[0].upper() for name in ids]})
    for model in both_models(tmp_path, "popularity", pairs, products):
        # A to A: 6 where chance gives 6 * 6 / 12
        assert reasons_of(model, "a1")["a2"] == "bought together 3 times"


def test_the_two_foremost_reasons_are_told(tmp_path):
    pairs = pairs_table([("a", "b", 3), ("c", "b", 2)])
    products = pa.table({"product_id": ["a", "b", "c"], "brand": ["Acme", "Acme", "Other"]})
    for model in both_models(tmp_path, "popularity", pairs, products):
        # two joint purchases with c are a third
        assert reasons_of(model, "a")["b"] == "bought together 3 times; same brand Acme"


def test_a_type_that_every_pair_leads_to_completes_none(tmp_path):
    pairs = pairs_table([("a1", "b1", 3), ("a2", "b2", 3)])
    ids = ["a1", "a2", "b1", "b2"]
    products = pa.table({"product_id": ids, "product_type": [name[0].upper() for name in ids]})
    for model in both_models(tmp_path, "popularity", pairs, products):
        # A to B: 6, and chance gives 6 * 6 / 6
        assert reasons_of(model, "a1")["b1"] == "bought together 3 times"
