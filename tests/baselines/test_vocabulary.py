"""Values of later products in the codes of the training, and problems that grow."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import ItemKnn, Problem
from cprtools.baselines.extension import append_products
from cprtools.baselines.sparse import widen
from cprtools.baselines.vocabulary import Vocabulary, learn_vocabulary, load_vocabulary
from cprtools.errors import SchemaError
from tests.contracts.recommender_contract import parquet_reader

SEEN = pa.table(
    {
        "product_id": [f"p{i}" for i in range(10)],
        "title": ["Acme red lens", "Acme red bag", "Bolt lens", "Bolt strap"] + ["Acme x"] * 6,
        "paths": [["a", "b"], ["a"]] * 5,
        "colour": ["red", "blue"] * 5,
        "ok": [True, False] * 5,
    }
)


def stored(vocabulary):
    members = vocabulary.tables()
    return load_vocabulary(parquet_reader(members), frozenset(members))


def test_a_vocabulary_is_stored_and_read_as_it_was():
    centres = np.arange(6, dtype=np.float32).reshape(3, 2)
    learnt = learn_vocabulary(SEEN, (2, 5), centres, ("transformer 'x'", ""))
    loaded = stored(learnt)
    assert loaded.attributes == learnt.attributes
    assert list(learnt.attributes) == ["paths_0", "paths_1", "colour", "ok", "brand"]
    assert loaded.words.words == learnt.words.words
    np.testing.assert_array_equal(loaded.words.rarity, learnt.words.rarity)
    assert loaded.dims == (2, 5)
    assert loaded.makers == ("transformer 'x'", "")
    np.testing.assert_array_equal(loaded.centres, centres)
    empty = stored(learn_vocabulary(pa.table({"product_id": ["x"]})))
    assert (dict(empty.attributes), empty.words, empty.dims, empty.centres) == ({}, None, (), None)


def test_what_is_blank_is_no_value():
    blank = pa.table(
        {
            "product_id": [f"p{i}" for i in range(6)],
            "title": ["Acme bag", "", " ", "Bolt bag", None, "Acme cap"],
            "category": ["", "Bags", " ", "Bags", None, ""],
            "paths": [["", "b"], ["a", ""], [], None, ["a"], ["a"]],
            "brand": ["Acme", "", " ", None, "Bolt", "Acme"],
        }
    )
    learnt = learn_vocabulary(blank)
    assert {name: a.names for name, a in learnt.attributes.items()} == {
        "category": ("Bags",), "paths_0": ("a",), "paths_1": ("b",), "brand": ("Acme", "Bolt"),
    }  # fmt: skip
    assert learnt.codes(blank)["brand"].tolist() == [0, -1, -1, -1, 1, 0]
    by_title = learn_vocabulary(blank.drop_columns(["brand"]))
    assert by_title.attributes["brand"].names == ("acme", "bolt")


def test_later_values_get_the_codes_of_the_names_and_strange_ones_none():
    later = pa.table(
        {
            "product_id": ["n", "m"],
            "title": ["ACME lens", "Nobody strap"],
            # as another library writes lists
            "paths": pa.array([["a", "b", "c"], None], pa.large_list(pa.large_string())),
            "colour": ["red", "green"],
            "brand": ["Bolt", "Bolt"],
        }
    )
    codes = stored(learn_vocabulary(SEEN)).codes(later)
    # names in order: a; b; blue, red; false, true; acme, bolt by the titles, as in training
    assert {name: values.tolist() for name, values in codes.items()} == {
        "paths_0": [0, -1],
        "paths_1": [0, -1],
        "colour": [1, -1],
        "ok": [-1, -1],
        "brand": [0, -1],
    }


def test_a_later_title_is_weighed_by_the_rarity_of_the_training():
    vocabulary = learn_vocabulary(SEEN)
    # lens, red and bolt are in 2 titles of 10, x in 6 and acme in 8: more than half tell nothing
    assert vocabulary.words.words == ("bolt", "lens", "red")
    rows = vocabulary.word_rows(pa.table({"title": ["lens acme new", None, "RED bolt"]})).toarray()
    expected = np.array([[0, 1, 0], [0, 0, 0], [1 / np.sqrt(2), 0, 1 / np.sqrt(2)]])
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    assert vocabulary.word_rows(pa.table({"product_id": ["x", "y"]})).nnz == 0


def test_the_nearest_centre_is_the_type_and_a_zero_row_has_none():
    centres = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    vectors = np.array([[0.9, 0.1], [0, 0], [-0.1, 2], [-3, 1]], dtype=np.float32)
    assert Vocabulary(centres=centres).nearest_types(vectors).tolist() == [0, -1, 1, 2]
    with pytest.raises(ValueError, match="names of their own"):
        Vocabulary().nearest_types(vectors)


def test_a_damaged_vocabulary_is_refused():
    members = learn_vocabulary(SEEN).tables()
    broken = {**members, "vocabulary": members["vocabulary"].drop_columns(["name"])}
    with pytest.raises(SchemaError, match="vocabulary: its tables do not hold"):
        load_vocabulary(parquet_reader(broken), frozenset(broken))
    words = members["vocabulary_words"]
    broken = {**members, "vocabulary_words": words.set_column(1, "rarity", pa.array([0.0] * 3))}
    with pytest.raises(SchemaError, match="rarity must be a positive number"):
        load_vocabulary(parquet_reader(broken), frozenset(broken))


def test_widened_rows_are_empty_and_stand_where_they_were_asked_for():
    matrix = csr_matrix([[1, 0], [0, 2], [3, 4]])
    assert widen(matrix, (4, 3)).toarray().tolist() == [[1, 0, 0], [0, 2, 0], [3, 4, 0], [0, 0, 0]]
    between = widen(matrix, (4, 3), after=1).toarray().tolist()
    assert between == [[1, 0, 0], [0, 0, 0], [0, 2, 0], [3, 4, 0]]


def test_ids_outside_the_catalogue_keep_their_say_when_products_are_added():
    # products 0 and 1 lead to the same id outside, and 0 to 2: so 2 goes with 1, too
    matrix = csr_matrix(np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=np.float32))
    context = csr_matrix(np.array([[1], [1], [0]], dtype=np.float32))
    problem = Problem(matrix, np.zeros(3, np.int64), 1, context=context, is_square=True)
    new = Problem(csr_matrix((2, 2)), np.array([0, -1]), 1, is_square=True)
    joined = append_products(problem, new)
    model = ItemKnn.fit(problem)
    before, after = model.score(np.arange(3)), model.extended(joined).score(np.arange(5))
    assert before[1, 2] > 0
    np.testing.assert_array_equal(after[:3, :3], before)
    assert not after[3:].any() and not after[:, 3:].any()


def test_what_is_not_told_of_later_products_is_unknown():
    two = np.ones(2, np.float32)
    problem = Problem(
        csr_matrix((2, 2), dtype=np.float32), np.zeros(2, np.int64), 1, prices=two,
        numbers={"weight": two}, attributes={"brand": np.array([0, 1])},
        vectors=np.ones((2, 3), np.float32), is_square=True,
    )  # fmt: skip
    new = Problem(csr_matrix((1, 1), dtype=np.float32), np.zeros(1, np.int64), 1, is_square=True)
    found = append_products(problem, new)
    np.testing.assert_array_equal(found.prices, [1, 1, np.nan])
    np.testing.assert_array_equal(found.numbers["weight"], [1, 1, np.nan])
    assert found.attributes["brand"].tolist() == [0, 1, -1]
    assert found.vectors.tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
