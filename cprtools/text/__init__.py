"""Text encoders: titles and other product texts to vectors."""

from cprtools.text.doc2vec import train_doc2vec
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
    DEVICES,
    PRECISIONS,
    Encoder,
    Identity,
    SentenceEncoder,
    identify,
    load_encoder,
)
from cprtools.text.methods import METHODS, Settings, open_rows
from cprtools.text.static import STATIC_DIM, StaticEncoder, load_static
from cprtools.text.streaming import stream_stored

__all__ = [
    "BATCH_SIZE",
    "DEFAULT_MODEL",
    "DEVICES",
    "METHODS",
    "PRECISIONS",
    "STATIC_DIM",
    "Embedding",
    "Encoder",
    "Identity",
    "SentenceEncoder",
    "Settings",
    "StaticEncoder",
    "count_distinct",
    "embed_products",
    "embed_texts",
    "identify",
    "join_columns",
    "load_encoder",
    "load_static",
    "open_rows",
    "stream_products",
    "stream_stored",
    "train_doc2vec",
]
