"""Vector tables: product_id and a fixed-size list of float32."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import SchemaError
from cprtools.tables import columns as c
from cprtools.tables.reading import read
from cprtools.tables.source import Source

FloatMatrix = npt.NDArray[np.float32]


def read_vectors(source: Source) -> tuple[pa.Array, FloatMatrix]:
    """Ids and their vectors, (rows, dim) float32.

    Raises SchemaError for lists of different lengths, null or non-finite vectors.
    """
    table = read(source, only=[c.PRODUCT_ID, c.VECTOR])
    return table.column(c.PRODUCT_ID).combine_chunks(), to_matrix(
        table.column(c.VECTOR), source.label
    )


def to_matrix(column: pa.ChunkedArray, label: str) -> FloatMatrix:
    """A vector column as a (rows, dim) float32 matrix. Raises SchemaError where it is none."""
    if column.null_count:
        raise SchemaError(f"{label}: {column.null_count} vectors are null")
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    dim = _length(column.type, chunks, label)
    # chunk by chunk: there may be gigabytes
    parts = [_chunk_matrix(chunk, dim, label) for chunk in chunks]
    if dim == 0 or not all(np.isfinite(part).all() for part in parts):
        raise SchemaError(f"{label}: vectors must hold finite numbers; found NaN, infinity or none")
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0], dtype=np.float32)
    return np.concatenate([np.empty((0, dim), np.float32), *parts])


def _length(kind: pa.DataType, chunks: list[pa.Array], label: str) -> int:
    """Numbers in each list. Raises SchemaError where it differs, or where there are no lists."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise SchemaError(f"{label}: column 'vector' holds {kind}; expected lists of floats")
    lengths = [np.unique(np.diff(chunk.offsets.to_numpy())) for chunk in chunks]
    found = np.unique(np.concatenate(lengths)) if lengths else np.zeros(1)
    if len(found) != 1:
        raise SchemaError(f"{label}: vectors differ in length ({found.min()} to {found.max()})")
    return int(found[0])


def _chunk_matrix(chunk: pa.Array, dim: int, label: str) -> FloatMatrix:
    try:
        values = chunk.flatten().cast(pa.float32())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"{label}: column 'vector' holds {chunk.type}; expected lists of floats"
        ) from error
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(chunk), dim)


def vector_array(matrix: npt.NDArray[np.floating]) -> pa.FixedSizeListArray:
    """A (rows, dim) matrix as a fixed-size list of float32."""
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def vectors_table(ids: pa.Array, matrix: npt.NDArray[np.floating]) -> pa.Table:
    """The vectors table of these ids, in their order."""
    return pa.table({c.PRODUCT_ID: ids, c.VECTOR: vector_array(matrix)})


def align(ids: pa.Array, known: pa.Array, matrix: FloatMatrix) -> FloatMatrix:
    """Rows of `matrix` for each of `ids`, (len(ids), dim) float32; zeros for ids without one."""
    import pyarrow.compute as pc

    rows = pc.index_in(ids, known).fill_null(-1).to_numpy(zero_copy_only=False)
    if not len(matrix):
        return np.zeros((len(ids), matrix.shape[1]), dtype=np.float32)
    aligned: FloatMatrix = matrix[np.maximum(rows, 0)]
    aligned[rows < 0] = 0
    return aligned
