"""A source as DuckDB queries: a log that may outgrow memory, and text of any size."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from cprtools.errors import SchemaError, quote
from cprtools.tables.casting import cast_sql, check_id_type, sql_type
from cprtools.tables.duck import fetch, function_sql, json_types, quote_name
from cprtools.tables.formats import CSV, PARQUET, Layout, layout_of, name_file
from cprtools.tables.partitions import FILE_COLUMN, key_sql
from cprtools.tables.schemas import Field
from cprtools.tables.source import Source, read_schema


def scan_sql(source: Source) -> str:
    """A DuckDB SELECT that yields the spec's columns with our names and types, nulls where absent.

    For tables that may outgrow memory. Times come out as TIMESTAMP in UTC, ids as VARCHAR.
    Raises SchemaError for missing columns, DataError for files that cannot be opened.
    """
    names = source.column_names(every_line=False)
    for field in source.spec.fields:
        # JSON lines further down may have what the first ones lack
        names.setdefault(field.name, source.mapping.get(field.name, field.name))
    alike: dict[tuple[Layout, str], list[str]] = {}
    for path in source.paths:
        layout = layout_of(path, source.label)
        columns = _stored_columns(source, path, layout, names)
        selected = ", ".join(
            f"{_cast(source, field, names, columns, path)} AS {field.name}"
            for field in source.spec.fields
        )
        # files that store a column differently are cast differently
        alike.setdefault((layout.reader, selected), []).append(path)
    types = dict.fromkeys(names.values(), "JSON")
    return " UNION ALL ".join(
        f"SELECT {selected} FROM "
        + function_sql(layout, paths, types, named=FILE_COLUMN in selected)
        for (layout, selected), paths in alike.items()
    )


def _stored_columns(
    source: Source, path: str, layout: Layout, names: Mapping[str, str]
) -> dict[str, tuple[str, pa.DataType]]:
    """The names that this file has, or its folders; each with its SQL expression and its type."""
    found = {key: (key_sql(key), pa.string()) for key in source.keys(path)}
    if layout.format == PARQUET:
        for column in read_schema(path, source.label):
            found[column.name] = (quote_name(column.name), column.type)
    elif layout.format == CSV:
        found |= {name: (f"c{n}", pa.string()) for n, name in enumerate(layout.names)}
    else:
        for ours, name in names.items():
            if name in layout.names or name not in found:
                field = source.spec.field(ours)
                found[name] = (_json_text(name, is_id=bool(field and field.is_id)), pa.string())
    return found


def _cast(
    source: Source,
    field: Field,
    names: Mapping[str, str],
    columns: Mapping[str, tuple[str, pa.DataType]],
    path: str,
) -> str:
    name = names[field.name]
    if name not in columns:
        if field.required:
            found = f"no column {quote(name)}, which other files of it have"
            raise SchemaError(f"{name_file(source.label, path)}: {found}")
        return f"NULL::{sql_type(field)}"
    column, stored = columns[name]
    if pa.types.is_dictionary(stored):
        stored = stored.value_type
    if field.is_id:
        check_id_type(stored, source.label, name)
    return cast_sql(column, field, stored)


def _json_text(name: str, *, is_id: bool) -> str:
    """A single JSON value as text: ids are strings or whole numbers, 7.0 is 7."""
    column = quote_name(name)
    value = f"({column} ->> '$')"
    if not is_id:
        nested = f"json_type({column}) IN ('ARRAY', 'OBJECT')"
        refused = f"error('no value: \"' || {column}::VARCHAR || '\"')"
        return f"CASE WHEN {nested} THEN {refused} ELSE {value} END"
    whole = f"regexp_extract({value}, '^(-?[0-9]+)([.]0)?$', 1)"
    return (
        f"CASE WHEN json_type({column}) = 'VARCHAR' THEN {value} WHEN {whole} <> '' THEN {whole} "
        f"WHEN {column} IS NOT NULL THEN error('no id: \"' || {column}::VARCHAR || '\"') END"
    )


def by_layout(source: Source) -> dict[Layout, list[str]]:
    """The source's files, those together that one table function reads. Raises DataError."""
    found: dict[Layout, list[str]] = {}
    for path in source.paths:
        found.setdefault(layout_of(path, source.label).reader, []).append(path)
    return found


def read_text(
    source: Source,
    layout: Layout,
    paths: Sequence[str],
    columns: Sequence[str] | None,
    names: Mapping[str, str],
    limit: int | None = None,
) -> pa.Table:
    """The rows of text files of one layout, in their order: the columns named, or all.

    Columns of the spec are text, to be cast as any other; further ones of JSON lines have the types
    of their values. Keys of the folders that `names` asks for follow. Raises duckdb.Error.
    """
    keys = {key for path in paths for key in source.keys(path)}
    if layout.format == CSV:
        own = {name: f"c{n}" for n, name in enumerate(layout.names)}
        types: dict[str, str] = {}
    else:
        types = _json_types(source, layout, paths, names, keys)
        ids = {names[f.name] for f in source.spec.fields if f.is_id and f.name in names}
        own = {
            name: _json_text(name, is_id=name in ids) if kind == "JSON" else quote_name(name)
            for name, kind in types.items()
        }
    # rows count also where none of their columns is wanted
    wanted = [name for name in own if columns is None or name in columns] or list(own)[:1]
    selected = {name: own[name] for name in wanted}
    selected |= {key: key_sql(key) for key in sorted({*names.values()} & keys - {*own})}
    listed = ", ".join(f"{sql} AS c_{n}" for n, sql in enumerate(selected.values()))
    named = FILE_COLUMN in listed
    rows = function_sql(layout, paths, types, named=named)
    first = "" if limit is None else f" LIMIT {limit}"
    found = fetch(f"SELECT {listed} FROM {rows}{first}")
    return found.rename_columns(list(selected))


def _json_types(
    source: Source,
    layout: Layout,
    paths: Sequence[str],
    names: Mapping[str, str],
    keys: set[str],
) -> dict[str, str]:
    """The DuckDB types to read JSON lines with; JSON for what is cast by its field's type."""
    types = json_types(layout, paths)
    for ours, name in names.items():
        if name in types or name not in keys:
            field = source.spec.field(ours)
            types[name] = "JSON" if field and field.type is not None else types.get(name, "VARCHAR")
    return types
