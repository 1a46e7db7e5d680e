"""Where a table comes from: a file, a folder, a glob, a model folder or standard input."""

import atexit
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import DataError, SchemaError, UsageError, list_names
from cprtools.tables.schemas import TableSpec

STDIN = "-"
_PARQUET_MAGIC = b"PAR1"
_ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"
_BLOCK = 1 << 20


@dataclass
class Source:
    """One table as named by the user: its files, what it must hold, the user's own names."""

    name: str
    paths: list[str]
    spec: TableSpec
    mapping: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name for messages and footers: never an absolute path."""
        return Path(self.name).name if os.path.isabs(self.name) else self.name

    def schema(self) -> pa.Schema:
        """The files' columns together; the first file decides where two disagree on a type."""
        schemas = [read_schema(path, self.label) for path in self.paths]
        fields: dict[str, pa.Field] = {}
        for schema in schemas:
            for column in schema:
                fields.setdefault(column.name, column)
        return pa.schema(list(fields.values()))

    def column_names(self) -> dict[str, str]:
        """Our column name to the name in the file, for each column of the spec that is there.

        Raises SchemaError where a required column is missing.
        """
        present = self.schema().names
        found = {}
        for column in self.spec.fields:
            mapped = self.mapping.get(column.name)
            if mapped in present:
                found[column.name] = str(mapped)
            elif column.name in present:
                found[column.name] = column.name
            elif column.required:
                wanted = mapped or column.name
                raise SchemaError(
                    f"{self.label}: no column '{wanted}' for the {self.spec.name} table; "
                    f"found {list_names(present)}; --columns {column.name}=NAME maps another name"
                )
        return found


def open_table(name: str, spec: TableSpec, mapping: Mapping[str, str] | None = None) -> Source:
    """The source of that name, checked to exist.

    Raises DataError for missing or empty places, UsageError for a second `-`.
    """
    if name == STDIN:
        return Source(STDIN, [spooled_table(spool_stdin())], spec, mapping or {})
    path = Path(name)
    if path.is_dir():
        paths = _member_or_files(path, spec)
    elif path.exists():
        paths = [name]
    else:
        paths = sorted(glob.glob(name, recursive=True))
        if not paths:
            raise DataError(f"{name}: no such file or folder")
    return Source(name, paths, spec, mapping or {})


def read_schema(path: str, label: str) -> pa.Schema:
    """The Arrow schema of one Parquet file. Raises DataError where it is none."""
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(label, path, error) from error


def unreadable(label: str, path: str, error: Exception) -> DataError:
    """The one-line error for a file that cannot be read."""
    where = label if Path(label).name == Path(path).name or label == STDIN else f"{label}: {path}"
    if isinstance(error, PermissionError):
        return DataError(f"{where}: permission denied")
    if isinstance(error, FileNotFoundError):
        return DataError(f"{where}: no such file")
    return DataError(f"{where}: not a readable Parquet file")


def _member_or_files(folder: Path, spec: TableSpec) -> list[str]:
    # a complement model stands in for a vectors table: its Product2Vec embeddings
    member = folder / f"{spec.name}.parquet"
    if (folder / "manifest.parquet").exists():
        if member.exists():
            return [str(member)]
        raise SchemaError(f"{folder}: this model holds no {spec.name}")
    files = sorted(
        str(path)
        for path in folder.rglob("*.parquet")
        if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )
    if not files:
        raise DataError(f"{folder}: the folder holds no Parquet files")
    return files


_spooled: dict[str, str] = {}


def spool_stdin() -> str:
    """Copy standard input to a temporary file, once per process; returns its path.

    Parquet cannot be read forward, so a pipe is always spooled. Raises UsageError on a second call.
    """
    if "path" in _spooled:
        raise UsageError("only one input can be read from standard input ('-')")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("'-' reads standard input, but that is a terminal; pipe a table into it")
    folder = tempfile.mkdtemp(prefix="cprtools-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, "stdin")
    with open(path, "wb") as out:
        shutil.copyfileobj(sys.stdin.buffer, out, _BLOCK)
    _spooled["path"] = path
    return path


def spooled_table(path: str) -> str:
    """The Parquet file of a table in spooled standard input. Raises DataError where it is none."""
    with open(path, "rb") as spooled:
        head = spooled.read(262)
    if head[:4] == _PARQUET_MAGIC:
        return path
    if head[:4] == _ARROW_STREAM_MAGIC:
        return _stream_to_parquet(path)
    if head[257:262] == b"ustar":
        from cprtools.tables.folders import extract_tar

        folder = extract_tar(path)
        if (folder / "vectors.parquet").exists():
            return str(folder / "vectors.parquet")
        raise SchemaError("standard input: a folder was piped in where a table is expected")
    if not head:
        raise DataError("standard input: empty; the command before it in the pipe gave nothing")
    raise DataError("standard input: neither Parquet nor an Arrow stream")


def _stream_to_parquet(path: str) -> str:
    target = path + ".parquet"
    try:
        with pa.ipc.open_stream(path) as reader, pq.ParquetWriter(target, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except (pa.ArrowException, OSError) as error:
        raise DataError("standard input: a damaged Arrow stream") from error
    return target
