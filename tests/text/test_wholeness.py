"""A model's folder that lacks something is refused: transformers would make it up."""

import pytest

from cprtools import text
from cprtools.errors import DataError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "mug", "tea"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sentence model of two layers and three words, and its weights."""
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    place = tmp_path_factory.mktemp("model") / "tiny"
    place.mkdir()
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    transformers.BertModel(config).save_pretrained(place)
    (place / "vocab.txt").write_text("\n".join(WORDS))
    (place / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return place, load_file(place / "model.safetensors")


@pytest.fixture
def remake(whole, tmp_path):
    """A function that makes the model's folder again, with the weights as changed."""
    import shutil

    from safetensors.torch import save_file

    place, weights = whole

    def make(change=lambda name, value: (name, value)):
        shutil.copytree(place, tmp_path / "copy")
        changed = [change(name, value) for name, value in weights.items()]
        kept = {name: value for name, value in changed if value is not None}
        save_file(kept, tmp_path / "copy" / "model.safetensors", metadata={"format": "pt"})
        return tmp_path / "copy"

    return make


def encode(folder):
    return text.embed_texts(["red mug"], text.load_encoder(str(folder), "float32")).tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda name, value: (name, None if name.startswith("pooler.") else value),
        lambda name, value: (f"bert.{name}", value),
    ],
    ids=["no pooler", "a larger model's names"],
)
def test_what_a_model_can_do_without_or_names_otherwise_changes_no_vector(whole, remake, change):
    assert encode(remake(change)) == encode(whole[0])


def test_a_layer_that_the_weights_lack_is_not_drawn_at_random(remake):
    folder = remake(lambda name, value: (name, None if "layer.1." in name else value))

    with pytest.raises(DataError, match=r"its weights lack 16 of .* such as encoder\.layer\.1\."):
        encode(folder)


def test_whole_numbers_are_not_taken_for_weights(remake):
    folder = remake(lambda name, value: (name, (value * 100).char()))

    with pytest.raises(DataError, match=r"is stored as I8; weights must be float32, float16"):
        encode(folder)


def test_a_tokenizer_without_words_is_refused(remake):
    folder = remake()
    (folder / "vocab.txt").unlink()

    with pytest.raises(DataError, match="its tokenizer knows no words"):
        encode(folder)


def test_a_model_in_a_folder_is_known_by_what_it_holds(remake):
    folder = remake()
    identity = text.identify(str(folder))
    assert identity.name == "copy"
    assert identity.facts == {"model": "copy", "model_digest": identity.digest[:16]}

    moved = folder.rename(folder.with_name("moved"))
    assert text.identify(str(moved)).digest == identity.digest
    (moved / "vocab.txt").write_text("other words")
    assert text.identify(str(moved)).digest != identity.digest


def test_the_packaged_model_and_one_of_a_hub_are_known_by_their_names(monkeypatch):
    monkeypatch.setattr("cprtools.text.encoders.check_weights", lambda folder: None)
    assert text.identify(None).facts == {"model": text.DEFAULT_MODEL}
    assert text.identify("some/model") == ("some/model", "")
    assert text.identify("some/model").facts == {"model": "some/model"}
