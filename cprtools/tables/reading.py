"""Read a source as an Arrow table, or name it as a DuckDB query; both check and cast alike."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cprtools.errors import SchemaError, quote
from cprtools.tables.schemas import Field
from cprtools.tables.source import Source, read_schema, unreadable

IntArray = npt.NDArray[np.int64]

# the largest epoch number taken for each unit: the year 5138, in nanoseconds as far as 64 bits go
_EPOCH_LIMITS = {"s": 10**11 - 1, "ms": 10**14 - 1, "us": 10**17 - 1, "ns": 2**63 - 1}
_ZONE = r":[0-9.]+(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?$"


def read(source: Source, *, only: list[str] | None = None, allow_empty: bool = False) -> pa.Table:
    """The source's rows, with our column names and types; further columns follow as they are.

    `only` names the columns wanted (of ours); further columns are then left out.
    Raises SchemaError for missing columns, wrong types, null ids, conflicting duplicates and,
    unless `allow_empty`, no rows; DataError for unreadable files. Exact duplicates of keyed rows
    are dropped.
    """
    names = source.column_names()
    if only is not None:
        names = {ours: theirs for ours, theirs in names.items() if ours in only}
    table = _read_files(source, list(names.values()) if only is not None else None, names)
    columns = {
        ours: cast_column(table.column(theirs), _field(source, ours), source.label, theirs)
        for ours, theirs in names.items()
    }
    for name in table.column_names:
        if only is None and name not in columns and name not in names.values():
            columns[name] = table.column(name)
    result = pa.table(columns)
    if not allow_empty and result.num_rows == 0:
        raise SchemaError(f"{source.label}: the {source.spec.name} table has no rows")
    return drop_duplicates(result, source)


def read_any(source: Source) -> pa.Table:
    """The rows of any table as they are: all columns, their own names and types, in file order.

    Raises SchemaError for no rows, or files that disagree on a type; DataError for unreadable ones.
    """
    table = _read_files(source, None)
    if table.num_rows == 0:
        raise SchemaError(f"{source.label}: the table has no rows")
    return table


def _field(source: Source, name: str) -> Field:
    found = source.spec.field(name)
    if found is None:
        raise ValueError(f"{name} is no column of {source.spec.name}")
    return found


def _read_files(
    source: Source, columns: list[str] | None, names: Mapping[str, str] | None = None
) -> pa.Table:
    parts = []
    for path in source.paths:
        try:
            with pq.ParquetFile(path) as file:
                present = [c for c in columns if c in file.schema_arrow.names] if columns else None
                parts.append(_plain_strings(file.read(columns=present)))
        except (pa.ArrowException, OSError) as error:
            raise unreadable(source.label, path, error) from error
    if len(parts) == 1:
        return parts[0].replace_schema_metadata(None)
    # ids may be integers in one file and strings in the next: our columns are cast file by file
    parts = [_cast_part(part, source, names or {}) for part in parts]
    try:
        merged = pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(f"{source.label}: its files disagree on the type of a column") from error
    return merged.replace_schema_metadata(None)


def _plain_strings(table: pa.Table) -> pa.Table:
    # Arrow cannot yet sort, filter or take string views
    for index, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.string()))
    return table


def _cast_part(part: pa.Table, source: Source, names: Mapping[str, str]) -> pa.Table:
    for ours, theirs in names.items():
        index = part.schema.get_field_index(theirs)
        if index >= 0:
            # a column that only some of the files have is checked for nulls when all are joined
            field = replace(_field(source, ours), required=False)
            column = cast_column(part.column(index), field, source.label, theirs)
            part = part.set_column(index, theirs, column)
    return part


def cast_column(column: pa.ChunkedArray, field: Field, label: str, name: str) -> pa.ChunkedArray:
    """The column in the field's type. Raises SchemaError where it does not fit or an id is null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if field.is_id:
        column = _cast_id(column, label, name)
        if field.required and column.null_count:
            raise SchemaError(
                f"{label}: {column.null_count} of {len(column)} rows have no {name}; "
                "remove them or fill them in"
            )
        return column
    if field.type is None or column.type == field.type:
        return column
    try:
        if pa.types.is_timestamp(field.type):
            return cast_time(column)
        if field.type == pa.float64() and pa.types.is_string(column.type):
            return _parse_numbers(column)
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"{label}: column '{name}' holds {column.type}; it must be readable as {field.type}"
        ) from error


def _cast_id(column: pa.ChunkedArray, label: str, name: str) -> pa.ChunkedArray:
    kind = column.type
    _check_id_type(kind, label, name)
    if pa.types.is_floating(kind):
        # integer ids with gaps come out of data frames as floats: 17850.0 means 17850
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), None, column)
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise _no_id(kind, label, name) from error
    return column.cast(pa.string())


def _check_id_type(kind: pa.DataType, label: str, name: str) -> None:
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (is_text or is_number or pa.types.is_string_view(kind) or pa.types.is_null(kind)):
        raise _no_id(kind, label, name)


def _no_id(kind: pa.DataType, label: str, name: str) -> SchemaError:
    return SchemaError(f"{label}: column '{name}' holds {kind}; ids are strings or integers")


def _parse_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # a price such as "$1,299.00" or "" in an export: what is not one number is missing
    plain = pc.extract_regex(column, r"^\s*(?P<n>[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*$")
    money = pc.extract_regex(
        column, r"^[^0-9.+-]*(?P<n>[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?)[^0-9]*$"
    )
    priced = pc.extract_regex(column, r"^[^0-9.+-]*(?P<n>[0-9]*\.?[0-9]+)[^0-9]*$")
    found = pc.coalesce(*(pc.struct_field(each, "n") for each in (plain, money, priced)))
    return pc.replace_substring(found, ",", "").cast(pa.float64())


def cast_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps without zone in microseconds UTC; integers are epoch times by magnitude."""
    target = pa.timestamp("us")
    if pa.types.is_integer(column.type):
        return _epoch_times(column.cast(pa.int64())).cast(target)
    if pa.types.is_timestamp(column.type) and column.type.tz:
        return column.cast(pa.timestamp("us", "UTC"), safe=False).cast(target)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return column.cast(target, safe=False)
    if pa.types.is_string(column.type):
        return _parse_times(column)
    return column.cast(target)


def _epoch_times(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    # value by value, as scan_sql does it: a query cannot look at the largest one first
    size = pc.abs_checked(numbers)
    times = []
    below = pa.scalar(-1)
    for unit, limit in _EPOCH_LIMITS.items():
        fits = pc.and_(pc.greater(size, below), pc.less_equal(size, limit))
        values = pc.if_else(fits, numbers, None).cast(pa.timestamp(unit))
        times.append(values.cast(pa.timestamp("us"), safe=False))
        below = pa.scalar(limit)
    return pc.coalesce(*times)


def _parse_times(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = pc.utf8_trim_whitespace(texts)
    # digits below a microsecond are cut off, as everywhere
    texts = pc.replace_substring_regex(texts, r"(\.[0-9]{6})[0-9]+", r"\1")
    texts = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    texts = pc.replace_substring_regex(texts, r" ([+-])", r"\1")
    zoned = pc.match_substring_regex(texts, _ZONE)
    with_zone = pc.if_else(zoned, texts, None).cast(pa.timestamp("us", "UTC"))
    without = pc.if_else(zoned, None, texts).cast(pa.timestamp("us"))
    return pc.coalesce(with_zone.cast(pa.timestamp("us")), without)


def drop_duplicates(table: pa.Table, source: Source) -> pa.Table:
    """The table with one row per key. Raises SchemaError where rows of one key differ."""
    key = [name for name in source.spec.key if name in table.column_names]
    if not key or not table.num_rows:
        return table
    numbered = table.select(key).append_column("_row", pa.array(np.arange(table.num_rows)))
    groups = numbered.group_by(key).aggregate([("_row", "count")])
    if groups.num_rows == table.num_rows:
        return table
    groups = numbered.group_by(key, use_threads=False).aggregate([("_row", "list")])
    lists = groups.column("_row_list").combine_chunks()
    starts = lists.offsets.to_numpy()
    members = lists.flatten().to_numpy()
    first = np.repeat(np.minimum.reduceat(members, starts[:-1]), np.diff(starts))
    further = np.flatnonzero(members != first)
    further = further[np.argsort(members[further])]
    _refuse_conflicts(table, key, first[further], members[further], source.label)
    return table.take(pa.array(np.unique(first)))


def _refuse_conflicts(
    table: pa.Table, key: list[str], first: IntArray, further: IntArray, label: str
) -> None:
    for name in table.column_names:
        column = table.column(name)
        left, right = column.take(pa.array(first)), column.take(pa.array(further))
        if name in key or left.equals(right):
            continue
        # spelled out, since a price of NaN equals itself here
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        rows = [i for i, (one, other) in enumerate(pairs) if repr(one) != repr(other)]
        if rows:
            example = ", ".join(
                f"{n} {quote(table.column(n)[first[rows[0]]].as_py())}" for n in key
            )
            raise SchemaError(
                f"{label}: {len(set(first[rows].tolist()))} ids have rows that differ in "
                f"'{name}', such as {example}; keep one row each"
            )


def scan_sql(source: Source) -> str:
    """A DuckDB SELECT that yields the spec's columns with our names and types, nulls where absent.

    For tables that may outgrow memory. Times come out as TIMESTAMP in UTC, ids as VARCHAR.
    Raises SchemaError for missing columns.
    """
    names = source.column_names()
    alike: dict[str, list[str]] = {}
    for path in source.paths:
        types = {f.name: f.type for f in read_schema(path, source.label)}
        selected = ", ".join(
            f"{_sql_column(source, field, names.get(field.name), types)} AS {field.name}"
            for field in source.spec.fields
        )
        # files that store a column differently are cast differently
        alike.setdefault(selected, []).append(path)
    return " UNION ALL ".join(
        f"SELECT {selected} FROM {files_sql(replace(source, paths=paths))}"
        for selected, paths in alike.items()
    )


def files_sql(source: Source) -> str:
    """The DuckDB table function that reads the source's files as they are."""
    # DuckDB takes every name for a pattern: a file may be called "data[1].parquet"
    exact = [re.sub(r"([*?\[])", r"[\1]", path).replace("'", "''") for path in source.paths]
    listed = ", ".join(f"'{path}'" for path in exact)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def quote_name(name: str) -> str:
    """A column name of a user's file, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _sql_type(field: Field) -> str:
    if field.type is None or field.type == pa.string():
        return "VARCHAR"
    if pa.types.is_timestamp(field.type):
        return "TIMESTAMP"
    if field.type == pa.bool_():
        return "BOOLEAN"
    return "DOUBLE" if field.type == pa.float64() else "BIGINT"


def _sql_column(
    source: Source, field: Field, name: str | None, types: Mapping[str, pa.DataType]
) -> str:
    stored = types.get(name or "")
    if name is None or stored is None:
        return f"NULL::{_sql_type(field)}"
    if pa.types.is_dictionary(stored):
        stored = stored.value_type
    if field.is_id:
        _check_id_type(stored, source.label, name)
    return _sql_cast(quote_name(name), field, stored)


def _sql_cast(column: str, field: Field, stored: pa.DataType) -> str:
    if pa.types.is_floating(stored) and (field.is_id or field.type == pa.int64()):
        # the cast to integers would round: 1.5 is no id
        whole = f"CASE WHEN {column} <> round({column}) THEN error('no id: \"' || {column} || '\"')"
        return f"{whole} WHEN NOT isnan({column}) THEN {column}::BIGINT::{_sql_type(field)} END"
    if not pa.types.is_timestamp(field.type or pa.null()):
        return f"{column}::{_sql_type(field)}"
    if pa.types.is_integer(stored):
        column = f"{column}::BIGINT"  # seconds in 32 bits would overflow as microseconds
        size = f"abs({column})"
        return (
            f"CASE WHEN {size} < 100000000000 THEN make_timestamp({column} * 1000000) "
            f"WHEN {size} < 100000000000000 THEN make_timestamp({column} * 1000) "
            f"WHEN {size} < 100000000000000000 THEN make_timestamp({column}) "
            f"ELSE make_timestamp({column} // 1000) END"
        )
    if pa.types.is_timestamp(stored) and stored.unit == "ns":
        return f"make_timestamp(epoch_ns({column}) // 1000)"  # a cast would round
    if pa.types.is_timestamp(stored) and stored.tz:
        return f"({column} AT TIME ZONE 'UTC')"
    if pa.types.is_string(stored) or pa.types.is_large_string(stored):
        # a plain cast would drop the offset of 10:00+02:00 without a word
        text = f"regexp_replace(regexp_replace(trim({column}), ' ?UTC$', 'Z'), ' ([+-])', '\\1')"
        zoned = f"(({text})::TIMESTAMPTZ AT TIME ZONE 'UTC')"
        return (
            f"CASE WHEN regexp_matches({text}, '{_ZONE}') THEN {zoned} "
            f"WHEN regexp_matches({text}, '{_TIME}') THEN ({text})::TIMESTAMP "
            f"WHEN {column} IS NOT NULL THEN error('no time: \"' || {column} || '\"') END"
        )
    return f"{column}::TIMESTAMP"
