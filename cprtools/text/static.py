"""Static token vectors: a sentence model distilled once, after which a text is a mean of rows.

Source: model2vec (Tulkens and van Dongen, 2024): each token's output vector of the sentence model,
reduced by PCA and weighted by the token's assumed frequency.
"""

import contextlib
import importlib.metadata
import io
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import CprError, DataError, MissingExtraError, UsageError, quote
from cprtools.tables import (
    Folder,
    Footer,
    digest_texts,
    open_folder,
    to_matrix,
    user_cache,
    vector_array,
    write_folder,
)
from cprtools.text.encoders import (
    FloatMatrix,
    Identity,
    SentenceEncoder,
    identify,
    load_encoder,
)

STATIC_DIM = 256
MAX_TOKENS = 512
_KIND = "static"
# what the numbers of a distilled model depend on besides the model itself
_PACKAGES = ("model2vec", "torch", "scikit-learn")
Notice = Callable[[str], None]


class StaticEncoder:
    """Vectors of tokens, and the tokenizer that finds a text's."""

    precision = "float32"

    def __init__(self, tokenizer: str, vectors: FloatMatrix, identity: Identity) -> None:
        """tokenizer: its JSON; vectors: (tokens, dim) float32, already weighted.

        Raises DataError where the two do not belong together.
        """
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:  # the library raises the bare class
            raise DataError("a distilled model's tokenizer cannot be read") from error
        if self._tokenizer.get_vocab_size() != len(vectors) or not np.isfinite(vectors).all():
            raise DataError("a distilled model's tokenizer and vectors do not belong together")
        # all-MiniLM-L6-v2 pads to 128 tokens, which would count as words of the text
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = self._tokenizer.token_to_id(unknown) if unknown else None
        self._vectors = vectors
        self.identity = identity

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return int(self._vectors.shape[1])

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Means of the known tokens' vectors, (len(texts), dim) float32; zeros where none is known.

        A text's vector does not depend on the texts beside it.
        """
        from scipy.sparse import csr_matrix

        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        tokens = [encoding.ids for encoding in found]
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        flat = np.fromiter(itertools.chain.from_iterable(tokens), np.int64, int(lengths.sum()))
        rows = np.repeat(np.arange(len(tokens)), lengths)
        if self._unknown is not None:
            rows, flat = rows[flat != self._unknown], flat[flat != self._unknown]
        counts = np.bincount(rows, minlength=len(tokens))
        starts = np.concatenate([[0], np.cumsum(counts)])
        shares = (1 / np.maximum(counts, 1)).astype(np.float32)[rows]
        # (texts, tokens) times (tokens, dim): the mean of each text's rows
        mean = csr_matrix((shares, flat, starts), shape=(len(tokens), len(self._vectors)))
        return np.asarray(mean @ self._vectors, dtype=np.float32)


def load_static(
    model: str | None = None, dim: int = STATIC_DIM, notice: Notice | None = None
) -> StaticEncoder:
    """Static token vectors of the packaged sentence model, or of one in a folder.

    They are kept in the user's cache folder, and made anew where that holds none, or damaged ones.
    Raises MissingExtraError without model2vec, UsageError for more dimensions than the model has,
    DataError where no model can be had.
    """
    versions = [f"{name} {_version(name)}" for name in _PACKAGES]
    identity = identify(model)
    if not identity.digest:
        raise DataError(
            f"--model {quote(model)}: --method static distils a model's folder or, without "
            "--model, the packaged one"
        )
    cache = user_cache()
    key = digest_texts([identity.digest, str(dim), *versions])[:32]
    place = None if cache is None else cache / f"static-{key}"
    kept = _read(place, dim, identity)
    if kept is not None:
        return kept
    tokenizer, vectors = _distil(load_encoder(model, "float32"), dim, notice or (lambda _: None))
    made = StaticEncoder(tokenizer, vectors, identity)
    if place is not None:
        _write(place, tokenizer, vectors)
    return made


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise _missing() from None


def _missing() -> MissingExtraError:
    return MissingExtraError("--method static needs model2vec: pip install 'cprtools[text]'")


def _distil(encoder: SentenceEncoder, dim: int, notice: Notice) -> tuple[str, FloatMatrix]:
    """The tokenizer's JSON and the weighted token vectors, (tokens, dim) float32."""
    from threadpoolctl import threadpool_limits

    try:
        from model2vec.distill import distill_from_model
    except ImportError:
        raise _missing() from None
    transformer, tokenizer = encoder.parts()
    most = int(transformer.config.hidden_size)
    if dim > most:
        raise UsageError(f"--dim must be at most {most}, the model's own, got {dim}")
    notice(f"distilling {encoder.name} to {dim} dimensions: half a minute, the first time only")
    # one thread: the sums of the PCA would otherwise depend on how many there are
    with contextlib.redirect_stderr(io.StringIO()), threadpool_limits(1):
        made: Any = distill_from_model(
            transformer, tokenizer, device="cpu", pca_dims=dim, quantize_to="float32"
        )
    vectors: npt.NDArray[np.floating] = made.embedding
    if made.weights is not None:
        vectors = vectors * np.asarray(made.weights)[:, None]
    if vectors.shape[1] != dim or not np.isfinite(vectors).all():
        raise DataError(f"{encoder.name}: the model cannot be distilled to {dim} dimensions")
    return made.tokenizer.to_str(), np.ascontiguousarray(vectors, dtype=np.float32)


def _read(place: Path | None, dim: int, identity: Identity) -> StaticEncoder | None:
    """What the cache holds, or None where that is nothing, or nothing that can be trusted."""
    if place is None or not place.is_dir():
        return None
    with contextlib.suppress(CprError, KeyError):
        folder: Folder = open_folder(str(place), (_KIND,))
        vectors = to_matrix(folder.table("tokens").column("vector"), str(place))
        if vectors.shape[1] == dim:
            text = folder.table("tokenizer").column("json")[0].as_py()
            return StaticEncoder(text, vectors, identity)
    return None


def _write(place: Path, tokenizer: str, vectors: FloatMatrix) -> None:
    members = {
        "tokens": pa.table({"vector": vector_array(vectors)}),
        "tokenizer": pa.table({"json": [tokenizer]}),
    }
    # a cache that cannot be written costs time the next day, and nothing now
    with contextlib.suppress(CprError, OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_folder(members, str(place), _KIND, Footer(command="embed-text"))
