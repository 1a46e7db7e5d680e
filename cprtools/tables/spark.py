"""A source as a Spark DataFrame: the rows, casts and errors of `scan_sql`, read by executors."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import DataError, SchemaError, UsageError
from cprtools.tables.casting import check_id_type
from cprtools.tables.faults import expected
from cprtools.tables.formats import CSV, PARQUET, Layout, layout_of, name_file, unreadable
from cprtools.tables.schemas import Field
from cprtools.tables.source import Source
from cprtools.tables.sparkcast import cast_spark, our_type, spark_type

# a table without any of our columns still has rows
_NO_COLUMN = "cprtools: no column"
# one line is one row or an error, as for DuckDB; a line's end may be quoted
_CSV = {
    "header": "true",
    "quote": '"',
    "escape": '"',
    "multiLine": "true",
    "mode": "FAILFAST",
    "columnPruning": "false",
}


@dataclass(frozen=True)
class _Stored:
    """A column as a file has it: SQL expression, Arrow's type and Spark's."""

    sql: str
    arrow: pa.DataType
    spark: str


def scan_spark(source: Source, session: Any) -> Any:
    """A DataFrame of the spec's columns with our names and types, nulls where absent.

    session: a SparkSession with the time zone UTC, case-sensitive names and nanoseconds read as
    integers. Times come out as TIMESTAMP, ids as STRING. The executors open the files themselves; a
    value that cannot be read fails the query that meets it.
    Raises SchemaError for missing columns and for types that hold no ids or times, DataError for
    files that cannot be opened, UsageError for formats that are not read with Spark.
    """
    names = source.column_names(every_line=False)
    alike: dict[tuple[Layout, str, tuple[str, ...]], list[str]] = {}
    for path in source.paths:
        layout = layout_of(path, source.label)
        schema, columns = _stored_columns(source, path, layout, names)
        selected = tuple(
            f"{_cast(source, field, names.get(field.name), columns)} AS {field.name}"
            for field in source.spec.fields
        )
        # files that store a column differently are cast differently
        alike.setdefault((layout.reader, schema, selected), []).append(_exact(source, path))
    parts = [
        _reader(session, layout, schema)(paths).selectExpr(*selected)
        for (layout, schema, selected), paths in alike.items()
    ]
    return reduce(lambda one, other: one.unionAll(other), parts)


def _reader(session: Any, layout: Layout, schema: str) -> Any:
    # the folders' keys are told by their names, as for the other readers: not by Spark's guess
    reader = session.read.schema(schema).option("recursiveFileLookup", "true")
    if layout.format == PARQUET:
        return lambda paths: reader.parquet(*paths)
    return reader.options(**_CSV, sep=layout.delimiter).csv


def _stored_columns(
    source: Source, path: str, layout: Layout, names: Mapping[str, str]
) -> tuple[str, dict[str, _Stored]]:
    """The schema to name to Spark, and the columns that this file has, or its folders."""
    found = {
        key: _Stored(_literal(value), pa.string(), "STRING")
        for key, value in source.keys(path).items()
    }
    if layout.format == PARQUET:
        own = _parquet_columns(source, path, {*names.values()})
        schema = {name: column.spark for name, column in own.items()} or {_NO_COLUMN: "INT"}
        return _schema(schema), found | own
    _check_text(source, path, layout)
    # by position: names may be repeated, and an empty field is nothing
    own = {
        name: _Stored(f"NULLIF(c{n}, '')", pa.string(), "STRING")
        for n, name in enumerate(layout.names)
    }
    return _schema({f"c{n}": "STRING" for n in range(len(layout.names))}), found | own


def _schema(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{_quote(name)} {kind}" for name, kind in columns.items())


def _parquet_columns(source: Source, path: str, names: set[str]) -> dict[str, _Stored]:
    # ours alone: further columns may be of types that Spark cannot read
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(source.label, path, error) from error
    leaves = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    old = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}
    found = {}
    for column in metadata.schema.to_arrow_schema():
        if column.name in names:
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            stored = spark_type(kind, is_int96=column.name in old)
            if stored is None:
                raise SchemaError(
                    f"{name_file(source.label, path)}: column '{column.name}' holds {kind}, "
                    "which --engine spark does not read"
                )
            found[column.name] = _Stored(_quote(column.name), kind, stored)
    return found


def _check_text(source: Source, path: str, layout: Layout) -> None:
    where = name_file(source.label, path)
    if layout.format != CSV:
        raise UsageError(f"{where}: --engine spark reads Parquet and CSV, --engine duckdb the rest")
    # Spark tells by the ending how a file is packed
    if layout.compression != ("gzip" if path.endswith(".gz") else "none"):
        raise UsageError(f"{where}: --engine spark reads CSV as it is or packed as .csv.gz")


def _exact(source: Source, path: str) -> str:
    if os.path.basename(path).startswith(("_", ".")):
        raise DataError(
            f"{name_file(source.label, path)}: Spark reads no file whose name begins with _ or ."
        )
    # Spark takes every name for a pattern: a file may be called "data[1].parquet"
    return "file:" + re.sub(r"([*?\[\]{}\\])", r"\\\1", os.path.abspath(path))


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _literal(value: str | None) -> str:
    if value is None:
        return "CAST(NULL AS STRING)"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _cast(source: Source, field: Field, name: str | None, columns: Mapping[str, _Stored]) -> str:
    column = columns.get(name or "")
    if name is None or column is None:
        return f"CAST(NULL AS {our_type(field)})"
    if field.is_id:
        check_id_type(column.arrow, source.label, name)
    cast = cast_spark(column.sql, field, column.arrow, column.spark)
    if cast is None:
        raise SchemaError(
            f"{source.label}: column '{name}' must hold {expected(field)}; "
            "found values of another type"
        )
    return cast
