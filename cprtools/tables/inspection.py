"""What a file or folder holds: schema, rows, size, and the footer that says how it was made."""

import os
import tarfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.tables.faults import explain
from cprtools.tables.folders import Folder, check_folder, extract_tar
from cprtools.tables.formats import (
    JSON,
    MANIFEST,
    MANIFEST_FILE,
    PARQUET,
    UNREADABLE,
    Layout,
    check_text,
    format_of,
    layout_of,
    name_file,
    unreadable,
)
from cprtools.tables.piping import is_pipe, spool, title_of
from cprtools.tables.provenance import digest_rows, parse_footer, read_footer
from cprtools.tables.scanning import by_layout, read_text
from cprtools.tables.schemas import ANY
from cprtools.tables.source import Source, open_table, read_schema, spooled_table


@dataclass(frozen=True)
class TableFacts:
    """One table of what was inspected."""

    name: str
    rows: int
    columns: tuple[tuple[str, str], ...]
    """Names and Arrow types."""
    first: tuple[dict[str, Any], ...]
    """The first rows, as many as were asked for."""
    differing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Of columns on whose type Parquet files disagree: the types, and how many files have each."""


@dataclass(frozen=True)
class Inspection:
    """What a file or folder holds and what it was made from."""

    name: str
    kind: str
    """`table`, or what the folder's manifest says: `graph`, `complements`, `sellers`."""
    size: int
    """Bytes of its files."""
    files: int
    tables: tuple[TableFacts, ...]
    facts: dict[str, Any]
    """The manifest's facts; empty for a table."""
    footer: dict[str, Any]
    """version, command, params, seed, inputs; empty for a file that is not ours."""

    @property
    def rows(self) -> int:
        """Rows of all its tables."""
        return sum(table.rows for table in self.tables)


def inspect_place(name: str, rows: int = 0) -> Inspection:
    """Look into a file, a folder, a glob or `-`, and read the first `rows` rows of each table.

    Raises DataError for what is missing, damaged or holds no Parquet, SchemaError for a folder
    whose tables do not belong together.
    """
    opened = open_place(name)
    if isinstance(opened, Folder):
        members = sorted(opened.manifest["members"])
        paths = [str(opened.path / f"{member}.parquet") for member in [MANIFEST, *members]]
        tables = [
            _table_facts(member, Source(name, [path], ANY), rows)
            for member, path in zip(members, paths[1:], strict=True)
        ]
        facts = opened.manifest.get("facts")
        kind = opened.kind
    else:
        paths = opened.paths
        tables = [_table_facts(opened.label, opened, rows)]
        facts, kind = {}, ANY.name
    return Inspection(
        name=title_of(name),
        kind=kind,
        size=sum(Path(path).stat().st_size for path in paths),
        files=len(paths),
        tables=tuple(tables),
        facts=facts if isinstance(facts, dict) else {},
        footer=parse_footer(read_footer(paths[0])),
    )


def open_place(name: str) -> Source | Folder:
    """A graph or model folder as a Folder, anything else that holds Parquet as a Source."""
    if is_pipe(name):
        path = spool(name)
        if Path(path).stat().st_size and tarfile.is_tarfile(path):
            return check_folder(title_of(name), extract_tar(path, name))
        return Source(name, [spooled_table(path, name)], ANY)
    if os.path.exists(Path(name) / MANIFEST_FILE):
        return check_folder(name, Path(name))
    return open_table(name, ANY)


def count_rows(source: Source) -> int:
    """Rows of the source's files, by the metadata of Parquet without reading it. Raises DataError.

    Text is read through, so a line that does not belong there is found.
    """
    total = 0
    for layout, paths in by_layout(source).items():
        if layout.format != PARQUET:
            total += digest_rows(replace(source, paths=paths), with_keys=False)[0]
            continue
        for path in paths:
            try:
                total += pq.read_metadata(path).num_rows
            except UNREADABLE as error:
                raise unreadable(source.label, path, error) from error
    return total


def _table_facts(name: str, source: Source, rows: int) -> TableFacts:
    return TableFacts(
        name=name,
        rows=count_rows(source),
        columns=tuple((name, str(kind)) for name, kind in _columns(source).items()),
        first=tuple(_first_rows(source, rows)),
        differing=_differing(source),
    )


def _differing(source: Source) -> dict[str, dict[str, int]]:
    paths = [path for path in source.paths if format_of(path) == PARQUET]
    found: dict[str, Counter[str]] = {}
    for path in paths if len(paths) > 1 else ():
        for column in read_schema(path, source.label):
            found.setdefault(column.name, Counter())[str(column.type)] += 1
    return {name: dict(types) for name, types in found.items() if len(types) > 1}


def _columns(source: Source) -> dict[str, pa.DataType]:
    types = {column.name: column.type for column in source.schema(every_line=True)}
    for layout, paths in by_layout(source).items():
        if layout.format == JSON:
            # the types of JSON lines are those that hold every value
            types |= {f.name: f.type for f in _text_rows(source, layout, paths, 0).schema}
    return types


def _first_rows(source: Source, rows: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in source.paths:
        wanted = rows - len(found)
        if wanted <= 0:
            break
        layout = layout_of(path, source.label)
        if layout.format != PARQUET:
            found += _text_rows(source, layout, [path], wanted).to_pylist()
            continue
        own = source.own_keys()
        keys = {key: value for key, value in source.keys(path).items() if key in own}
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=wanted):
                    check_text(pa.table(batch), name_file(source.label, path))
                    found += [{**keys, **row} for row in batch.to_pylist()]
                    break
        except UNREADABLE as error:
            raise unreadable(source.label, path, error) from error
    return found


def _text_rows(source: Source, layout: Layout, paths: list[str], rows: int) -> pa.Table:
    import duckdb

    keys = {key: key for key in source.own_keys()}
    try:
        return read_text(source, layout, paths, None, keys, limit=rows)
    except duckdb.Error as error:
        raise explain(replace(source, paths=paths), error) from error
