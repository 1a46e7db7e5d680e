"""Tables that answers read in place: values lie in the file as they lie in memory.

Such a file is plain Parquet, uncompressed and without dictionaries, each row group a single page.
The values of a column are then the last bytes of its chunk, whatever stands before them.
"""

import contextlib
import mmap
import os
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import DataError, quote
from cprtools.tables.formats import not_text
from cprtools.tables.provenance import PREFIX, with_metadata

LAYOUT_KEY = (PREFIX + "layout").encode()
_LAYOUT = b"mapped 1"
# bytes of one page, whose size is a signed 32-bit number; and of one of vectors, several of which
# are no hindrance: while a page is written, it is in memory several times
_LARGEST_PAGE = 1 << 30
_VECTORS_PAGE = 1 << 27
_LENGTH = 4
_KINDS = {"INT32": "<i4", "INT64": "<i8", "FLOAT": "<f4", "DOUBLE": "<f8"}


def write_mapped(table: pa.Table, out: IO[bytes], metadata: Mapping[bytes, bytes]) -> None:
    """Write a table so that `MappedTable` can read its columns in place."""
    schema = with_metadata(table.schema, {**metadata, LAYOUT_KEY: _LAYOUT})
    table = table.cast(schema)
    has_vectors = any(pa.types.is_fixed_size_list(field.type) for field in schema)
    page = min(_LARGEST_PAGE, _VECTORS_PAGE) if has_vectors else _LARGEST_PAGE
    rows = max(1, min(table.num_rows, page // max(1, table.nbytes // max(1, len(table)))))
    writer = pq.ParquetWriter(
        out,
        schema,
        compression="none",
        use_dictionary=False,
        data_page_size=2 * _LARGEST_PAGE - 1,
        max_rows_per_page=rows,
        write_statistics=True,
    )
    with writer:
        writer.write_table(table, row_group_size=rows)


class MatrixInFile:
    """A matrix that lies in a file, in one page or in several.

    Rows here and there are looked at in place. For many in a row `read` into memory that is there
    takes half the time, since page after page would have to be mapped.
    """

    def __init__(self, file: "_Opened", parts: Sequence[npt.NDArray[Any]], places: Sequence[int]):
        self._file, self._parts, self._places = file, parts, places
        self._ends = np.cumsum([len(part) for part in parts])
        self.dtype = parts[0].dtype
        self.shape = int(self._ends[-1]), int(parts[0].shape[1])
        self.size = self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(len(rows), columns): these rows, in this order."""
        result: npt.NDArray[Any]
        if len(self._parts) == 1:
            result = self._parts[0][rows]
            return result
        result = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        piece = np.searchsorted(self._ends, rows, side="right")
        for number, part in enumerate(self._parts):
            mine = piece == number
            result[mine] = part[rows[mine] - (self._ends[number] - len(part))]
        return result

    def read(self, start: int, out: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Copy the rows from `start` on into `out`, (rows, columns), and return it.

        Raises DataError where the file has become shorter.
        """
        stop, width = start + len(out), self.shape[1] * self.dtype.itemsize
        for part, place, end in zip(self._parts, self._places, self._ends.tolist(), strict=True):
            first = end - len(part)
            low, high = max(start, first), min(stop, end)
            if low < high:
                into = out[low - start : high - start]
                self._file.read_into(into, place + (low - first) * width)
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self.read(0, np.empty(self.shape, dtype=self.dtype))
        return whole.astype(dtype or self.dtype, copy=False)


class _Opened:
    """A file that stays open, and the one that it was, as long as anything reads from it."""

    def __init__(self, path: Path, label: str):
        self._label = label
        self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._number)

    def map(self) -> mmap.mmap:
        """All of it."""
        return mmap.mmap(self._number, 0, access=mmap.ACCESS_READ)

    def read_into(self, numbers: npt.NDArray[Any], place: int) -> None:
        """Fill contiguous numbers with the bytes from that place on."""
        left = numbers.data.cast("B")
        while left:
            count = os.preadv(self._number, [left], place)
            if not count:
                raise DataError(f"{self._label}: ends too early")
            left, place = left[count:], place + count


class MappedTable:
    """The columns of one such file; nothing is read but what is looked at."""

    def __init__(self, path: Path, label: str):
        self.label = label
        self.metadata = pq.read_metadata(path)
        if (self.metadata.metadata or {}).get(LAYOUT_KEY) != _LAYOUT:
            raise DataError(f"{label}: is not laid out to be read in place")
        self.num_rows = int(self.metadata.num_rows)
        self._file = _Opened(path, label)
        self._bytes = self._file.map()

    @cached_property
    def _places(self) -> dict[str, int]:
        group = self.metadata.row_group(0)
        paths = (group.column(at).path_in_schema for at in range(group.num_columns))
        return {path.split(".")[0]: at for at, path in enumerate(paths)}

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self._places) if self.num_rows else []

    def numbers(self, name: str) -> Any:
        """A number column without nulls, (rows,), or of lists of one length, a `MatrixInFile`."""
        groups = range(self.metadata.num_row_groups)
        parts = [self._numbers(group, name) for group in groups]
        if len({part.shape[1:] for part in parts}) != 1:
            raise self._misfit()
        if parts[0].ndim == 2:
            ends = [_end(self._chunk(group, name)) for group in groups]
            starts = [end - part.nbytes for end, part in zip(ends, parts, strict=True)]
            return MatrixInFile(self._file, parts, starts)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _numbers(self, group: int, name: str) -> npt.NDArray[Any]:
        part = self.metadata.row_group(group)
        chunk = self._chunk(group, name)
        if chunk.physical_type == "BOOLEAN":
            packed = self._last(chunk, (chunk.num_values + 7) // 8)
            bits = np.frombuffer(packed, np.uint8)
            return np.unpackbits(bits, count=chunk.num_values, bitorder="little").view(np.bool_)
        if chunk.physical_type not in _KINDS or chunk.num_values % max(1, part.num_rows):
            raise self._misfit()
        kind = np.dtype(_KINDS[chunk.physical_type])
        values = np.frombuffer(self._last(chunk, chunk.num_values * kind.itemsize), kind)
        is_list = chunk.path_in_schema != name
        return values.reshape(part.num_rows, -1) if is_list else values

    def is_full(self, name: str) -> bool:
        """Whether a column is known to hold no null."""
        groups = range(self.metadata.num_row_groups)
        told = [self._chunk(group, name).statistics for group in groups]
        return all(one is not None and one.null_count == 0 for one in told)

    def _chunk(self, group: int, name: str) -> Any:
        if name not in self._places:
            raise DataError(f"{self.label}: lacks the column {quote(name)}")
        return self.metadata.row_group(group).column(self._places[name])

    def _misfit(self) -> DataError:
        return DataError(f"{self.label}: is not laid out to be read in place")

    def _last(self, chunk: Any, size: int) -> memoryview:
        end = _end(chunk)
        is_inside = 0 <= size <= chunk.total_compressed_size and size <= end <= len(self._bytes)
        if not is_inside or chunk.compression != "UNCOMPRESSED":
            raise self._misfit()
        return memoryview(self._bytes)[end - size : end]

    def text(self, name: str, ends: npt.NDArray[np.int64], row: int) -> str | None:
        """One string of a column; ends: those of `text_ends`, (rows,) int64."""
        chunk = self._chunk(0, name)
        if not 0 <= row < len(ends):
            raise self._misfit()
        start = int(ends[row - 1]) if row else 0
        stop = int(ends[row])
        if stop == start:
            return None
        values = self._last(chunk, int(ends[-1]))
        try:
            return bytes(values[start + _LENGTH : stop]).decode()
        except UnicodeDecodeError as error:
            raise not_text(self.label, name) from error


def read_whole(path: Path, only: Sequence[str] | None = None) -> pa.Table:
    """A table, or some columns of it, of any layout; of one read in place matrices are copied.

    That takes a small part of the time of their decoding, and no memory beside them.
    """
    with pq.ParquetFile(path) as file:
        fields = [f for f in file.schema_arrow if only is None or f.name in only]
        copied = _matrices(path, file, fields)
        rest = read_all(file, [f.name for f in fields if f.name not in copied])
    if not copied:
        return rest
    names = [f.name for f in fields]
    columns = [copied[name] if name in copied else rest.column(name) for name in names]
    return pa.table(columns, schema=pa.schema(fields))


def read_all(file: pq.ParquetFile, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows, decoded, of lists one row group after the other.

    Together they take pyarrow six times as long, and more than three times their memory.
    """
    fields = [f for f in file.schema_arrow if columns is None or f.name in columns]
    if file.num_row_groups < 2 or not any(pa.types.is_nested(f.type) for f in fields):
        return file.read(columns=columns)
    groups = range(file.num_row_groups)
    return pa.concat_tables([file.read_row_group(group, columns=columns) for group in groups])


def _matrices(path: Path, file: pq.ParquetFile, fields: Sequence[pa.Field]) -> dict[str, pa.Array]:
    """The columns that are lists of one length and lie in the file as they lie in memory."""
    wanted = {f.name: f.type for f in fields if pa.types.is_fixed_size_list(f.type)}
    is_mapped = (file.metadata.metadata or {}).get(LAYOUT_KEY) == _LAYOUT
    if not (wanted and is_mapped and file.metadata.num_rows):
        return {}
    table = MappedTable(path, str(path))
    found = {}
    for name, kind in wanted.items():
        # what another program has written anew may have kept our mark alone
        with contextlib.suppress(DataError, ValueError):
            matrix = table.numbers(name)
            shape = table.num_rows, kind.list_size
            if table.is_full(name) and (matrix.shape, matrix.dtype) == (shape, np.float32):
                flat = pa.array(np.asarray(matrix).ravel(), kind.value_type)
                found[name] = pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return found


def _end(chunk: Any) -> int:
    """Where the bytes of a chunk end, which are one page."""
    return int(chunk.data_page_offset + chunk.total_compressed_size)


def text_ends(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """(rows,) int64 where each string ends among the bytes of its column; a null takes none."""
    import pyarrow.compute as pc

    lengths = pc.binary_length(column.cast(pa.large_string()))
    sizes = pc.fill_null(pc.add(lengths.cast(pa.int64()), _LENGTH), 0)
    return np.cumsum(sizes.to_numpy(), dtype=np.int64)
