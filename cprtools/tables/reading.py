"""Read a source as an Arrow table, or name it as a DuckDB query; both check and cast alike."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cprtools.errors import SchemaError, quote
from cprtools.tables.schemas import Field
from cprtools.tables.source import Source, unreadable


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
    table = _read_files(source, list(names.values()) if only is not None else None)
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


def _read_files(source: Source, columns: list[str] | None) -> pa.Table:
    parts = []
    for path in source.paths:
        try:
            with pq.ParquetFile(path) as file:
                present = [c for c in columns if c in file.schema_arrow.names] if columns else None
                parts.append(file.read(columns=present))
        except (pa.ArrowException, OSError) as error:
            raise unreadable(source.label, path, error) from error
    if len(parts) == 1:
        return parts[0].replace_schema_metadata(None)
    try:
        merged = pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(f"{source.label}: its files disagree on the type of a column") from error
    return merged.replace_schema_metadata(None)


def cast_column(column: pa.ChunkedArray, field: Field, label: str, name: str) -> pa.ChunkedArray:
    """The column in the field's type. Raises SchemaError where it does not fit or an id is null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
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
    if pa.types.is_string(kind):
        return column
    if pa.types.is_floating(kind):
        # integer ids with gaps come out of data frames as floats: 17850.0 means 17850
        if not pc.all(pc.equal(column, pc.round(column)), skip_nulls=True).as_py():
            raise SchemaError(f"{label}: column '{name}' holds {kind}; ids are strings or integers")
        return column.cast(pa.int64()).cast(pa.string())
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    raise SchemaError(f"{label}: column '{name}' holds {kind}; ids are strings or integers")


def _parse_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # a price such as "$9.49" or "" in an export: what is no number is missing
    cleaned = pc.replace_substring_regex(column, r"[^0-9.]", "")
    is_number = pc.match_substring_regex(cleaned, r"^[0-9]*\.?[0-9]+$")
    return pc.if_else(is_number, cleaned, None).cast(pa.float64())


def cast_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps without zone in microseconds UTC; integers are epoch times by magnitude."""
    target = pa.timestamp("us")
    if pa.types.is_integer(column.type):
        largest = pc.max(pc.abs(column)).as_py() or 0
        unit = next(
            (u for u, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if largest < limit), "ns"
        )
        return column.cast(pa.int64()).cast(pa.timestamp(unit)).cast(target, safe=False)
    if pa.types.is_timestamp(column.type) and column.type.tz:
        return column.cast(pa.timestamp("us", "UTC"), safe=False).cast(target)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return column.cast(target, safe=False)
    return column.cast(pa.timestamp("us")).cast(target)


def drop_duplicates(table: pa.Table, source: Source) -> pa.Table:
    """The table with one row per key. Raises SchemaError where rows of one key differ."""
    key = [name for name in source.spec.key if name in table.column_names]
    if not key or not table.num_rows:
        return table
    numbered = table.select(key).append_column("_row", pa.array(range(table.num_rows)))
    firsts = numbered.group_by(key).aggregate([("_row", "min"), ("_row", "count")])
    if firsts.num_rows == table.num_rows:
        return table
    keep = pc.sort_indices(firsts.column("_row_min"))
    rows = firsts.column("_row_min").take(keep)
    _refuse_conflicts(table, firsts, source)
    return table.take(rows)


def _refuse_conflicts(table: pa.Table, firsts: pa.Table, source: Source) -> None:
    key = list(source.spec.key)
    flat = [n for n in table.column_names if not pa.types.is_nested(table.column(n).type)]
    others = [name for name in flat if name not in key]
    if not others:
        return
    counts = table.group_by(key).aggregate([(n, "count_distinct") for n in others])
    for name in others:
        differing = counts.filter(pc.greater(counts.column(f"{name}_count_distinct"), 1))
        if differing.num_rows:
            example = ", ".join(f"{n} {quote(differing.column(n)[0].as_py())}" for n in key)
            raise SchemaError(
                f"{source.label}: {differing.num_rows} ids have rows that differ in '{name}', "
                f"such as {example}; keep one row each"
            )


def scan_sql(source: Source) -> str:
    """A DuckDB SELECT that yields the spec's columns with our names and types, nulls where absent.

    For tables that may outgrow memory. Times come out as TIMESTAMP in UTC, ids as VARCHAR.
    Raises SchemaError for missing columns.
    """
    names = source.column_names()
    types = {f.name: f.type for f in source.schema()}
    selected = []
    for field in source.spec.fields:
        if field.name not in names:
            selected.append(f"NULL::{_sql_type(field)} AS {field.name}")
            continue
        column = quote_name(names[field.name])
        selected.append(f"{_sql_cast(column, field, types[names[field.name]])} AS {field.name}")
    return f"SELECT {', '.join(selected)} FROM {files_sql(source)}"


def files_sql(source: Source) -> str:
    """The DuckDB table function that reads the source's files as they are."""
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in source.paths)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def quote_name(name: str) -> str:
    """A column name of a user's file, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _sql_type(field: Field) -> str:
    if field.type is None or field.type == pa.string():
        return "VARCHAR"
    if pa.types.is_timestamp(field.type):
        return "TIMESTAMP"
    return "DOUBLE" if field.type == pa.float64() else "BIGINT"


def _sql_cast(column: str, field: Field, stored: pa.DataType) -> str:
    if field.is_id and pa.types.is_floating(stored):
        # the cast to integers would round: 1.5 is no id
        whole = f"CASE WHEN {column} <> round({column}) THEN error('no id: \"' || {column} || '\"')"
        return f"{whole} ELSE {column}::BIGINT::VARCHAR END"
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
    if pa.types.is_timestamp(stored) and stored.tz:
        return f"({column} AT TIME ZONE 'UTC')"
    return f"{column}::TIMESTAMP"
