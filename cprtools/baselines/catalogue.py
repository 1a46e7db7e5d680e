"""Products in index order, their codes and their vectors: the first step of every problem."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_matrix

from cprtools.errors import SchemaError
from cprtools.tables import Source, align, categories, product_types, read_vectors
from cprtools.tables import columns as c

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# how many entries of a category path become attributes of their own
_PATH_DEPTH = 6
# ids, texts and what has a place of its own in the problem
_NO_ATTRIBUTES = (c.PRODUCT_ID, c.TITLE, c.PRODUCT_TYPE, c.CATEGORY, c.BRAND, c.PRICE)
# a column with more distinct values than this share of its rows names products, not kinds of them
_MOST_VALUES_SHARE = 0.2
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Catalogue:
    """A model's products: row number = product index."""

    table: pa.Table
    """product_id, the known flat columns, and product_type and category as plain strings."""
    type_names: tuple[str, ...]

    @property
    def ids(self) -> pa.Array:
        """product_id of each index."""
        return self.table.column(c.PRODUCT_ID).combine_chunks()

    def index_of(self, ids: pa.Array | pa.ChunkedArray) -> IntArray:
        """Index of each id, -1 for strangers."""
        return index_in(ids, self.ids)


def index_in(values: pa.Array | pa.ChunkedArray, known: pa.Array) -> IntArray:
    """Position of each value in `known`, -1 where it is none: (len(values),) int64."""
    found = pc.index_in(values, known)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    result: IntArray = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return result


def encode(values: pa.Array | pa.ChunkedArray) -> tuple[IntArray, tuple[str, ...]]:
    """Codes in the order of the sorted names, -1 for nulls, and the names."""
    names = pc.unique(values).drop_null()
    names = names.take(pc.sort_indices(names))
    return index_in(values, names), tuple(names.to_pylist())


def sort_catalogue(products: pa.Table, popularity: npt.NDArray[Any]) -> pa.Table:
    """Products by falling popularity, then id: ties between scores go to the more popular one."""
    keyed = pa.table({"p": pa.array(popularity), "id": products.column(c.PRODUCT_ID)})
    order = pc.sort_indices(keyed, sort_keys=[("p", "descending"), ("id", "ascending")])
    return products.take(order)


def make_catalogue(products: pa.Table) -> Catalogue:
    """The catalogue of sorted products; lists become the strings that stand for them."""
    types = product_types(products)
    flat: dict[str, Any] = {c.PRODUCT_ID: products.column(c.PRODUCT_ID)}
    for name in products.column_names:
        column = products.column(name)
        if name not in flat and not pa.types.is_nested(column.type):
            flat[name] = column
    flat[c.PRODUCT_TYPE] = types
    flat[c.CATEGORY] = categories(products)
    for name in (c.TITLE, c.BRAND):
        flat.setdefault(name, pa.nulls(products.num_rows, pa.string()))
    _, names = encode(types)
    return Catalogue(pa.table(flat), names)


def attribute_codes(products: pa.Table) -> dict[str, IntArray]:
    """Categorical columns as codes, -1 unknown.

    Category, brand, the entries of list columns (paths), and further columns of words or flags
    whose values many products share.
    """
    codes: dict[str, IntArray] = {}
    for name in products.column_names:
        column = products.column(name).combine_chunks()
        if name in (c.CATEGORY, c.BRAND) and pa.types.is_string(column.type):
            codes[name] = encode(column)[0]
        elif name not in _NO_ATTRIBUTES and _is_word(column.type):
            values, names = encode(column.cast(pa.string()))
            if 2 <= len(names) <= _MOST_VALUES_SHARE * (values >= 0).sum():
                codes[name] = values
        elif pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
            codes.update(_path_codes(name, column))
    if c.BRAND not in codes and c.TITLE in products.column_names:
        codes[c.BRAND] = encode(title_brand(products.column(c.TITLE)))[0]
    return {name: values for name, values in codes.items() if (values >= 0).any()}


def _is_word(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_dictionary(kind)
        or pa.types.is_boolean(kind)
    )


def numeric_columns(products: pa.Table) -> dict[str, FloatArray]:
    """Further number columns, such as a weight: (rows,) float32 each, NaN where unknown.

    The price has a place of its own; columns without two different values tell nothing.
    """
    found: dict[str, FloatArray] = {}
    for name in products.column_names:
        kind = products.schema.field(name).type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if name == c.PRICE or not (is_number or pa.types.is_decimal(kind)):
            continue
        column = products.column(name).cast(pa.float64()).fill_null(np.nan)
        values = column.to_numpy().astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        known = values[np.isfinite(values)]
        if len(known) and known.min() < known.max():
            found[name] = values
    return found


def title_words(products: pa.Table) -> csr_matrix | None:
    """Words of the titles as unit rows, rare words weighing more: (rows, words) float32.

    None without titles. Words of one product only, or of more than half of them, tell nothing.
    Source: Sparck Jones, J. Documentation 1972 (inverse document frequency).
    """
    if c.TITLE not in products.column_names:
        return None
    titles = products.column(c.TITLE).to_pylist()
    split = [sorted(set(_WORD.findall((title or "").lower()))) for title in titles]
    counts = Counter(word for words in split for word in words)
    n = len(titles)
    kept = sorted(word for word, count in counts.items() if 2 <= count <= n / 2)
    if not kept:
        return None
    place = {word: i for i, word in enumerate(kept)}
    entries = [(row, place[w]) for row, words in enumerate(split) for w in words if w in place]
    rows, cols = np.array(entries, dtype=np.int64).T
    rarity = np.log(n / np.array([counts[word] for word in kept]))
    norms = np.sqrt(np.bincount(rows, rarity[cols] ** 2, minlength=n))
    values = (rarity[cols] / norms[rows]).astype(np.float32)
    return csr_matrix((values, (rows, cols)), shape=(n, len(kept)))


def title_brand(titles: pa.ChunkedArray) -> pa.Array:
    """A stand-in for a missing brand column: titles lead with the maker's name."""
    words = pc.utf8_split_whitespace(pc.utf8_lower(pc.utf8_trim_whitespace(titles)))
    first = pc.list_slice(words, 0, 1)
    flat = [row[0] if row else None for row in first.to_pylist()]
    return pa.array(flat, pa.string())


def _path_codes(name: str, column: pa.Array) -> dict[str, IntArray]:
    rows = column.to_pylist()
    depth = min(_PATH_DEPTH, max((len(row) for row in rows if row), default=0))
    return {
        f"{name}_{i}".lower(): encode(
            pa.array([row[i] if row and len(row) > i else None for row in rows], pa.string())
        )[0]
        for i in range(depth)
    }


def stack_vectors(ids: pa.Array, sources: Sequence[Source]) -> FloatArray | None:
    """Vectors of these ids from every table side by side, unit rows, zeros where there is none.

    Raises SchemaError where a table knows none of the ids.
    """
    parts = []
    for source in sources:
        known, matrix = read_vectors(source)
        aligned = align(ids, known, unit_rows(matrix))
        if not aligned.any():
            raise SchemaError(
                f"{source.label}: none of its {len(known):,} product ids is in the products; "
                "is it the right table?"
            )
        parts.append(aligned)
    return unit_rows(np.concatenate(parts, axis=1)) if parts else None


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Rows of length 1; zero rows stay zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    result: FloatArray = (matrix / np.maximum(norms, 1e-12)).astype(np.float32)
    return result


def cluster_types(vectors: FloatArray, seed: int) -> pa.Array:
    """Types for a catalogue that names none: k-means clusters of the vectors, as strings."""
    from sklearn.cluster import MiniBatchKMeans

    count = int(np.clip(np.sqrt(len(vectors) / 2), 2, 200))
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=2048)
    labels = means.fit_predict(vectors)
    names = [f"cluster {label + 1}" for label in labels]
    empty = ~vectors.any(axis=1)
    return pa.array(names, pa.string(), mask=empty)


def numeric_prices(products: pa.Table) -> FloatArray | None:
    """(rows,) float32 prices, NaN where unknown or not positive; None without any."""
    if c.PRICE not in products.column_names:
        return None
    values = products.column(c.PRICE).to_numpy().astype(np.float32)
    values[~(values > 0)] = np.nan
    return values if np.isfinite(values).any() else None
