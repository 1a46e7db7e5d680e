"""Text encoders: titles and other product texts to vectors."""

from cprtools.text.embedding import (
    BATCH_SIZE,
    Embedding,
    embed_products,
    embed_texts,
    join_columns,
)
from cprtools.text.encoders import (
    DEFAULT_MODEL,
    PRECISIONS,
    Encoder,
    SentenceEncoder,
    load_encoder,
)

__all__ = [
    "BATCH_SIZE",
    "DEFAULT_MODEL",
    "PRECISIONS",
    "Embedding",
    "Encoder",
    "SentenceEncoder",
    "embed_products",
    "embed_texts",
    "join_columns",
    "load_encoder",
]
