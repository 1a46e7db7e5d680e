"""Products in index order, their codes and their vectors: the first step of every problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import SchemaError
from cprtools.tables import Source, align, read_vectors, without_blanks
from cprtools.tables import columns as c
from cprtools.tables.light import pc

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# vectors that are looked at together
_ROWS = 1 << 16
# lengths of vectors that float32 still measures well
_SHORTEST, _LONGEST = 1e-12, 1e18


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
    """The catalogue of sorted products, of which `with_plain_types` made types and categories.

    Other lists, such as paths, are left out.
    """
    flat: dict[str, Any] = {c.PRODUCT_ID: products.column(c.PRODUCT_ID)}
    for name in products.column_names:
        column = products.column(name)
        if name not in flat and not pa.types.is_nested(column.type):
            flat[name] = without_blanks(column) if name == c.BRAND else column
    for name in (c.PRODUCT_TYPE, c.CATEGORY, c.TITLE, c.BRAND):
        flat.setdefault(name, pa.nulls(products.num_rows, pa.string()))
    _, names = encode(flat[c.PRODUCT_TYPE])
    return Catalogue(pa.table(flat), names)


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
        values = number_values(products.column(name))
        known = values[np.isfinite(values)]
        if len(known) and known.min() < known.max():
            found[name] = values
    return found


def number_values(column: pa.ChunkedArray) -> FloatArray:
    """A column's numbers: (rows,) float32, NaN where unknown. Raises ArrowInvalid for others."""
    # not safe: of a whole number beyond 2^53 the nearest fraction will do
    filled = column.cast(pa.float64(), safe=False).fill_null(np.nan)
    return _finite(filled.to_numpy())


def _finite(values: npt.NDArray[np.floating]) -> FloatArray:
    """As float32, NaN for what is not finite there: the largest double, too, stands for unknown."""
    with np.errstate(over="ignore"):
        shorter: FloatArray = values.astype(np.float32)
    shorter[~np.isfinite(shorter)] = np.nan
    return shorter


def vector_parts(ids: pa.Array, sources: Sequence[Source]) -> list[FloatArray]:
    """Of every table the unit rows of these ids, zeros where there is none: (ids, dim) each.

    Raises SchemaError where a table knows none of the ids, or nothing of them.
    """
    parts = []
    for source in sources:
        known, matrix = read_vectors(source)
        aligned = align(ids, known, unit_rows(matrix))
        if not aligned.any():
            if pc.any(pc.is_in(known, value_set=ids)).as_py():
                raise SchemaError(f"{source.label}: the vectors of all products are zero")
            raise SchemaError(
                f"{source.label}: none of its {len(known):,} product ids is in the products; "
                "is it the right table?"
            )
        parts.append(aligned)
    return parts


def join_vectors(parts: Sequence[FloatArray]) -> FloatArray | None:
    """The parts side by side as unit rows; None where there are no parts."""
    return unit_rows(np.concatenate(parts, axis=1)) if parts else None


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Rows of length 1; zero rows stay zero."""
    result = np.empty(matrix.shape, dtype=np.float32)
    # in parts: there may be gigabytes
    for start in range(0, len(matrix), _ROWS):
        part = matrix[start : start + _ROWS]
        with np.errstate(over="ignore"):
            norms = np.linalg.norm(part, axis=1, keepdims=True)
        result[start : start + _ROWS] = part / np.maximum(norms, _SHORTEST)
        # the squares of very large and very small numbers are none of float32
        extreme = start + np.flatnonzero((norms < _SHORTEST) | (norms > _LONGEST))
        wide = matrix[extreme].astype(np.float64)
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        result[extreme] = wide / np.where(norms > 0, norms, 1)
    return result


def cluster_types(vectors: FloatArray, seed: int) -> tuple[pa.Array, dict[str, FloatArray]]:
    """Types for a catalogue that names none: k-means clusters of the vectors, as strings.

    Returns the type of each row, null for zero rows, and the centre of each type.
    """
    from sklearn.cluster import MiniBatchKMeans

    count = int(np.clip(np.sqrt(len(vectors) / 2), 2, 200))
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=2048)
    labels = means.fit_predict(vectors)
    names = [f"cluster {label + 1}" for label in range(count)]
    empty = ~vectors.any(axis=1)
    types = pa.array([names[label] for label in labels], pa.string(), mask=empty)
    return types, dict(zip(names, means.cluster_centers_, strict=True))


def numeric_prices(products: pa.Table) -> FloatArray | None:
    """(rows,) float32 prices, NaN where unknown or not positive; None without any."""
    if c.PRICE not in products.column_names:
        return None
    values = _finite(products.column(c.PRICE).to_numpy())
    values[~(values > 0)] = np.nan
    return values if np.isfinite(values).any() else None
