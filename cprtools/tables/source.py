"""Where a table comes from: a file, a folder, a glob, a model folder or standard input."""

import glob
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import DataError, SchemaError, list_names
from cprtools.tables.duck import json_names
from cprtools.tables.formats import (
    CSV,
    JSON,
    MANIFEST_FILE,
    PARQUET,
    PARQUET_MAGIC,
    UNREADABLE,
    format_of,
    is_table,
    layout_of,
    name_file,
    refuse_newer,
    unreadable,
)
from cprtools.tables.partitions import keys_below, keys_of, matches, split_pattern
from cprtools.tables.piping import is_copy, is_pipe, label_of, spool, title_of
from cprtools.tables.schemas import Field, TableSpec

_ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"


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
        return label_of(self.name)

    def keys(self, path: str) -> dict[str, str | None]:
        """The `key=value` folders on the way to one of the files; a pipe's copy has none."""
        return {} if is_copy(path) else keys_of(path)

    def own_keys(self) -> list[str]:
        """The keys that partition the table itself: of folders below the place that was named."""
        return [] if is_copy(self.paths[0]) else keys_below(self.name, self.paths)

    def would_read(self, path: str) -> bool:
        """Whether a new file of that path would be one of the source's the next time."""
        if is_copy(self.paths[0]):
            return False
        root, pattern = split_pattern(self.name)
        place = Path(os.path.relpath(os.path.realpath(path), os.path.realpath(root))).parts
        if not place or place[0] == "..":
            return False
        if not pattern:
            # of a graph or a model one table is read
            is_plain = os.path.isdir(self.name) and not os.path.exists(Path(root) / MANIFEST_FILE)
            return is_plain and _is_shown_table(place)
        if matches(place, pattern):
            return _is_data(place[-1], self.name)
        return any(
            matches(place[:n], pattern)
            and _is_data(place[n - 1], self.name)
            and _is_shown_table(place[n:])
            for n in range(1, len(place))
        )

    def uses_keys(self) -> bool:
        """Whether a column of the spec is, in any of the files, a key of its folders."""
        if not any(self.keys(path) for path in self.paths):
            return False
        found = {*self.column_names(every_line=False).values()}
        return any(
            key in found and key not in read_schema(path, self.label).names
            for path in self.paths
            for key in self.keys(path)
        )

    def schema(self, *, every_line: bool = False) -> pa.Schema:
        """The files' columns together; the first file decides where two disagree on a type.

        Columns of text count as strings. Of JSON lines, the names that the first ones have count,
        or with `every_line` those that any has. Keys of the folders follow, as strings.
        """
        fields: dict[str, pa.Field] = {}
        for path in self.paths:
            schema = read_schema(path, self.label, every_line=every_line)
            columns = list(schema)
            own = {column.name: column for column in columns}
            if len(own) < len(columns):
                repeated = [name for name, n in Counter(schema.names).items() if n > 1]
                raise SchemaError(
                    f"{self.label}: two columns have the same name: {list_names(sorted(repeated))}"
                )
            for column in columns:
                fields.setdefault(column.name, column)
        for key in self.own_keys():
            fields.setdefault(key, pa.field(key, pa.string()))
        return pa.schema(list(fields.values()))

    def column_names(self, *, every_line: bool = True) -> dict[str, str]:
        """Our column name to the name in the file, for each column of the spec that is there.

        With `every_line` off, optional columns that JSON lines have only further down are left out.
        Raises SchemaError where a required column is missing.
        """
        found, missing = self._look_up(self.schema().names)
        has_lines = any(format_of(path) == JSON for path in self.paths)
        if has_lines and (missing or (every_line and len(found) < len(self.spec.fields))):
            names = self.schema(every_line=True).names
            # lines without any object name nothing: a table without rows is told as such
            found, missing = self._look_up(names or [f.name for f in self.spec.fields])
        if missing:
            self._refuse(missing)
        return found

    def _look_up(self, columns: list[str]) -> tuple[dict[str, str], list[Field]]:
        """What is found of the spec's columns, and the required ones that are not."""
        present = {*columns, *(key for path in self.paths for key in self.keys(path))}
        found, missing = {}, []
        for column in self.spec.fields:
            mapped = self.mapping.get(column.name)
            if mapped in present:
                found[column.name] = str(mapped)
            elif column.name in present:
                found[column.name] = column.name
            elif column.required:
                missing.append(column)
        return found, missing

    def _refuse(self, missing: list[Field]) -> None:
        present = self.schema(every_line=True).names
        first = missing[0].name
        wanted = ", ".join(f"'{self.mapping.get(f.name) or f.name}'" for f in missing)
        columns = "columns" if len(missing) > 1 else "column"
        formats = {format_of(path) for path in self.paths}
        hint = " (a CSV file's first line must name them)" if CSV in formats else ""
        raise SchemaError(
            f"{self.label}: no {columns} {wanted} for the {self.spec.name} table; found "
            f"{list_names(present)}{hint}; --columns {first}=NAME maps another name"
        )


def open_table(name: str, spec: TableSpec, mapping: Mapping[str, str] | None = None) -> Source:
    """The source of that name, checked to exist.

    Raises DataError for missing or empty places, UsageError for a pipe named twice.
    """
    if is_pipe(name):
        return Source(name, [spooled_table(spool(name), name, spec.name)], spec, mapping or {})
    # os.path: a name too long or a locked folder is simply not there
    if os.path.isdir(name):
        paths = _member_or_files(Path(name), spec)
    elif os.path.exists(name):
        paths = [name]
    else:
        found = [path for path in sorted(glob.glob(name, recursive=True)) if _is_data(path, name)]
        paths = [path for path in found if not os.path.isdir(path)]
        for folder in found:
            if os.path.isdir(folder):
                paths += [p for p in _table_files(Path(folder)) if p not in paths]
        if not paths:
            raise DataError(f"{name}: no such file or folder")
    return Source(name, paths, spec, mapping or {})


def read_schema(path: str, label: str, *, every_line: bool = False) -> pa.Schema:
    """The columns of one file: Parquet's own types, strings for text. Raises DataError."""
    layout = layout_of(path, label)
    if layout.format == PARQUET:
        try:
            schema = pq.read_schema(path)
        except UNREADABLE as error:
            raise unreadable(label, path, error) from error
        refuse_newer(schema.metadata, name_file(label, path))
        return schema
    names = layout.names
    if layout.format == JSON and every_line:
        names = json_names(path, label, layout)
    return pa.schema([(name, pa.string()) for name in names])


def _member_or_files(folder: Path, spec: TableSpec) -> list[str]:
    # a complement model stands in for a vectors table: its Product2Vec embeddings
    member = folder / f"{spec.name}.parquet"
    if (folder / MANIFEST_FILE).exists():
        if member.exists():
            return [str(member)]
        raise SchemaError(f"{folder}: this model holds no {spec.name}")
    files = _table_files(folder)
    if not files:
        raise DataError(f"{folder}: the folder holds no tables: no .parquet, .csv, .tsv or .jsonl")
    # the same rows in two formats would count twice, without a word
    first: dict[str, str] = {}
    for path in files:
        first.setdefault(format_of(path), os.path.relpath(path, folder))
    if len(first) > 1:
        examples = " and ".join(f"{kind} ({path})" for kind, path in first.items())
        raise DataError(
            f"{folder}: the folder holds files of different formats, {examples}; "
            f"name one kind by a pattern such as '{folder}/**/*.csv', or all of them by "
            f"'{folder}/**/*'"
        )
    return files


def _table_files(folder: Path) -> list[str]:
    return sorted(
        str(path)
        for path in folder.rglob("*")
        if _is_shown_table(path.relative_to(folder).parts) and path.is_file()
    )


def _is_shown_table(parts: Sequence[str]) -> bool:
    """Whether a folder's file at the end of these folders is one of its tables, by the names."""
    return is_table(parts[-1]) and not any(part.startswith(("_", ".")) for part in parts)


def _is_data(path: str, pattern: str) -> bool:
    # Spark leaves _SUCCESS beside its files; a pattern that asks for such names gets them
    hidden = ("_", ".")
    return os.path.basename(pattern).startswith(hidden) or not os.path.basename(path).startswith(
        hidden
    )


def spooled_table(path: str, name: str, member: str = "vectors") -> str:
    """The file of a table in what was copied from the pipe `name`; of a model, that member.

    Raises DataError where it is no table, SchemaError for a model without that table.
    """
    if format_of(path) != PARQUET:
        return path
    with open(path, "rb") as spooled:
        head = spooled.read(262)
    if head[:4] == PARQUET_MAGIC:
        return path
    if head[:4] == _ARROW_STREAM_MAGIC:
        return _stream_to_parquet(path, name)
    title = title_of(name)
    if head[257:262] == b"ustar":
        from cprtools.tables.folders import check_folder, extract_tar

        folder = check_folder(title, extract_tar(path, name))
        if folder.has(member):
            return str(folder.path / f"{member}.parquet")
        raise SchemaError(f"{title}: a folder was piped in; it holds no {member}")
    if not head:
        raise DataError(f"{title}: empty; the command before it in the pipe gave nothing")
    raise DataError(
        f"{title}: neither Parquet nor an Arrow stream; other formats are read from files"
    )


def _stream_to_parquet(path: str, name: str) -> str:
    target = path + ".parquet"
    try:
        with pa.ipc.open_stream(path) as reader, pq.ParquetWriter(target, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except UNREADABLE as error:
        raise DataError(f"{title_of(name)}: a damaged Arrow stream") from error
    return target
