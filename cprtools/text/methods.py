"""From the options of `embed-text` to rows of vectors, made as they are written."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cprtools.errors import UsageError, quote
from cprtools.tables import VectorStore, digest_texts
from cprtools.tables.leftovers import temporary_folder
from cprtools.text.doc2vec import DOC2VEC_DIM, train_doc2vec
from cprtools.text.embedding import Progress, RowsOfTexts, stream_products, stream_rows
from cprtools.text.encoders import (
    ENCODED_TOGETHER,
    Identity,
    SentenceEncoder,
    check_device,
    choose_precision,
    find_model,
    identify,
    is_packaged,
    load_encoder,
)
from cprtools.text.static import STATIC_DIM, Notice, load_static
from cprtools.text.streaming import stream_stored

METHODS = ("transformer", "static", "doc2vec")
# a later way of encoding must not take over vectors of an earlier one
_STORED = "1"
# texts whose encoding takes minutes: what it would take to keep them is said
_WORTH_KEEPING = 50_000


@dataclass(frozen=True)
class Settings:
    """What decides the vectors, and where they are kept."""

    method: str = "transformer"
    model: str | None = None
    dim: int | None = None
    precision: str = "auto"
    device: str = "cpu"
    batch_size: int = ENCODED_TOGETHER
    seed: int = 0
    cache: str | None = None

    def check(self) -> None:
        """Raise UsageError for options that do not go together."""
        if self.method == "transformer" and self.dim is not None:
            raise UsageError("--dim is for --method static or doc2vec; a transformer has its own")
        if self.method != "transformer" and self.cache is not None:
            raise UsageError(f"--cache is for --method transformer; {self.method} needs none")
        if self.method != "transformer" and self.device != "cpu":
            raise UsageError(f"--device is for --method transformer, not {self.method}")
        if self.method != "transformer" and self.precision == "bfloat16":
            raise UsageError(f"--precision is for --method transformer; {self.method} is float32")
        if self.method == "doc2vec" and self.model is not None:
            raise UsageError("--model is not for --method doc2vec, which learns from the texts")
        if self.cache is not None and Path(self.cache).exists() and not Path(self.cache).is_dir():
            raise UsageError(f"--cache {quote(self.cache)}: is a file; name a folder")


@dataclass(frozen=True)
class Made:
    """Rows that are made as they are read, and what made them."""

    rows: pa.RecordBatchReader
    facts: dict[str, Any]
    """For the footer: model, precision, dim; of a folder's model its digest, too."""

    @property
    def title(self) -> str:
        """One line for the report."""
        return f"embedded by {self.facts['model']} in {self.facts['precision']}"


@contextlib.contextmanager
def open_rows(
    products: pa.Table,
    texts: pa.Array,
    settings: Settings,
    progress: Progress,
    say: Notice,
) -> Iterator[Made]:
    """The vectors table of the products that have a text; to be read inside the block.

    Raises as the method's own functions do.
    """
    if settings.method == "static":
        static = load_static(settings.model, settings.dim or STATIC_DIM, say)
        facts = {**static.identity.facts, "precision": static.precision, "dim": static.dim}
        yield Made(stream_products(products, texts, static, progress=progress), facts)
    elif settings.method == "doc2vec":
        dim = settings.dim or DOC2VEC_DIM
        rows = RowsOfTexts.of(products, texts)
        vectors = train_doc2vec(rows.texts.dictionary.to_pylist(), dim, settings.seed)
        facts = {"model": "doc2vec", "precision": "float32", "dim": dim}
        yield Made(stream_rows(rows, dim, vectors.__getitem__), facts)
    else:
        with _transformed(products, texts, settings, progress, say) as made:
            yield made


@contextlib.contextmanager
def _transformed(
    products: pa.Table, texts: pa.Array, settings: Settings, progress: Progress, say: Notice
) -> Iterator[Made]:
    check_device(settings.device)
    precision = choose_precision(settings.precision, settings.device)
    if settings.cache is not None and _is_of_a_hub(settings.model):
        raise UsageError("--cache takes the packaged model or one in a folder: a hub's may change")
    identity = identify(settings.model)

    def load() -> SentenceEncoder:
        return load_encoder(
            settings.model, precision, device=settings.device, batch_size=settings.batch_size
        )

    is_long = len(texts) - texts.null_count >= _WORTH_KEEPING
    if settings.cache is None and is_long and not _is_of_a_hub(settings.model):
        say("interrupted, this would begin anew; with --cache FOLDER it would go on")
    with contextlib.ExitStack() as stack:
        folder = settings.cache or stack.enter_context(temporary_folder())
        store = VectorStore(Path(folder), _store_key(identity, precision))
        if store.damaged:
            say(f"--cache {quote(folder)}: {store.damaged} damaged files are passed over")
        rows = stream_stored(products, texts, load, store, progress=progress)
        yield Made(rows, {**identity.facts, "precision": precision})


def _store_key(identity: Identity, precision: str) -> str:
    """Of the vectors of this model in a store."""
    return digest_texts([_STORED, identity.digest or identity.name, precision])[:16]


def _is_of_a_hub(model: str | None) -> bool:
    """Whether nothing but its name says which model it is: nothing of it is kept."""
    return not is_packaged(model) and find_model(model) is None
