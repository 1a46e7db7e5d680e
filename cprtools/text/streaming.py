"""A transformer's vectors of millions of texts: encoded once each, kept, and written in order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from cprtools.tables import VectorStore, text_digests
from cprtools.tables.light import pc
from cprtools.text.embedding import Progress, RowsOfTexts, stream_rows, unit_rows
from cprtools.text.encoders import FloatMatrix, SentenceEncoder

CHUNK = 2_048
"""Texts that are tokenised, encoded and stored in one go."""


def stream_stored(
    products: pa.Table,
    texts: pa.Array,
    load: Callable[[], SentenceEncoder],
    store: VectorStore,
    *,
    progress: Progress | None = None,
) -> pa.RecordBatchReader:
    """The rows of `embed_products`, a row group at a time; what the store lacks is encoded first.

    load: gives the encoder, and is not asked where the store holds every text. Work that is
    interrupted goes on with the chunk it was at, given the same store.
    """
    rows = RowsOfTexts.of(products, texts)
    distinct = rows.texts.dictionary
    digests = text_digests(distinct.to_pylist())
    lacking = np.flatnonzero(store.rows(digests) < 0)
    if len(lacking):
        _encode(distinct, digests, _in_order(distinct, lacking), load(), store, progress)
    places = store.rows(digests)
    return stream_rows(rows, int(store.dim or 0), lambda codes: store.vectors(places[codes]))


def _in_order(distinct: pa.Array, rows: np.ndarray) -> np.ndarray:
    """Longest first, equally long ones in text order: the order of the products changes nothing."""
    texts = distinct.take(pa.array(rows))
    table = pa.table({"length": pc.utf8_length(texts), "text": texts})
    order = pc.sort_indices(table, [("length", "descending"), ("text", "ascending")])
    return np.asarray(rows[order.to_numpy()])


def _encode(
    distinct: pa.Array,
    digests: pa.Array,
    rows: np.ndarray,
    encoder: SentenceEncoder,
    store: VectorStore,
    progress: Progress | None,
) -> None:
    chunks = [pa.array(rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)]
    steps = progress(chunks, "texts, 2,048 at a time", len(chunks)) if progress else iter(chunks)
    with ThreadPoolExecutor(1) as beside:

        def tokenised() -> Iterator[Any]:
            # the next chunk is tokenised while this one is encoded
            waiting = beside.submit(encoder.tokenise, distinct.take(chunks[0]).to_pylist())
            for following in chunks[1:]:
                texts = distinct.take(following).to_pylist()
                done, waiting = waiting, beside.submit(encoder.tokenise, texts)
                yield done.result()
            yield waiting.result()

        for chunk, tokens in zip(steps, tokenised(), strict=True):
            vectors: FloatMatrix = unit_rows(encoder.encode_tokens(tokens))
            store.append(digests.take(chunk), vectors)
