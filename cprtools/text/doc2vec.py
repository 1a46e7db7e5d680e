"""Doc2Vec: vectors of texts learnt from the texts themselves, without any model to start from."""

import logging
import re
import zlib
from collections.abc import Sequence

import numpy as np

from cprtools.errors import MissingExtraError, SchemaError
from cprtools.text.embedding import unit_rows
from cprtools.text.encoders import FloatMatrix

DOC2VEC_DIM = 100
EPOCHS = 20
# at gensim's own 0.025 a table of hundreds of titles learns only which words are frequent
_LEARNING_RATE = 0.1
_MIN_COUNT = 2
_WORD = re.compile(r"\w+")


def train_doc2vec(texts: Sequence[str], dim: int = DOC2VEC_DIM, seed: int = 0) -> FloatMatrix:
    """Unit vectors of these distinct texts, (len(texts), dim) float32.

    Distributed bag of words over words that occur twice or more, 20 epochs, one worker; trained in
    text order, so the order given changes nothing. A text without such a word is a zero vector.
    Raises MissingExtraError without gensim, SchemaError where no word occurs twice.
    Source: Le and Mikolov, ICML 2014.
    """
    try:
        from gensim.models.doc2vec import Doc2Vec, TaggedDocument
    except ImportError:
        raise MissingExtraError(
            "--method doc2vec needs gensim: pip install 'cprtools[text]'"
        ) from None
    logging.getLogger("gensim").setLevel(logging.ERROR)
    order = sorted(range(len(texts)), key=texts.__getitem__)
    documents = [
        TaggedDocument(_WORD.findall(texts[row].lower()), [tag]) for tag, row in enumerate(order)
    ]
    model = Doc2Vec(
        vector_size=dim, dm=0, min_count=_MIN_COUNT, epochs=EPOCHS, alpha=_LEARNING_RATE,
        workers=1, seed=seed, hashfxn=_hash,
    )  # fmt: skip
    model.build_vocab(documents)
    if not len(model.wv):
        raise SchemaError(
            "--method doc2vec learns from words that occur twice or more; these texts have none"
        )
    model.train(documents, total_examples=model.corpus_count, epochs=model.epochs)
    has_word = [any(word in model.wv for word in document.words) for document in documents]
    made = np.zeros((len(texts), dim), np.float32)
    made[order] = np.where(np.array(has_word)[:, None], model.dv.vectors, 0)
    return unit_rows(made)


def _hash(word: str) -> int:
    # Python's own hash of a text differs from process to process
    return zlib.crc32(word.encode())
