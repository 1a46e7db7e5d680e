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
    # pyarrow copies a single chunk, too
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if array.null_count:
        raise SchemaError(f"{label}: {array.null_count} vectors are null")
    if pa.types.is_fixed_size_list(array.type):
        dim = array.type.list_size
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = np.unique(np.diff(array.offsets.to_numpy())) if len(array) else np.zeros(1)
        if len(lengths) != 1:
            raise SchemaError(
                f"{label}: vectors differ in length ({lengths.min()} to {lengths.max()})"
            )
        dim = int(lengths[0])
    else:
        raise SchemaError(f"{label}: column 'vector' holds {array.type}; expected lists of floats")
    try:
        values = array.flatten().cast(pa.float32())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"{label}: column 'vector' holds {array.type}; expected lists of floats"
        ) from error
    matrix = values.to_numpy(zero_copy_only=False).reshape(len(array), dim)
    if dim == 0 or not np.isfinite(matrix).all():
        raise SchemaError(f"{label}: vectors must hold finite numbers; found NaN, infinity or none")
    return np.ascontiguousarray(matrix, dtype=np.float32)


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

    found = pc.index_in(ids, known)
    rows = found.fill_null(-1).to_numpy(zero_copy_only=False)
    aligned = np.zeros((len(ids), matrix.shape[1]), dtype=np.float32)
    aligned[rows >= 0] = matrix[rows[rows >= 0]]
    return aligned
