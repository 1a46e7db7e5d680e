"""Columns into our types as Spark SQL; reads and refuses the same values as casting.py."""

import pyarrow as pa

from cprtools.tables.casting import DAY, EPOCH_LIMITS, NUMBER, TIME, WHOLE, ZONE, is_bytes, is_text
from cprtools.tables.schemas import Field

_TYPES = {
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
    pa.large_binary(): "BINARY",
    pa.date32(): "DATE",
    pa.date64(): "DATE",
    # a column of nothing is stored as integers, none of which is there
    pa.null(): "INT",
}
_TO_MICROSECONDS = ("* 1000000L", "* 1000L", "", "DIV 1000L")
# as the other readers do it; then what Spark's cast asks for: seconds, minutes of an offset
_TIDIED = (
    ("^ +| +$", ""),
    (" ?UTC$", "Z"),
    (" ([+-])", "$1"),
    ("([T ][0-9]{2}:[0-9]{2})(Z|[+-]|$)", "$1:00$2"),
    ("(:[0-9.]+[+-][0-9]{2})$", "$1:00"),
)


def spark_type(kind: pa.DataType, *, is_int96: bool = False) -> str | None:
    """The Spark type under which a column of a Parquet file is read; None where there is none.

    is_int96: whether a time is stored as old versions of Spark and Hive do it.
    """
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns" and not is_int96:
            return "BIGINT"
        return "TIMESTAMP" if kind.tz or is_int96 else "TIMESTAMP_NTZ"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _TYPES.get(kind)


def our_type(field: Field) -> str:
    """The Spark type of a field, as a query yields it."""
    if pa.types.is_timestamp(field.type or pa.null()):
        return "TIMESTAMP"
    return _TYPES[field.type or pa.string()]


def cast_spark(column: str, field: Field, stored: pa.DataType, spark: str) -> str | None:
    """The SQL expression that casts a stored column; None where its type is none of the field's.

    Values that do not fit fail with `no TYPE:`, as in casting.py.
    """
    cast: str | None = column
    is_whole = field.type == pa.int64()
    if pa.types.is_timestamp(field.type or pa.null()):
        cast = _time(column, stored, spark)
    elif field.is_id and pa.types.is_decimal(stored):
        whole = f"CASE WHEN {column} = FLOOR({column}) THEN FLOOR({column}) END"
        cast = _parsed("id", column, f"CAST({whole} AS STRING)")
    elif field.is_id and is_bytes(stored):
        cast = _parsed("id", column, f"TRY_VALIDATE_UTF8(CAST({column} AS STRING))")
    elif pa.types.is_floating(stored) and (field.is_id or is_whole):
        cast = _whole(column, "id" if field.is_id else "number")
    elif is_whole and is_text(stored):
        digits = f"NULLIF(REGEXP_EXTRACT({column}, r'{WHOLE}', 1), '')"
        cast = _parsed("number", column, f"TRY_CAST({digits} AS BIGINT)")
    elif is_whole and pa.types.is_decimal(stored):
        refused = f"WHEN {column} <> FLOOR({column}) THEN {_refuse('number', column)}"
        cast = f"CASE {refused} ELSE {column} END"
    return cast and f"CAST({cast} AS {our_type(field)})"


def _refuse(what: str, column: str) -> str:
    return f"RAISE_ERROR(CONCAT('no {what}: \"', CAST({column} AS STRING), '\"'))"


def _parsed(what: str, column: str, parsed: str) -> str:
    refused = f"CASE WHEN {column} IS NOT NULL THEN {_refuse(what, column)} END"
    return f"COALESCE({parsed}, {refused})"


def _whole(column: str, what: str) -> str:
    # 1.5 is none, and neither is what outgrows 64 bits
    return (
        f"CASE WHEN ISNAN({column}) THEN NULL "
        f"WHEN {column} <> RINT({column}) THEN {_refuse(what, column)} "
        f"ELSE {_parsed(what, column, _bigint(column))} END"
    )


def _bigint(number: str) -> str:
    # a cast would take what is just beyond 64 bits for the largest of them
    fits = f"{number} >= -9223372036854775808D AND {number} < 9223372036854775808D"
    return f"CASE WHEN {fits} THEN CAST({number} AS BIGINT) END"


def _time(column: str, stored: pa.DataType, spark: str) -> str | None:
    if pa.types.is_timestamp(stored):
        # below a microsecond digits are cut off, as everywhere
        return f"TIMESTAMP_MICROS({column} DIV 1000L)" if spark == "BIGINT" else column
    if pa.types.is_integer(stored):
        return _parsed("time", column, _epoch(f"TRY_CAST({column} AS BIGINT)"))
    if is_text(stored):
        return _parsed("time", column, _text_time(column))
    if pa.types.is_floating(stored):
        return f"CASE WHEN NOT ISNAN({column}) THEN {_parsed('time', column, _float(column))} END"
    return column if pa.types.is_date(stored) or pa.types.is_null(stored) else None


def _float(column: str) -> str:
    # in 64 bits: a product of 32 would round
    number = f"CAST({column} AS DOUBLE)"
    seconds = f"TIMESTAMP_MICROS(CAST(RINT({number} * 1e6) AS BIGINT))"
    whole = _epoch(_bigint(f"RINT({number})"))
    return f"CASE WHEN ABS({number}) < 1e11 THEN {seconds} ELSE {whole} END"


def _epoch(number: str) -> str:
    steps = " ".join(
        f"WHEN {number} BETWEEN -{limit} AND {limit} THEN TIMESTAMP_MICROS({number} {scale})"
        for limit, scale in zip(EPOCH_LIMITS.values(), _TO_MICROSECONDS, strict=True)
    )
    return f"CASE {steps} END"


def _text_time(column: str) -> str:
    text = column
    for pattern, replacement in _TIDIED:
        text = f"REGEXP_REPLACE({text}, r'{pattern}', r'{replacement}')"
    day = f"REGEXP_REPLACE(TRIM({column}), r'{DAY}', r'$1-$3-$4')"
    return (
        f"CASE WHEN {text} RLIKE r'{ZONE}' THEN TRY_CAST({text} AS TIMESTAMP) "
        f"WHEN {day} RLIKE r'{TIME}' THEN TRY_CAST({day} AS TIMESTAMP) "
        f"WHEN {text} RLIKE r'{NUMBER}' THEN {_number_time(text)} END"
    )


def _number_time(text: str) -> str:
    whole = f"TRY_CAST(SPLIT_PART({text}, '.', 1) AS BIGINT)"
    digits = f"CAST(LEFT(RPAD(SPLIT_PART({text}, '.', 2), 6, '0'), 6) AS BIGINT)"
    fraction = f"CASE WHEN STARTSWITH({text}, '-') THEN -{digits} ELSE {digits} END"
    seconds = f"TIMESTAMP_MICROS({whole} * 1000000L + {fraction})"
    limit = EPOCH_LIMITS["s"]
    is_seconds = f"{whole} BETWEEN -{limit} AND {limit}"
    return f"CASE WHEN {is_seconds} THEN {seconds} ELSE {_epoch(whole)} END"
