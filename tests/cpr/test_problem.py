"""From pairs and products to the problem of a complement model."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.cpr.labels import LABELS, labelled
from cprtools.cpr.problem import build_problem
from cprtools.errors import SchemaError
from cprtools.ranking import hold_out_later


def pairs(*rows, after=None):
    """(query, candidate, co_purchase, co_view, complement, similar) as a pairs table."""
    names = ["query_id", "candidate_id", "co_purchase", "co_view", "complement", "similar"]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return pa.table({**columns, "purchase_after_view": after or [0] * len(rows)})


ROWS = (
    ("a", "b", 5, 0, True, False),
    ("a", "c", 2, 0, True, False),
    ("c", "b", 1, 0, True, False),
    ("a", "d", 0, 3, False, True),
    ("c", "d", 4, 4, False, False),
    ("b", "outside", 9, 0, True, False),
)


def test_products_are_ordered_by_popularity_then_id():
    products = pa.table({"product_id": ["d", "c", "b", "a", "e"]})
    built = build_problem(pairs(*ROWS), products)
    # towards b 5 + 1, towards c 2, towards the others none
    assert built.catalogue.ids.to_pylist() == ["b", "c", "a", "d", "e"]


def test_only_complement_pairs_inside_the_catalogue_count():
    products = pa.table({"product_id": ["a", "b", "c", "d"]})
    built = build_problem(pairs(*ROWS), products)
    place = {name: i for i, name in enumerate(built.catalogue.ids.to_pylist())}
    dense = built.problem.matrix.toarray()
    assert dense[place["a"], place["b"]] == 5
    assert dense[place["c"], place["d"]] == 0
    assert dense.sum() == 5 + 2 + 1
    assert built.pairs_outside == 1


def test_a_product_and_itself_are_no_pair_and_not_outside():
    products = pa.table({"product_id": ["a", "b", "c", "d"]})
    built = build_problem(pairs(*ROWS, ("a", "a", 7, 0, True, False)), products)
    assert built.problem.matrix.sum() == 5 + 2 + 1
    assert built.pairs_outside == 1


def test_all_labels_count_every_co_purchase_whatever_was_viewed():
    products = pa.table({"product_id": ["a", "b", "c", "d"]})
    built = build_problem(pairs(*ROWS), products, labels="all")
    place = {name: i for i, name in enumerate(built.catalogue.ids.to_pylist())}
    dense = built.problem.matrix.toarray()
    # c -> d was bought together four times and viewed together four times
    assert dense[place["c"], place["d"]] == 4
    assert dense.sum() == 5 + 2 + 1 + 4
    # a -> d was only viewed together: no label, whichever way
    assert dense[place["a"], place["d"]] == 0
    assert list(place) == ["b", "d", "c", "a"]


def test_few_views_speak_against_no_pair_of_bestsellers():
    # (query, candidate, co_purchase, co_view, complement, similar)
    rows = [("a", "b", 100, 20, False, False), ("c", "d", 100, 100, False, False),
            ("e", "f", 3, 0, True, False), ("g", "h", 1, 1, False, False)]  # fmt: skip
    table = pairs(*rows, after=[99, 0, 0, 0])
    learnt = {name: labelled(table, name).column("complement").to_pylist() for name in LABELS}
    assert learnt == {
        "weighed": [True, False, True, False],
        "cleaned": [False, False, True, False],
        "all": [True] * 4,
    }
    more = pairs(*rows, after=[100, 0, 0, 0])
    assert labelled(more, "weighed").column("complement").to_pylist()[0] is False


@pytest.mark.parametrize("labels", LABELS)
def test_counts_and_flags_that_a_join_left_null_are_none(labels):
    rows = [("a", "b", 5, None, True, None), ("a", "c", 2, 0, True, False),
            ("c", "b", None, 3, None, True)]  # fmt: skip
    table = pairs(*rows, after=[None, 0, 2])
    built = build_problem(table, pa.table({"product_id": ["a", "b", "c"]}), labels=labels)
    assert sorted(built.problem.matrix.data.tolist()) == [2, 5]
    assert built.problem.similar.nnz == 2


def test_a_complement_without_a_count_counts_once():
    table = pairs(("a", "b", None, 0, True, False), ("b", "c", 3, 0, True, False))
    for labels in ("weighed", "cleaned"):
        problem = build_problem(table, None, labels=labels).problem
        assert sorted(problem.matrix.data.tolist()) == [1, 3]


@pytest.mark.parametrize(("row", "told"), [
    (("a", "b", -1, 0, True, False), "^a co_purchase is -1; counts are 0 or more"),
    (("a", "b", 2, -3, False, True), "^a co_view is -3; counts"),
])  # fmt: skip
def test_counts_below_zero_are_none(row, told):
    with pytest.raises(SchemaError, match=told):
        build_problem(pairs(*ROWS, row), None)
    with pytest.raises(SchemaError, match=told.replace("^", "^--later: ")):
        build_problem(pairs(*ROWS), None, parts=[pairs(*ROWS), pairs(*ROWS, row)])


def test_labels_are_weighed_cleaned_or_all():
    with pytest.raises(ValueError, match="cleaned"):
        build_problem(pairs(*ROWS), None, labels="dirty")


def test_all_labels_serve_where_every_co_purchase_was_viewed_too():
    viewed = pairs(("a", "b", 2, 3, False, False))
    assert build_problem(viewed, None, labels="all").problem.matrix.nnz == 1
    told = "none of 1 pairs is a complement; views speak against the 1 bought together: --labels"
    for labels in ("weighed", "cleaned"):
        with pytest.raises(SchemaError, match=told):
            build_problem(viewed, None, labels=labels)


@pytest.mark.parametrize(("labels", "what"), [("weighed", "complement"), ("all", "co-purchase")])
def test_pairs_of_similar_products_alone_are_no_question_of_ids(labels, what):
    similar = pairs(("a", "b", 0, 3, False, True))
    with pytest.raises(SchemaError, match=f"none of 1 pairs is a {what}; nothing in them was b"):
        build_problem(similar, pa.table({"product_id": ["a", "b"]}), labels=labels)


def test_similar_pairs_hold_in_both_directions():
    built = build_problem(pairs(*ROWS), pa.table({"product_id": ["a", "b", "c", "d"]}))
    place = {name: i for i, name in enumerate(built.catalogue.ids.to_pylist())}
    similar = built.problem.similar.toarray()
    assert similar[place["a"], place["d"]]
    assert similar[place["d"], place["a"]]
    assert similar.sum() == 2


def test_what_is_told_to_learn_from_is_what_is_learnt_from():
    rows = [("a", "b", 100, 20, False, False), ("c", "d", 0, 2, False, True), *ROWS[-1:]]
    told = dict(build_problem(pairs(*rows), pa.table({"product_id": [*"abcd"]})).summary())
    # a -> b is learnt from though it is no complement by its flag; c and d are similar, both ways
    assert told == {
        "products": 4,
        "products in none of the pairs": 2,
        "product types": 0,
        "pairs to learn from": 1,
        "pairs outside the products": 1,
        "similar pairs, both ways": 2,
    }


def test_without_products_every_id_of_the_pairs_is_one():
    built = build_problem(pairs(*ROWS), None)
    assert sorted(built.catalogue.ids.to_pylist()) == ["a", "b", "c", "d", "outside"]
    assert built.problem.num_types == 0


def test_type_is_product_type_else_category_else_the_last_of_a_path():
    products = pa.table(
        {
            "product_id": ["a", "b", "c"],
            "product_type": ["Lens", None, None],
            "category": [["Photo"], ["Photo", "Bags"], None],
        }
    )
    built = build_problem(pairs(*ROWS), products)
    kinds = dict(
        zip(
            built.catalogue.ids.to_pylist(),
            built.catalogue.table.column("product_type").to_pylist(),
            strict=True,
        )
    )
    assert kinds == {"a": "Lens", "b": "Bags", "c": None}
    types = built.problem.types[built.catalogue.index_of(pa.array(["a", "b", "c"]))]
    assert types[2] == -1
    assert len({*types.tolist()}) == 3


def test_types_are_clusters_of_the_vectors_where_nothing_names_them(tmp_path):
    ids = [f"p{i}" for i in range(40)]
    rng = np.random.default_rng(0)
    centre = np.repeat(np.eye(2, 8, dtype=np.float32) * 10, 20, axis=0)
    vectors = centre + 0.1 * rng.normal(size=(40, 8)).astype(np.float32)
    vectors[7] = 0
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)
    pq.write_table(pa.table({"product_id": ids, "vector": flat}), tmp_path / "v.parquet")
    source = tables.open_table(str(tmp_path / "v.parquet"), tables.VECTORS)
    rows = [(ids[i], ids[i + 1], 1, 0, True, False) for i in range(39)]
    built = build_problem(pairs(*rows), pa.table({"product_id": ids}), [source])
    first = built.problem.types[built.catalogue.index_of(pa.array(ids[:20]))]
    second = built.problem.types[built.catalogue.index_of(pa.array(ids[20:]))]
    assert not set(first.tolist()) & set(second.tolist())
    # what has no vector has no cluster either
    assert [row for row, kind in enumerate(first.tolist()) if kind < 0] == [7]
    assert built.catalogue.type_names[0].startswith("cluster ")


def test_tables_that_share_no_id_are_refused():
    with pytest.raises(SchemaError, match="no complement pair joins two of the 1 products"):
        build_problem(pairs(*ROWS), pa.table({"product_id": ["x"]}))


def test_ids_outside_that_two_products_lead_to_are_context():
    products = pa.table({"product_id": ["a", "b", "c", "d"]})
    more = (("a", "outside", 2, 0, True, False), ("a", "alone", 3, 0, True, False))

    problem = build_problem(pairs(*ROWS, *more), products).problem

    # b and a lead to `outside`; only a leads to `alone`, which says nothing of any other product
    assert problem.context.shape == (4, 1)
    assert sorted(problem.context.data.tolist()) == [2, 9]
    assert problem.matrix.shape == (4, 4)
    assert build_problem(pairs(*ROWS), products).problem.context is None


def test_pairs_of_two_parts_are_laid_out_like_the_pairs_and_context_is_left_out():
    products = pa.table({"product_id": ["a", "b", "c", "d"]})
    parts = (pairs(("a", "b", 3, 0, True, False)), pairs(("a", "b", 2, 0, True, False)))
    more = (("a", "outside", 2, 0, True, False),)
    built = build_problem(pairs(*ROWS, *more), products, parts=parts)
    place = {name: i for i, name in enumerate(built.catalogue.ids.to_pylist())}
    assert built.problem.earlier[place["a"], place["b"]] == 3
    assert built.problem.later[place["a"], place["b"]] == 2
    assert built.problem.later.nnz == 1
    assert built.problem.context is None
    assert built.problem.recent is None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_part_of_the_orders_without_a_pair_of_the_products_is_refused(place):
    products = pa.table({"product_id": ["a", "b", "c", "d"]})
    parts = [pairs(("a", "b", 3, 0, True, False)) for _ in range(3)]
    name = ("--earlier", "--later", "--recent")[place]
    strange, similar = ("x", "y", 3, 0, True, False), ("a", "b", 0, 3, False, True)
    told = {strange: "no complement pair joins two of the 4", similar: "none of 1 pairs is a compl"}
    for odd, said in told.items():
        parts[place] = pairs(odd)
        with pytest.raises(SchemaError, match=f"{name}: {said}"):
            build_problem(pairs(*ROWS), products, parts=parts)


def test_the_last_orders_of_all_are_the_later_ones_and_those_of_the_earlier_ones_are_told():
    products = pa.table({"product_id": ["a", "b", "c", "d"]})
    parts = [pairs(("a", "b", count, 0, True, False)) for count in (3, 2, 1)]
    problem = build_problem(pairs(*ROWS), products, parts=parts).problem
    assert problem.recent is problem.later
    assert problem.earlier_recent.data.tolist() == [1]


def test_views_of_the_earlier_orders_are_told_apart():
    rows = [("a", "b", 5, 0, True, False), ("a", "c", 0, 4, False, True)]
    parts = [pairs(("a", "b", 3, 2, True, False)), pairs(("a", "b", 2, 0, True, False))]
    whole = pairs(*rows, after=[0, 4])
    built = build_problem(whole, pa.table({"product_id": ["a", "b", "c"]}), parts=parts)
    problem, _ = hold_out_later(built.problem)
    place = {name: i for i, name in enumerate(built.catalogue.ids.to_pylist())}

    assert built.problem.co_views[place["a"], place["c"]] == 4
    assert built.problem.similar[place["c"], place["a"]]
    # what was viewed later is nothing to foretell it by
    assert problem.co_views.nnz == 1
    assert problem.co_views[place["a"], place["b"]] == 2
    assert problem.similar is None


def with_words(change):
    """Four products with categories and types that are numbers, each column changed."""
    words = {"category": [7, 7, None, 12], "product_type": [3, None, 20, 3]}
    changed = {name: change(pa.array(values, pa.int64())) for name, values in words.items()}
    return pa.table({"product_id": ["a", "b", "c", "d"], **changed})


@pytest.mark.parametrize(
    "change",
    [
        lambda words: words,
        lambda words: words.cast(pa.float64()),
        lambda words: words.cast(pa.decimal128(30, 2)),
        lambda words: words.dictionary_encode(),
        lambda words: words.cast(pa.string()).cast(pa.binary()),
    ],
    ids=["whole", "floats", "decimals", "coded", "bytes"],
)
def test_categories_and_types_that_are_numbers_are_names_and_no_amounts(tmp_path, change):
    products = with_words(change)
    pq.write_table(products, tmp_path / "products.parquet")

    read = tables.read(tables.open_table(str(tmp_path / "products.parquet"), tables.PRODUCTS))
    built = build_problem(pairs(*ROWS), read)

    # by popularity: b, c, a, d
    assert {k: v.tolist() for k, v in built.problem.attributes.items()} == {
        "category": [1, -1, 1, 0]
    }
    assert built.catalogue.table.column("category").to_pylist() == ["7", None, "7", "12"]
    assert built.catalogue.type_names == ("20", "3", "7")
    assert built.problem.numbers == {}


def test_entries_of_a_path_that_are_numbers_are_names_too(tmp_path):
    paths = pa.array([[1, 10], [1, 11], None, [2]], pa.list_(pa.int32()))
    products = pa.table({"product_id": ["a", "b", "c", "d"], "category": paths})
    pq.write_table(products, tmp_path / "products.parquet")

    read = tables.read(tables.open_table(str(tmp_path / "products.parquet"), tables.PRODUCTS))
    built = build_problem(pairs(*ROWS), read)

    found = {k: v.tolist() for k, v in built.problem.attributes.items()}
    assert found == {"category_0": [0, -1, 0, 1], "category_1": [1, -1, 0, -1]}
    assert built.catalogue.type_names == ("10", "11", "2")
