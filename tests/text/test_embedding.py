"""Texts to vectors, with tiny encoders whose vectors can be worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools.errors import DataError, SchemaError
from cprtools.text import embed_products, embed_texts, join_columns


class LetterCounts:
    """Counts of a, b and c; remembers the batches it was given."""

    def __init__(self):
        self.batches = []

    def encode(self, texts):
        self.batches.append(list(texts))
        counts = [[text.count(letter) for letter in "abc"] for text in texts]
        return np.array(counts, dtype=np.float32)


class BatchSensitive(LetterCounts):
    """As a real model's padding does, lets the rest of a batch change a vector a little."""

    def encode(self, texts):
        longest = max(map(len, texts))
        noise = np.arange(len(texts), dtype=np.float32)[:, None] + longest
        return super().encode(texts) + 1 + noise / 7


def products(**columns):
    return pa.table(
        {"product_id": [f"P{i}" for i in range(len(next(iter(columns.values()))))]} | columns
    )


def test_a_vector_is_the_encoders_divided_by_its_length():
    vectors = embed_texts(["aaabbbb", "c"], LetterCounts())

    # 3 a and 4 b: length 5
    np.testing.assert_allclose(vectors, [[3 / 5, 4 / 5, 0], [0, 0, 1]], rtol=1e-6)
    assert vectors.dtype == np.float32


def test_a_zero_vector_stays_zero():
    assert embed_texts(["xyz"], LetterCounts()).tolist() == [[0, 0, 0]]


def test_equal_texts_are_encoded_once():
    encoder = LetterCounts()

    vectors = embed_texts(["ab", "c", "ab", "ab"], encoder)

    assert encoder.batches == [["ab", "c"]]
    assert vectors[0].tolist() == vectors[2].tolist() == vectors[3].tolist()


def test_batches_hold_texts_of_like_length_longest_first():
    encoder = LetterCounts()

    embed_texts(["a", "bbb", "cc", "aaaa", "b"], encoder, batch_size=2)

    assert encoder.batches == [["aaaa", "bbb"], ["cc", "a"], ["b"]]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    texts=st.lists(st.text(alphabet="abc ", min_size=1, max_size=6), min_size=1, max_size=20),
    batch_size=st.integers(1, 5),
    data=st.data(),
)
def test_the_order_of_the_texts_changes_no_bit_of_a_vector(texts, batch_size, data):
    order = data.draw(st.permutations(range(len(texts))))
    straight = embed_texts(texts, BatchSensitive(), batch_size=batch_size)
    shuffled = embed_texts([texts[i] for i in order], BatchSensitive(), batch_size=batch_size)

    assert shuffled.tobytes() == straight[order].tobytes()


def test_progress_sees_each_batch():
    seen = []

    def progress(steps, label, total):
        for step in steps:
            seen.append((len(step), total))
            yield step

    embed_texts(["a", "b", "c"], LetterCounts(), batch_size=2, progress=progress)

    assert seen == [(2, 2), (1, 2)]


def test_an_encoder_that_gives_no_numbers_is_an_error():
    class Broken:
        def encode(self, texts):
            return np.full((len(texts), 2), np.nan, dtype=np.float32)

    with pytest.raises(DataError, match="not finite"):
        embed_texts(["a"], Broken())


def test_products_without_text_get_no_row_and_are_counted():
    table = products(title=["ab", None, " ", "c", "ab"])

    made = embed_products(table, join_columns(table, ["title"]), LetterCounts())

    assert made.table.column("product_id").to_pylist() == ["P0", "P3", "P4"]
    assert (made.products, made.without_text, made.texts) == (5, 2, 2)
    assert made.table.schema.field("vector").type.list_size == 3


def test_the_named_columns_are_joined_by_a_blank_in_the_order_named():
    table = products(title=["Red  wine ", None, ""], brand=["Acme", "Bolt", None])

    assert join_columns(table, ["title", "brand"]).to_pylist() == ["Red wine Acme", "Bolt", None]
    assert join_columns(table, ["brand", "title"]).to_pylist() == ["Acme Red wine", "Bolt", None]


def test_blanks_that_do_not_break_and_wide_ones_are_blanks():
    table = products(title=["red\u00a0 mug", "red\u3000mug\u2028", "\u00a0", "red\tmug"])
    assert join_columns(table, ["title"]).to_pylist() == ["red mug", "red mug", None, "red mug"]


def test_a_single_column_keeps_one_text_per_product():
    assert join_columns(products(title=["a", None, "c"]), ["title"]).to_pylist() == ["a", None, "c"]


def test_lists_of_any_depth_dictionaries_and_numbers_are_text():
    table = products(
        tags=[["a", None, "b"], [], None],
        paths=[[["x", "y"], ["z"]], [[]], [["w"]]],
        brand=pa.array(["q", None, "r"]).dictionary_encode(),
        size=[1, 2, None],
    )

    joined = join_columns(table, ["tags", "paths", "brand", "size"])

    assert joined.to_pylist() == ["a b x y z q 1", "2", "w r"]


def test_an_unknown_column_is_named_with_those_there_are():
    table = products(name=["a"], price=[1.0], tags=[["x"]])

    with pytest.raises(
        SchemaError,
        match=r"no column 'title' to embed; found product_id, name, price, tags; "
        r"--text can name name, tags$",
    ):
        join_columns(table, ["title"])


def test_no_text_at_all_is_an_error():
    table = products(title=[None, " "], brand=["a", "b"])

    with pytest.raises(SchemaError, match="no product has any text in title"):
        join_columns(table, ["title"])


def test_bytes_that_are_no_text_are_an_error():
    with pytest.raises(SchemaError, match="cannot be read as text"):
        join_columns(products(title=pa.array([b"\xff\xfe"], pa.binary())), ["title"])
