"""Divide a table into training and test rows.

What goes where follows from the rows' values and the seed alone: every choice ranks keyed hashes
of values, so neither the order of the rows nor how they lie in files plays a part. Both tables
keep the rows' order, the columns and their types; no row is lost or doubled.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import SchemaError, UsageError, list_names, quote
from cprtools.tables import Field, cast_column
from cprtools.tables import columns as c
from cprtools.tables.light import pc

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
HashArray = npt.NDArray[np.uint64]
Split = tuple[pa.Table, pa.Table]

MIN_ROWS = 5
ITEMS = (c.PRODUCT_ID, c.CANDIDATE_ID)
"""What a group holds: several rows of one of these in a group are no independent ones."""
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_ODD = np.uint64(0x9E3779B97F4A7C15)


def split_by_time(
    table: pa.Table, at: datetime | str, *, column: str = c.TS, label: str = "table"
) -> Split:
    """Rows before a moment, and rows from that moment on; rows without a time stay in training.

    at: a moment or its ISO text; without a zone it means UTC, as do times in the column. Integers
    are epoch seconds to nanoseconds by magnitude.
    Raises UsageError for a text that is no moment, SchemaError for a missing or unreadable column.
    """
    moment = parse_moment(at) if isinstance(at, str) else at
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    values = _columns(table, [column], label)[0]
    times = cast_column(values, Field(c.TS, pa.timestamp("us")), label, column)
    is_test = pc.greater_equal(times, pa.scalar(moment, pa.timestamp("us"))).fill_null(False)
    return _divide(table, np.asarray(is_test.combine_chunks().to_numpy(zero_copy_only=False)))


def split_by_fraction(
    table: pa.Table,
    by: Sequence[str],
    fraction: float,
    *,
    items: Sequence[str] = ITEMS,
    min_rows: int = MIN_ROWS,
    seed: int = 0,
    label: str = "table",
) -> Split:
    """floor(n * fraction) rows of each group of n rows that agree in the columns `by` are test.

    Rows of a group that name the same item, by the first of the columns `items` that is there and
    not in `by`, are one: they go together and count once, since a listing with a row in each part
    would be known from training. Groups of fewer than `min_rows` stay wholly in training. A missing
    value is a group too, but no item.
    Rows are chosen by all their values: of rows that are equal in every column any may go.
    Raises UsageError for a fraction outside (0, 1), SchemaError for unknown columns.
    """
    share = _exact(fraction)
    groups = _codes(_columns(table, by, label))
    item = next((name for name in items if name in table.column_names and name not in by), None)
    units = _units(groups, None if item is None else table.column(item))
    # a unit of one row goes by the hash of that row
    hashes = np.full(units.max(initial=-1) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(hashes, units, _hash_rows(table, seed))
    group_of = np.zeros(len(hashes), dtype=np.int64)
    group_of[units] = groups
    order = np.lexsort((hashes, group_of))
    sizes = np.bincount(group_of, minlength=1)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    quota = np.array([_floor(n, share) if n >= min_rows else 0 for n in sizes.tolist()])
    rank = np.arange(len(order)) - starts[group_of[order]]
    is_test = np.zeros(len(order), dtype=bool)
    is_test[order] = rank < quota[group_of[order]]
    return _divide(table, is_test[units])


def _units(groups: IntArray, items: pa.ChunkedArray | None) -> IntArray:
    """What goes together: rows of one group and item have one number, dense from 0; others each."""
    if items is None:
        return np.arange(len(groups))
    codes, values = _encode(_keys(items))
    units = groups * np.int64(len(values)) + codes
    # below 0 no item has a number
    units = np.where(codes == len(values), -1 - np.arange(len(units)), units)
    dense: IntArray = np.unique(units, return_inverse=True)[1]
    return dense


def split_by_pair(
    table: pa.Table,
    pair: Sequence[str],
    fraction: float,
    *,
    seed: int = 0,
    label: str = "table",
) -> Split:
    """All rows of floor(n * fraction) of the n unordered pairs are test: both directions together.

    Raises UsageError for a fraction outside (0, 1) or other than two columns, SchemaError for
    unknown columns.
    """
    if len(pair) != 2 or pair[0] == pair[1]:
        raise UsageError(
            f"--pair takes two columns, such as query_id,candidate_id, got {len(pair)}"
        )
    share = _exact(fraction)
    codes, hashes = _shared_codes(_columns(table, pair, label), seed)
    low, high = codes.min(axis=0), codes.max(axis=0)
    distinct, first, inverse = np.unique(
        low * np.int64(len(hashes)) + high, return_index=True, return_inverse=True
    )
    # codes follow the order of the rows, hashes of the values do not
    sides = np.sort(hashes[codes[:, first]], axis=0)
    chosen = _smallest(_mix(sides[0], sides[1]), _floor(len(distinct), share))
    return _divide(table, chosen[inverse])


def split_cold(
    table: pa.Table,
    ids: Sequence[str],
    fraction: float,
    *,
    seed: int = 0,
    label: str = "table",
) -> Split:
    """floor(n * fraction) of the n distinct ids in the columns are new: their rows are all test.

    With several columns the ids are drawn from their union, and a row that holds a new id in any
    of them is test, so that training never sees one. A missing value is no id.
    Raises UsageError for a fraction outside (0, 1), SchemaError for unknown columns.
    """
    share = _exact(fraction)
    codes, hashes = _shared_codes(_columns(table, ids, label), seed)
    num_ids = len(hashes) - 1
    chosen = np.append(_smallest(hashes[:num_ids], _floor(num_ids, share)), False)
    return _divide(table, np.any(chosen[codes], axis=0, keepdims=True)[0])


def one_way(ways: Mapping[str, str | None]) -> str:
    """The one way of splitting that is named. Raises UsageError for none or several."""
    given = [name for name, value in ways.items() if value]
    if len(given) != 1:
        got = " and ".join(f"--{name}" for name in given) or "none"
        raise UsageError(f"give exactly one of --{', --'.join(ways)}; got {got}")
    return given[0]


def parse_moment(text: str) -> datetime:
    """The moment of an ISO text. Raises UsageError where it is none."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--at must be a moment such as 2026-01-31 or 2026-01-31T12:00, got {quote(text)}"
        ) from None


def _exact(fraction: float) -> Fraction:
    if not 0 < fraction < 1:
        raise UsageError(f"--fraction must lie between 0 and 1, got {fraction:g}")
    # what the user wrote: 0.29 as a binary float times 100 is a little less than 29
    return Fraction(repr(float(fraction)))


def _floor(count: int, share: Fraction) -> int:
    return count * share.numerator // share.denominator


def _divide(table: pa.Table, is_test: BoolArray) -> Split:
    mask = pa.array(is_test)
    return table.filter(pc.invert(mask)), table.filter(mask)


def _columns(table: pa.Table, names: Sequence[str], label: str) -> list[pa.ChunkedArray]:
    for name in names:
        if name not in table.column_names:
            raise SchemaError(
                f"{label}: no column '{name}'; found {list_names(table.column_names)}; "
                "name one of these, or map it by --columns"
            )
    return [table.column(name) for name in names]


def _keys(column: pa.ChunkedArray) -> pa.Array:
    """The values as bytes, nulls kept: equal values give equal bytes and the reverse."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_text(column.type):
        return column.cast(pa.large_binary()).combine_chunks()
    try:
        return column.cast(pa.large_string()).cast(pa.large_binary()).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # lists, structs and such: rare, so slow will do
        values = [None if v is None else repr(v).encode() for v in column.to_pylist()]
        return pa.array(values, pa.large_binary())


def _is_text(kind: pa.DataType) -> bool:
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return bool(is_bytes or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _encode(keys: pa.Array) -> tuple[IntArray, list[bytes]]:
    """Codes of the values in [0, n), nulls n, and the n distinct values."""
    encoded = keys.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64), values


def _codes(columns: Sequence[pa.ChunkedArray]) -> IntArray:
    """One group number per row, dense from 0; rows agree in it as they agree in all columns."""
    groups = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes, values = _encode(_keys(column))
        groups = np.unique(groups * (len(values) + 1) + codes, return_inverse=True)[1]
    return groups


def _shared_codes(columns: Sequence[pa.ChunkedArray], seed: int) -> tuple[IntArray, HashArray]:
    """Codes (columns, rows) into one shared set of ids, and the ids' hashes, the null's last."""
    codes, values = _encode(pa.concat_arrays([_keys(column) for column in columns]))
    return codes.reshape(len(columns), -1), _hash_values(values, seed, "id")


def _hash_values(values: Sequence[bytes], seed: int, name: str) -> HashArray:
    """A 64-bit hash of each value under the seed and a name, and at the end one for null."""
    key = blake2b(f"{seed} {name}".encode(), digest_size=32).digest()
    data = b"".join(blake2b(v, digest_size=8, key=key).digest() for v in values)
    missing = blake2b(b"null", digest_size=8, key=key, person=b"missing").digest()
    return np.frombuffer(data + missing, dtype="<u8").astype(np.uint64)


def _hash_rows(table: pa.Table, seed: int) -> HashArray:
    """A 64-bit hash of each row's values; the order of the columns plays no part."""
    rows = np.zeros(table.num_rows, dtype=np.uint64)
    for name in sorted(table.column_names):
        codes, values = _encode(_keys(table.column(name)))
        rows = _mix(rows, _hash_values(values, seed, name)[codes])
    return rows


def _mix(left: HashArray, right: HashArray) -> HashArray:
    # the finaliser of splitmix64, over the two joined by an odd factor; numpy wraps around
    x = left * _ODD + right
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))


def _smallest(hashes: HashArray, count: int) -> BoolArray:
    """Mark the `count` smallest hashes."""
    chosen = np.zeros(len(hashes), dtype=bool)
    chosen[np.argsort(hashes, kind="stable")[:count]] = True
    return chosen
