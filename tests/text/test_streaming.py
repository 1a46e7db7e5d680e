"""Encoding kept in a store: each text once, new ones the next day, on after an interruption."""

import numpy as np
import pyarrow as pa
import pytest

from cprtools import text
from cprtools.tables import VectorStore, to_matrix
from cprtools.text import streaming


class LetterCounts:
    """Counts of a, b and c; remembers what it was given, and may stop after some chunks."""

    def __init__(self, stop_after=None):
        self.chunks = []
        self._left = stop_after

    def tokenise(self, texts):
        return list(texts)

    def encode_tokens(self, texts):
        if self._left == 0:
            raise KeyboardInterrupt
        self._left = None if self._left is None else self._left - 1
        self.chunks.append(texts)
        return np.array([[t.count(letter) for letter in "abc"] for t in texts], dtype=np.float32)

    encode = encode_tokens


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(streaming, "CHUNK", 2)
    monkeypatch.setattr("cprtools.text.embedding.ROW_GROUP", 3)


def stream(folder, titles, encoder):
    products = pa.table({"product_id": [f"P{i}" for i in range(len(titles))], "title": titles})
    texts = text.join_columns(products, ["title"])
    store = VectorStore(folder, "m")
    made = text.stream_stored(products, texts, lambda: encoder, store).read_all()
    at_once = text.embed_products(products, texts, LetterCounts()).table
    assert made.equals(at_once)
    return made


TITLES = ["ab", None, "aaab", "c", "ab", "bbbb", " ", "cc", "aaab"]


def test_each_text_is_encoded_once_longest_first_in_chunks(tmp_path):
    encoder = LetterCounts()

    made = stream(tmp_path, TITLES, encoder)

    assert encoder.chunks == [["aaab", "bbbb"], ["ab", "cc"], ["c"]]
    # 3 a and 1 b: length sqrt(10)
    np.testing.assert_allclose(
        to_matrix(made["vector"], "")[1], [3 / 10**0.5, 1 / 10**0.5, 0], rtol=1e-6
    )


def test_the_next_day_only_new_and_changed_texts_are_encoded(tmp_path):
    stream(tmp_path, TITLES, LetterCounts())
    encoder = LetterCounts()

    stream(tmp_path, ["cab", *TITLES[:-1], "a"], encoder)

    assert encoder.chunks == [["cab", "a"]]


def test_an_unchanged_input_does_not_even_load_the_encoder(tmp_path):
    stream(tmp_path, TITLES, LetterCounts())

    stream(tmp_path, TITLES[::-1], None)


def test_interrupted_work_goes_on_with_the_chunk_it_was_at(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        stream(tmp_path, TITLES, LetterCounts(stop_after=2))
    encoder = LetterCounts()

    stream(tmp_path, TITLES, encoder)

    assert encoder.chunks == [["c"]]
