"""A products table's texts to unit vectors: each distinct text once, whatever the rows' order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import DataError, SchemaError, list_names
from cprtools.tables import columns as c
from cprtools.tables import vector_array, vectors_table
from cprtools.tables.light import pc
from cprtools.text.encoders import Encoder, FloatMatrix

T = TypeVar("T")
BATCH_SIZE = 32
ROW_GROUP = 16_384


class Progress(Protocol):
    """Shows how far the steps are while it hands them on."""

    def __call__(self, steps: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """The steps one by one."""


class StreamEncoder(Encoder, Protocol):
    """An encoder whose vector of a text does not depend on the texts beside it."""

    @property
    def dim(self) -> int:
        """Length of every vector."""


@dataclass(frozen=True)
class Embedding:
    """The vectors table and what its report says."""

    table: pa.Table
    products: int
    """Rows that were read."""
    without_text: int
    """Products that have no text, and so no row in the table."""
    texts: int
    """Distinct texts that were encoded."""


def embed_products(
    products: pa.Table,
    texts: pa.Array,
    encoder: Encoder,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> Embedding:
    """The vectors table of the products that have a text, in the products' order.

    texts: one string or null per product, as `join_columns` makes them.
    """
    has_text = pc.is_valid(texts)
    known = texts.filter(has_text).to_pylist()
    matrix = embed_texts(known, encoder, batch_size=batch_size, progress=progress)
    ids = products.column(c.PRODUCT_ID).combine_chunks().filter(has_text)
    return Embedding(
        table=vectors_table(ids, matrix),
        products=products.num_rows,
        without_text=products.num_rows - len(known),
        texts=len(set(known)),
    )


@dataclass(frozen=True)
class RowsOfTexts:
    """The products that have a text: their ids, and the text of each as a code of a dictionary."""

    ids: pa.Array
    texts: pa.DictionaryArray

    @classmethod
    def of(cls, products: pa.Table, texts: pa.Array) -> "RowsOfTexts":
        """Those of a products table; texts as `join_columns` makes them."""
        has_text = pc.is_valid(texts)
        ids = products.column(c.PRODUCT_ID).combine_chunks().filter(has_text)
        return cls(ids, texts.filter(has_text).dictionary_encode())


def stream_rows(
    rows: RowsOfTexts,
    dim: int,
    find: Callable[[npt.NDArray[np.int64]], FloatMatrix],
    progress: Progress | None = None,
) -> pa.RecordBatchReader:
    """The vectors table in row groups. find: unit vectors of distinct codes of texts."""
    schema = pa.schema({c.PRODUCT_ID: rows.ids.type, c.VECTOR: pa.list_(pa.float32(), dim)})
    codes = rows.texts.indices.to_numpy().astype(np.int64)
    starts = range(0, len(codes), ROW_GROUP)
    steps = progress(starts, "texts, in row groups", len(starts)) if progress else iter(starts)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in steps:
            distinct, row = np.unique(codes[start : start + ROW_GROUP], return_inverse=True)
            arrays = [rows.ids.slice(start, ROW_GROUP), vector_array(find(distinct)[row])]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def stream_products(
    products: pa.Table,
    texts: pa.Array,
    encoder: StreamEncoder,
    *,
    progress: Progress | None = None,
) -> pa.RecordBatchReader:
    """The rows of `embed_products`, made as they are asked for, a row group at a time.

    For encoders whose vector of a text does not depend on the texts beside it.
    """
    rows = RowsOfTexts.of(products, texts)

    def find(codes: npt.NDArray[np.int64]) -> FloatMatrix:
        return unit_rows(encoder.encode(rows.texts.dictionary.take(pa.array(codes)).to_pylist()))

    return stream_rows(rows, encoder.dim, find, progress)


def embed_texts(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> FloatMatrix:
    """Unit vectors of the texts, (len(texts), dim) float32; a zero vector stays zero.

    Batches are cut from the distinct texts, longest first, equally long ones in text order: so
    little is padded, and the order of the texts given changes no bit of any vector.
    Raises DataError where the encoder gives infinite numbers or none.
    """
    if not texts:
        raise ValueError("there are no texts to embed")
    distinct = sorted(set(texts), key=lambda text: (-len(text), text))
    batches = [distinct[i : i + batch_size] for i in range(0, len(distinct), batch_size)]
    steps = progress(batches, "texts, in batches", len(batches)) if progress else iter(batches)
    vectors = unit_rows(np.concatenate([encoder.encode(batch) for batch in steps]))
    row = {text: i for i, text in enumerate(distinct)}
    return vectors[[row[text] for text in texts]]


def count_distinct(texts: pa.Array) -> int:
    """How many different texts there are, nulls aside."""
    return int(pc.count_distinct(texts, mode="only_valid").as_py())


def unit_rows(vectors: FloatMatrix) -> FloatMatrix:
    """Each row divided by its length; zeros stay. Raises DataError for infinite numbers or none."""
    if not np.isfinite(vectors).all():
        raise DataError("the text model gave numbers that are not finite; its weights are damaged")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def join_columns(products: pa.Table, names: Sequence[str], label: str = "products") -> pa.Array:
    """One text per row: the named columns' values joined by a blank, null where all are missing.

    A list counts as its entries joined by a blank; blanks around and repeated inside go.
    Raises SchemaError for unknown columns, columns that hold no text, and where no row has any.
    """
    for name in names:
        if name not in products.column_names:
            raise SchemaError(_no_column(products, name, label))
    parts = [_as_text(products.column(name), name, label) for name in names]
    # not null_handling="skip": with a single column it drops the rows that are null
    joined = pc.binary_join_element_wise(*(pc.fill_null(part, "") for part in parts), " ")
    # \s is ASCII's alone: titles out of web pages have blanks that do not break, too
    clean = pc.utf8_trim_whitespace(pc.replace_substring_regex(joined, r"[\s\p{Z}]+", " "))
    texts = pc.if_else(pc.equal(clean, ""), None, clean)
    if texts.null_count == len(texts):
        raise SchemaError(
            f"{label}: no product has any text in {list_names(list(names))}; "
            f"choose other columns with --text; {_candidates(products)}"
        )
    return texts


def _no_column(products: pa.Table, name: str, label: str) -> str:
    found = list_names(products.column_names)
    return f"{label}: no column '{name}' to embed; found {found}; {_candidates(products)}"


def _candidates(products: pa.Table) -> str:
    named = [f.name for f in products.schema if f.name != c.PRODUCT_ID and _holds_text(f.type)]
    return f"--text can name {list_names(named)}" if named else "no column holds text"


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    if _is_list(kind):
        return _holds_text(kind.value_type)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _as_text(column: pa.ChunkedArray, name: str, label: str) -> pa.Array:
    array = column.combine_chunks()
    try:
        if _is_list(array.type):
            return pa.array([_flat(value) or None for value in array.to_pylist()], pa.string())
        text = array.cast(pa.string())
        text.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise SchemaError(
            f"{label}: column '{name}' holds {array.type}, which cannot be read as text; "
            "name text columns with --text"
        ) from error
    return text


def _flat(value: object) -> str:
    if isinstance(value, list):
        return " ".join(filter(None, map(_flat, value)))
    return "" if value is None else str(value)
