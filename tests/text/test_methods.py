"""From options to rows of vectors: what is said on the way."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from cprtools.text import Settings, methods, open_rows

TITLES = ["wireless mouse", "tomato soup", None]


class Encoder:
    """Vectors of the lengths of the texts."""

    def tokenise(self, texts):
        return texts

    def encode_tokens(self, texts):
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


@pytest.mark.parametrize(
    ("worth_keeping", "has_cache", "is_said"),
    [(2, False, True), (2, True, False), (3, False, False)],
)
def test_long_work_without_a_cache_is_told_that_it_would_begin_anew(
    monkeypatch, tmp_path, worth_keeping, has_cache, is_said
):
    monkeypatch.setattr(methods, "_WORTH_KEEPING", worth_keeping)
    monkeypatch.setattr(methods, "load_encoder", lambda *_, **__: Encoder())
    monkeypatch.setattr(methods, "identify", lambda *_: methods.Identity("short", "digest"))
    products = pa.table({"product_id": ["a", "b", "c"], "title": TITLES})
    settings = Settings(cache=str(tmp_path / "kept") if has_cache else None)
    said = []
    with open_rows(
        products, pa.array(TITLES), settings, lambda steps, *_: steps, said.append
    ) as made:
        assert made.rows.read_all().column("product_id").to_pylist() == ["a", "b"]
    assert any("--cache" in line for line in said) == is_said


def test_vectors_of_another_precision_are_not_taken_from_the_cache(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    identity = methods.identify(str(tmp_path))
    assert len({methods._store_key(identity, each) for each in ("float32", "bfloat16")}) == 2


@pytest.mark.parametrize(("asked", "made"), [(7, (7, 7)), (None, (256, 100))])
def test_the_dimensions_asked_for_are_those_made(monkeypatch, asked, made):
    def static(model, dim, say):
        return SimpleNamespace(identity=methods.Identity("words", ""), precision="float32", dim=dim)

    monkeypatch.setattr(methods, "load_static", static)
    monkeypatch.setattr(
        methods, "train_doc2vec", lambda texts, dim, seed: np.ones((len(texts), dim))
    )
    products = pa.table({"product_id": ["a", "b", "c"], "title": TITLES})
    found = []
    for method in ("static", "doc2vec"):
        settings = Settings(method=method, dim=asked)
        with open_rows(
            products, pa.array(TITLES), settings, lambda steps, *_: steps, print
        ) as rows:
            found.append((rows.facts["dim"], rows.rows.schema.field("vector").type.list_size))
    assert found == [(dim, dim) for dim in made]


@pytest.mark.parametrize(
    "name", ["sentence_bert_config.json", "modules.json", "1_Pooling/config.json"]
)
def test_vectors_of_a_model_whose_settings_changed_are_not_taken_from_the_cache(tmp_path, name):
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / name).write_text('{"max_seq_length": 256}')
    before = methods.identify(str(folder))
    (folder / "README.md").write_text("a word on it")
    assert methods.identify(str(folder)) == before

    (folder / name).write_text('{"max_seq_length": 8}')
    after = methods.identify(str(folder))
    keys = {methods._store_key(each, "float32") for each in (before, after)}
    assert len(keys) == 2
