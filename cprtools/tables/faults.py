"""What is wrong with a source that DuckDB could not read: which file, line, column and value."""

import re
from dataclasses import replace
from typing import Any

import pyarrow as pa

from cprtools.errors import CprError, SchemaError, quote
from cprtools.tables.duck import fault_of, function_sql
from cprtools.tables.formats import layout_of, name_file, unreadable
from cprtools.tables.scanning import scan_sql
from cprtools.tables.schemas import Field, TableSpec
from cprtools.tables.source import Source

# how our own casts fail (see casting.py), and how DuckDB's do
_REFUSED = re.compile(r"\bno (?:id|number|time|value): \"(.*)\"", re.DOTALL)
_FAILED = re.compile(r"\"(.*?)\"|'(.*?)'|with value (\S+)", re.DOTALL)


def explain(source: Source, error: Exception, connection: Any = None) -> CprError:
    """The error to raise for a duckdb.Error met while the source was scanned.

    Looks at one file after the other, on `connection` where one is given: the first that does not
    read is named, and else the first value that is not what its column must hold.
    """
    import duckdb

    found: CprError | None = fault_of(source.label, source.paths, error)
    if found:
        return found
    if connection is None:
        with duckdb.connect() as own:
            return explain(source, error, own)
    names = source.column_names(every_line=False)
    is_value = isinstance(error, duckdb.ConversionException) or _REFUSED.search(str(error))
    for look in (_bad_value, _bad_file) if is_value else (_bad_file, _bad_value):
        for path in source.paths:
            if found := look(replace(source, paths=[path], mapping=names), connection):
                return found
    return unreadable(source.label, source.paths[0], error)


def _bad_file(source: Source, connection: Any) -> CprError | None:
    (path,) = source.paths
    rows = function_sql(layout_of(path, source.label), [path])
    # every page of every column, unlike a count
    error = _failure(f"SELECT sum(hash(t)::HUGEINT) FROM {rows} t", connection)
    if error is None:
        return None
    return fault_of(source.label, [path], error) or unreadable(source.label, path, error)


def _bad_value(source: Source, connection: Any) -> CprError | None:
    for ours, theirs in source.mapping.items():
        # one of many files may lack what is required of them together
        fields = (replace(f, required=False) for f in source.spec.fields if f.name == ours)
        only = replace(source, spec=TableSpec(source.spec.name, tuple(fields)))
        error = _failure(f'SELECT min("{ours}") FROM ({scan_sql(only)})', connection)
        if error is not None:
            where = name_file(source.label, source.paths[0])
            return fault_of(source.label, source.paths, error) or SchemaError(
                f"{where}: column '{theirs}' must hold {expected(only.spec.fields[0])}; "
                f"found values {_example(error)}"
            )
    return None


def _failure(query: str, connection: Any) -> Exception | None:
    import duckdb

    try:
        connection.execute(query).fetchall()
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        return error
    return None


def _example(error: Exception) -> str:
    text = str(error)
    found = _REFUSED.search(text) or _FAILED.search(text.split("\n", maxsplit=1)[0])
    value = next((group for group in found.groups() if group), "") if found else ""
    return f"such as {quote(value)}" if value else "of another type"


def expected(field: Field) -> str:
    """What a column must hold, for messages."""
    if pa.types.is_timestamp(field.type or pa.null()):
        return "times as 2024-05-31 10:00:00, or epoch numbers"
    return "whole numbers" if field.type == pa.int64() else "strings or whole numbers"
