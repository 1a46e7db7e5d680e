"""Columns into our types, once by Arrow and once as SQL; both read and refuse the same values."""

import contextlib
from collections.abc import Callable

import pyarrow as pa

from cprtools.errors import SchemaError, quote
from cprtools.tables.light import pc
from cprtools.tables.schemas import Field

# the largest epoch number taken for each unit: the year 5138, in nanoseconds as far as 64 bits go
EPOCH_LIMITS = {"s": 10**11 - 1, "ms": 10**14 - 1, "us": 10**17 - 1, "ns": 2**63 - 1}
ZONE = r":[0-9.]+(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?$"
# text has no type to tell a day from seconds: 20240501 is a day, 1704067200.25 seconds
DAY = r"^((19|20)[0-9]{2})([0-9]{2})([0-9]{2})$"
NUMBER = r"^([+-]?)([0-9]{1,19})([.]([0-9]{1,9}))?$"
CURRENCY = r"(?:[^0-9.+-]|(?:\pL\pL|/)\.)*"
COMMA_DECIMALS = r"(?:[0-9]{1,3}(?:[. '\x{a0}\x{2009}\x{202f}][0-9]{3})+|[0-9]+),[0-9]{1,2}"
WHOLE = r"^([+-]?[0-9]+)([.]0+)?$"


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
    if field.is_word:
        return _cast_words(column)
    if field.type is None or column.type == field.type:
        return column
    cast = _cast_of(column.type, field.type)
    try:
        return cast(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"{label}: column '{name}' holds {column.type}; it must be readable as {field.type}"
            + _example(column, cast)
        ) from error


def _cast_of(stored: pa.DataType, wanted: pa.DataType) -> Callable[..., pa.ChunkedArray]:
    if pa.types.is_timestamp(wanted):
        return cast_time
    if pa.types.is_decimal(stored) and wanted == pa.float64():
        # Arrow's own cast misses the nearest number: 41.30 would be 41.300000000000004
        return lambda column: column.cast(pa.string()).cast(wanted)
    if pa.types.is_string(stored) and wanted == pa.float64():
        return _parse_numbers
    if pa.types.is_string(stored) and wanted == pa.int64():
        return _parse_whole
    if pa.types.is_floating(stored) and wanted == pa.int64():
        # counts with gaps come out of data frames as floats, too
        return lambda column: _without_nan(column).cast(wanted)
    return lambda column: column.cast(wanted)


def _example(column: pa.ChunkedArray, cast: Callable[..., pa.ChunkedArray]) -> str:
    """The first value of text that cannot be cast, found by halving."""
    if not pa.types.is_string(column.type):
        return ""
    while len(column) > 1:
        half = len(column) // 2
        try:
            cast(column.slice(0, half))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            column = column.slice(0, half)
        else:
            column = column.slice(half)
    return f"; found {quote(column[0].as_py())}"


def _cast_id(column: pa.ChunkedArray, label: str, name: str) -> pa.ChunkedArray:
    kind = column.type
    check_id_type(kind, label, name)
    try:
        if pa.types.is_floating(kind):
            # integer ids with gaps come out of data frames as floats: 17850.0 means 17850
            column = _without_nan(column).cast(pa.int64())
        if pa.types.is_decimal(kind):
            # warehouses store integer ids as decimals: 17850.00 means 17850
            column = column.cast(pa.decimal256(76, 0))
        if kind == pa.uuid():
            return pa.chunked_array([_uuids(chunk) for chunk in column.chunks], pa.string())
        return column.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise _no_id(kind, label, name) from error


def _cast_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers of categories, and lists of such, as text; what cannot be text stays as it is."""
    kind = column.type
    if pa.types.is_floating(kind):
        column = _without_nan(column)
    try:
        if pa.types.is_nested(kind):
            return column.cast(pa.list_(pa.string())) if _is_list_of_numbers(kind) else column
        if pa.types.is_decimal(kind):
            with contextlib.suppress(pa.ArrowInvalid):
                column = column.cast(pa.decimal256(76, 0))
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_integer(kind.value_type))


def _without_nan(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = numbers.cast(pa.float64())
    return pc.if_else(pc.is_nan(numbers), None, numbers)


def _uuids(chunk: pa.ExtensionArray) -> pa.Array:
    return pa.array([None if each is None else str(each) for each in chunk.to_pylist()])


def check_id_type(kind: pa.DataType, label: str, name: str) -> None:
    """Raise SchemaError where a column's type is none of an id's."""
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    is_export = pa.types.is_decimal(kind) or is_bytes(kind) or kind == pa.uuid()
    if not (is_text(kind) or is_number or is_export or pa.types.is_null(kind)):
        raise _no_id(kind, label, name)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a type is bytes, as old writers of Parquet store text."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's strings."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _no_id(kind: pa.DataType, label: str, name: str) -> SchemaError:
    return SchemaError(f"{label}: column '{name}' holds {kind}; ids are strings or whole numbers")


def _parse_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # a price such as "$1,299.00" or "" in an export: what is not one number is missing
    plain = pc.extract_regex(column, r"^\s*(?P<n>[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*$")
    # the dot of Rs.500, kr. 12.50 or S/.5 ends the currency and begins no number
    money = pc.extract_regex(
        column, rf"^{CURRENCY}(?P<n>[0-9]{{1,3}}(?:,[0-9]{{3}})*(?:\.[0-9]+)?)[^0-9]*$"
    )
    priced = pc.extract_regex(column, rf"^{CURRENCY}(?P<n>[0-9]*\.?[0-9]+)[^0-9]*$")
    # 9,49 or 1.299,00: a comma before the last one or two digits separates no thousands
    comma = pc.extract_regex(column, rf"^{CURRENCY}(?P<n>{COMMA_DECIMALS})[^0-9]*$")
    found = pc.coalesce(*(pc.struct_field(each, "n") for each in (plain, money, priced)))
    decimals = pc.replace_substring_regex(pc.struct_field(comma, "n"), "[^0-9,]", "")
    return pc.coalesce(
        pc.replace_substring(found, ",", ""), pc.replace_substring(decimals, ",", ".")
    ).cast(pa.float64())


def _parse_whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # anything else stays as it is, and the cast refuses it
    return pc.replace_substring_regex(column, WHOLE, r"\1").cast(pa.int64())


def cast_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps without zone in microseconds UTC; numbers are epoch times by magnitude."""
    target = pa.timestamp("us")
    if pa.types.is_floating(column.type):
        return _float_times(_without_nan(column))
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
    # value by value, as SQL does it: a query cannot look at the largest one first
    size = pc.abs_checked(numbers)
    times = []
    below = pa.scalar(-1)
    for unit, limit in EPOCH_LIMITS.items():
        fits = pc.and_(pc.greater(size, below), pc.less_equal(size, limit))
        values = pc.if_else(fits, numbers, None).cast(pa.timestamp(unit))
        times.append(values.cast(pa.timestamp("us"), safe=False))
        below = pa.scalar(limit)
    return pc.coalesce(*times)


def _float_times(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    # epoch numbers with gaps come out of data frames as floats; seconds may have a fraction
    seconds = pc.less(pc.abs(numbers), EPOCH_LIMITS["s"] + 1)
    micros = pc.round(pc.multiply(pc.if_else(seconds, numbers, None), 1e6)).cast(pa.int64())
    whole = pc.round(pc.if_else(seconds, None, numbers)).cast(pa.int64())
    return pc.coalesce(micros.cast(pa.timestamp("us")), _epoch_times(whole))


def _parse_times(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = pc.utf8_trim_whitespace(texts)
    numbers = pc.match_substring_regex(texts, NUMBER)
    texts = pc.replace_substring_regex(texts, DAY, r"\1-\3-\4")
    numbers = pc.and_(numbers, pc.match_substring_regex(texts, NUMBER))
    # digits below a microsecond are cut off, as everywhere
    texts = pc.replace_substring_regex(texts, r"(:[0-9]{2}\.[0-9]{6})[0-9]+", r"\1")
    texts = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    texts = pc.replace_substring_regex(texts, r" ([+-])", r"\1")
    zoned = pc.match_substring_regex(texts, ZONE)
    with_zone = pc.if_else(zoned, texts, None).cast(pa.timestamp("us", "UTC"))
    without = pc.if_else(pc.or_(zoned, numbers), None, texts).cast(pa.timestamp("us"))
    return pc.coalesce(
        with_zone.cast(pa.timestamp("us")), without, _number_times(pc.if_else(numbers, texts, None))
    )


def _number_times(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    whole = pc.replace_substring_regex(texts, r"^[+]|[.].*$", "").cast(pa.int64())
    seconds = pc.less_equal(pc.abs_checked(whole), EPOCH_LIMITS["s"])
    fraction = pc.replace_substring_regex(texts, r"^[^.]*[.]?", "")
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(fraction, 6, "0"), 0, 6).cast(pa.int64())
    fraction = pc.if_else(pc.starts_with(texts, "-"), pc.negate(fraction), fraction)
    micros = _epoch_times(whole).cast(pa.int64())
    return pc.add(micros, pc.if_else(seconds, fraction, 0)).cast(pa.timestamp("us"))


def sql_type(field: Field) -> str:
    """The DuckDB type of a field, as a query yields it."""
    if field.type is None or field.type == pa.string():
        return "VARCHAR"
    if pa.types.is_timestamp(field.type):
        return "TIMESTAMP"
    if field.type == pa.bool_():
        return "BOOLEAN"
    return "DOUBLE" if field.type == pa.float64() else "BIGINT"


def cast_sql(column: str, field: Field, stored: pa.DataType) -> str:
    """The SQL expression that casts a stored column; values that do not fit fail with `no TYPE:`.

    A string that DuckDB stores as such comes out unchanged: "007" stays "007".
    """
    is_whole = field.type == pa.int64()
    if field.is_id and (pa.types.is_decimal(stored) or is_bytes(stored)):
        return _export_sql(column, is_decimal=pa.types.is_decimal(stored))
    if pa.types.is_floating(stored) and (field.is_id or is_whole):
        # the cast to integers would round: 1.5 is no id, and no count
        told = _refuse("id" if field.is_id else "number", column)
        refused = f"CASE WHEN {column} <> round({column}) THEN {told}"
        return f"{refused} WHEN NOT isnan({column}) THEN {column}::BIGINT::{sql_type(field)} END"
    if is_whole and pa.types.is_decimal(stored):
        refused = f"CASE WHEN {column} <> trunc({column}) THEN {_refuse('number', column)}"
        return f"{refused} ELSE {column}::BIGINT END"
    text = is_text(stored)
    if is_whole and text:
        whole = f"regexp_extract({column}, '{WHOLE}', 1)"
        return f"CASE WHEN {column} IS NOT NULL THEN {_or_refuse(whole, 'number', column)} END"
    if not pa.types.is_timestamp(field.type or pa.null()):
        return f"{column}::{sql_type(field)}"
    if pa.types.is_integer(stored):
        return _epoch_sql(f"{column}::BIGINT")  # seconds in 32 bits would overflow as microseconds
    if pa.types.is_floating(stored):
        return _float_time_sql(f"{column}::DOUBLE")
    if pa.types.is_timestamp(stored) and stored.unit == "ns":
        return f"make_timestamp(epoch_ns({column}) // 1000)"  # a cast would round
    if pa.types.is_timestamp(stored) and stored.tz:
        return f"({column} AT TIME ZONE 'UTC')"
    return _parse_time_sql(column) if text else f"{column}::TIMESTAMP"


def _refuse(what: str, column: str) -> str:
    return f"error('no {what}: \"' || {column}::VARCHAR || '\"')"


def _export_sql(column: str, *, is_decimal: bool) -> str:
    if is_decimal:
        text = f"CASE WHEN {column} = trunc({column}) THEN trunc({column})::DECIMAL(38, 0) END"
    else:
        text = f"try(decode({column}))"
    refused = f"CASE WHEN {column} IS NOT NULL THEN {_refuse('id', column)} END"
    return f"coalesce(({text})::VARCHAR, {refused})"


def _or_refuse(text: str, what: str, column: str) -> str:
    return f"CASE WHEN {text} = '' THEN {_refuse(what, column)} ELSE {text}::BIGINT END"


def _epoch_sql(column: str) -> str:
    size = f"abs({column})"
    return (
        f"CASE WHEN {size} < 100000000000 THEN make_timestamp({column} * 1000000) "
        f"WHEN {size} < 100000000000000 THEN make_timestamp({column} * 1000) "
        f"WHEN {size} < 100000000000000000 THEN make_timestamp({column}) "
        f"ELSE make_timestamp({column} // 1000) END"
    )


def _float_time_sql(column: str) -> str:
    # halves to the even number, as Arrow rounds
    return (
        f"CASE WHEN isnan({column}) THEN NULL WHEN abs({column}) < 100000000000 "
        f"THEN make_timestamp(round_even({column} * 1000000, 0)::BIGINT) "
        f"WHEN abs({column}) < 9223372036854775807::DOUBLE "
        f"THEN {_epoch_sql(f'round_even({column}, 0)::BIGINT')} "
        f"WHEN {column} IS NOT NULL THEN {_refuse('time', column)} END"
    )


def _parse_time_sql(column: str) -> str:
    # a plain cast would drop the offset of 10:00+02:00 without a word; text of this form has none,
    # and needs none of the expressions below, which take five times as long
    form = f"substr({column}, 5, 1) = '-' AND substr({column}, 17, 1) = ':'"
    utc = f"(length({column}) = 20 AND ends_with({column}, 'Z'))"
    text = f"regexp_replace(regexp_replace(trim({column}), ' ?UTC$', 'Z'), ' ([+-])', '\\1')"
    day = f"regexp_replace(trim({column}), '{DAY}', '\\1-\\3-\\4')"
    return (
        f"CASE WHEN {form} AND (length({column}) = 19 OR {utc}) THEN {column}::TIMESTAMP "
        f"WHEN regexp_matches({text}, '{ZONE}') THEN ({text})::TIMESTAMPTZ AT TIME ZONE 'UTC' "
        f"WHEN regexp_matches({day}, '{TIME}') THEN ({day})::TIMESTAMP "
        f"WHEN regexp_matches({text}, '{NUMBER}') THEN {_number_time_sql(text)} "
        f"WHEN {column} IS NOT NULL THEN {_refuse('time', column)} END"
    )


def _number_time_sql(text: str) -> str:
    whole = f"split_part({text}, '.', 1)::BIGINT"
    digits = f"left(rpad(split_part({text}, '.', 2), 6, '0'), 6)::BIGINT"
    fraction = f"CASE WHEN starts_with({text}, '-') THEN -{digits} ELSE {digits} END"
    seconds = f"make_timestamp({whole} * 1000000 + {fraction})"
    return f"CASE WHEN abs({whole}) < 100000000000 THEN {seconds} ELSE {_epoch_sql(whole)} END"
