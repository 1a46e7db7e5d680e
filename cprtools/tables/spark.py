"""Name a source as a Spark DataFrame: the same rows, casts and errors as `scan_sql`."""

import os
import re
from collections.abc import Mapping
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import DataError, SchemaError, quote
from cprtools.tables.reading import _EPOCH_LIMITS, _TIME, _ZONE, _check_id_type
from cprtools.tables.schemas import Field
from cprtools.tables.source import Source, unreadable

# what a query says of a value that it cannot read; our column and the value follow
_REFUSED = "cprtools cannot read"
_REFUSED_VALUE = re.compile(_REFUSED + r" (\w+): (.*)", re.DOTALL)
_NOTHING = "`cprtools: no column`"

_TO_MICROSECONDS = ("* 1000000L", "* 1000L", "", "DIV 1000L")
# written out as Spark reads it: blanks around, " UTC", a blank before an offset, no seconds, an offset
# of hours alone
_TIDIED = (
    ("^ +| +$", ""),
    (" ?UTC$", "Z"),
    (" ([+-])", "$1"),
    ("([T ][0-9]{2}:[0-9]{2})(Z|[+-]|$)", "$1:00$2"),
    ("(:[0-9.]+[+-][0-9]{2})$", "$1:00"),
)

_NAMES = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.uint8(): "SMALLINT",
    pa.uint16(): "INT",
    pa.uint32(): "BIGINT",
    pa.uint64(): "DECIMAL(20, 0)",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "STRING",
    pa.large_string(): "STRING",
    pa.string_view(): "STRING",
    pa.binary(): "BINARY",
    pa.date32(): "DATE",
    pa.date64(): "DATE",
    # a column of nothing is stored as integers, none of which is there
    pa.null(): "INT",
}


def scan_spark(source: Source, session: Any) -> Any:
    """A DataFrame of the spec's columns with our names and types, nulls where absent.

    session: a SparkSession with the time zone UTC, case-sensitive names and nanoseconds read as
    integers. Times come out as TIMESTAMP, ids as STRING. The executors open the files themselves.
    Raises SchemaError for missing columns and for types that hold no ids or times. A value that
    cannot be read fails the query that meets it; `refused_value` then says which.
    """
    names = source.column_names()
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path in source.paths:
        types = _stored_types(source, path, names)
        schema = ", ".join(f"{_quote(name)} {ddl}" for name, (_, ddl) in types.items())
        selected = tuple(
            f"{_column(source, field, names.get(field.name), types)} AS {field.name}"
            for field in source.spec.fields
        )
        # files that store a column differently are cast differently
        alike.setdefault((schema or f"{_NOTHING} INT", selected), []).append(path)
    parts = [
        # a folder named date=2024-01-01 is no column here, as it is none for the other readers
        session.read.schema(schema)
        .option("recursiveFileLookup", "true")
        .parquet(*(_exact(source, path) for path in paths))
        .selectExpr(*selected)
        for (schema, selected), paths in alike.items()
    ]
    return reduce(lambda one, other: one.unionAll(other), parts)


def refused_value(source: Source, message: str) -> SchemaError | None:
    """The error for a value that a query over `scan_spark` refused, from what the query said."""
    found = _REFUSED_VALUE.search(message)
    if found is None:
        return None
    return _no_value(source, found[1], f"such as {quote(found[2])}")


def _no_value(source: Source, ours: str, shown: str) -> SchemaError:
    theirs = source.column_names()[ours]
    return SchemaError(
        f"{source.label}: column '{theirs}' must hold {expected(ours)}; found values {shown}"
    )


def expected(column: str) -> str:
    """What a column of ours must hold, for messages."""
    if column == "ts":
        return "times or whole epoch numbers"
    return "whole numbers" if column in ("rank", "count") else "strings or whole numbers"


def _stored_types(
    source: Source, path: str, names: Mapping[str, str]
) -> dict[str, tuple[pa.DataType, str]]:
    # the schema is named to Spark: columns that are not ours may be of types it cannot read
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(source.label, path, error) from error
    physical = {metadata.schema.column(i).path: metadata.schema.column(i).physical_type
                for i in range(metadata.num_columns)}  # fmt: skip
    found = {}
    for column in metadata.schema.to_arrow_schema():
        if column.name in names.values():
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            ddl = "TIMESTAMP" if physical.get(column.name) == "INT96" else _spark_type(kind)
            if ddl is None:
                raise SchemaError(
                    f"{source.label}: column '{column.name}' holds {kind}, "
                    "which --engine spark cannot read; --engine duckdb may"
                )
            found[column.name] = (kind, ddl)
    return found


def _spark_type(kind: pa.DataType) -> str | None:
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            return "BIGINT"
        return "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _NAMES.get(kind)


def _exact(source: Source, path: str) -> str:
    if os.path.basename(path).startswith(("_", ".")):
        raise DataError(
            f"{source.label}: {path}: Spark reads no file whose name begins with _ or ."
        )
    # Spark takes every name for a pattern: a file may be called "data[1].parquet"
    return "file:" + re.sub(r"([*?\[\]{}\\])", r"\\\1", os.path.abspath(path))


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _column(
    source: Source, field: Field, name: str | None, types: Mapping[str, tuple[pa.DataType, str]]
) -> str:
    if name is None or name not in types:
        return f"CAST(NULL AS {_our_type(field)})"
    kind, ddl = types[name]
    if field.is_id:
        _check_id_type(kind, source.label, name)
    if pa.types.is_timestamp(field.type or pa.null()):
        cast = _time(source, field, _quote(name), kind, ddl)
    elif pa.types.is_floating(kind) and (field.is_id or field.type == pa.int64()):
        cast = _whole(field, _quote(name))
    elif field.type == pa.int64() and not pa.types.is_integer(kind):
        cast = _parsed(field, _quote(name), f"ROUND(TRY_CAST({_quote(name)} AS DECIMAL(38, 9)))")
    else:
        cast = _quote(name)
    return f"CAST({cast} AS {_our_type(field)})"


def _our_type(field: Field) -> str:
    if pa.types.is_timestamp(field.type or pa.null()):
        return "TIMESTAMP"
    return _NAMES[field.type or pa.string()]


def _refuse(field: Field, column: str) -> str:
    return f"RAISE_ERROR(CONCAT('{_REFUSED} {field.name}: ', CAST({column} AS STRING)))"


def _parsed(field: Field, column: str, parsed: str) -> str:
    return f"COALESCE({parsed}, CASE WHEN {column} IS NOT NULL THEN {_refuse(field, column)} END)"


def _whole(field: Field, column: str) -> str:
    # 1.5 is no id, and neither is what outgrows 64 bits
    return (
        f"CASE WHEN ISNAN({column}) THEN NULL "
        f"WHEN {column} <> RINT({column}) THEN {_refuse(field, column)} "
        f"ELSE {_parsed(field, column, f'TRY_CAST({column} AS BIGINT)')} END"
    )


def _time(source: Source, field: Field, column: str, kind: pa.DataType, ddl: str) -> str:
    if pa.types.is_timestamp(kind):
        # below a microsecond digits are cut off, as everywhere
        return f"TIMESTAMP_MICROS({column} DIV 1000)" if ddl == "BIGINT" else column
    if pa.types.is_integer(kind):
        number = f"TRY_CAST({column} AS BIGINT)"
        steps = " ".join(
            f"WHEN {number} BETWEEN -{limit} AND {limit} THEN TIMESTAMP_MICROS({number} {scale})"
            for limit, scale in zip(_EPOCH_LIMITS.values(), _TO_MICROSECONDS, strict=True)
        )
        return _parsed(field, column, f"CASE {steps} END")
    if ddl == "STRING":
        text = column
        for pattern, replacement in _TIDIED:
            text = f"REGEXP_REPLACE({text}, r'{pattern}', r'{replacement}')"
        is_time = f"({text} RLIKE r'{_ZONE}' OR {text} RLIKE r'{_TIME}')"
        return _parsed(field, column, f"CASE WHEN {is_time} THEN TRY_CAST({text} AS TIMESTAMP) END")
    if ddl == "DATE" or pa.types.is_null(kind):
        return column
    raise _no_value(source, field.name, "of another type")
