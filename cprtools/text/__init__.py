"""Text encoders: titles and other product texts to vectors."""

from cprtools.text.embedding import (
    BATCH_SIZE,
    Embedding,
    count_distinct,
    embed_products,
    embed_texts,
    join_columns,
    stream_products,
)
from cprtools.text.encoders import (
    DEFAULT_MODEL,
    PRECISIONS,
    Encoder,
    SentenceEncoder,
    load_encoder,
)
from cprtools.text.static import STATIC_DIM, StaticEncoder, load_static

METHODS = ("transformer", "static")

__all__ = [
    "BATCH_SIZE",
    "DEFAULT_MODEL",
    "METHODS",
    "PRECISIONS",
    "STATIC_DIM",
    "Embedding",
    "Encoder",
    "SentenceEncoder",
    "StaticEncoder",
    "count_distinct",
    "embed_products",
    "embed_texts",
    "join_columns",
    "load_encoder",
    "load_static",
    "stream_products",
]
