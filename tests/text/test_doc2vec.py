"""Doc2Vec: texts that share words come to lie together, the same in every process."""

import subprocess
import sys

import numpy as np
import pytest

from cprtools import text
from cprtools.errors import MissingExtraError, SchemaError


def planted(count=300):
    """Titles of ten words out of a hundred: even ones of tea, odd ones of tools."""
    rng = np.random.default_rng(0)
    return [
        " ".join(f"{kind}{word}" for word in rng.integers(0, 100, 10))
        for _ in range(count)
        for kind in ("tea", "tool")
    ]


def test_texts_of_one_vocabulary_lie_nearer_than_texts_of_another():
    pytest.importorskip("gensim")
    vectors = text.train_doc2vec([*planted(), "???"], dim=16)
    tea, tool = vectors[:-1:2], vectors[1:-1:2]

    assert (tea @ tea.T).mean() > (tea @ tool.T).mean() + 0.2
    np.testing.assert_allclose(np.linalg.norm(vectors[:-1], axis=1), 1, atol=1e-6)
    assert not vectors[-1].any()


def test_neither_order_nor_process_changes_a_byte_and_another_seed_does():
    pytest.importorskip("gensim")
    titles = planted(10)
    straight = text.train_doc2vec(titles, dim=8)
    code = (
        "import sys; from cprtools.text import train_doc2vec;"
        "sys.stdout.buffer.write(train_doc2vec(sys.argv[1:], dim=8).tobytes())"
    )
    other = subprocess.run([sys.executable, "-c", code, *titles], capture_output=True, check=True)

    assert text.train_doc2vec(titles[::-1], dim=8)[::-1].tobytes() == straight.tobytes()
    assert other.stdout == straight.tobytes()
    assert text.train_doc2vec(titles, dim=8, seed=1).tobytes() != straight.tobytes()


def test_texts_without_any_word_twice_are_an_error():
    pytest.importorskip("gensim")
    with pytest.raises(SchemaError, match="words that occur twice or more; these texts have none"):
        text.train_doc2vec(["a", "b c"])


def test_a_word_is_the_same_in_capitals():
    pytest.importorskip("gensim")
    # each word occurs twice only where its capitals do not count
    assert text.train_doc2vec(["Tea, tin", "TIN tea"], dim=2).any(axis=1).all()


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models.doc2vec", None)

    with pytest.raises(MissingExtraError, match=r"needs gensim: pip install 'cprtools\[text\]'"):
        text.train_doc2vec(["a"])
