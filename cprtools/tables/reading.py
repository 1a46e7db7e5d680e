"""Read a source as an Arrow table, checked and cast as a query on it is."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import SchemaError, quote
from cprtools.tables.casting import cast_column, is_text
from cprtools.tables.faults import explain
from cprtools.tables.formats import (
    PARQUET,
    UNREADABLE,
    check_text,
    layout_of,
    name_file,
    refuse_newer,
    unreadable,
)
from cprtools.tables.mapped import read_all
from cprtools.tables.scanning import read_text
from cprtools.tables.schemas import Field
from cprtools.tables.source import Source

IntArray = npt.NDArray[np.int64]


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
    import duckdb

    asked = names if names is not None else {key: key for key in source.own_keys()}
    parts = []
    # neighbours of one layout are read in one go: text, which has no types of its own, alike
    for layout, group in itertools.groupby(
        source.paths, lambda path: layout_of(path, source.label).reader
    ):
        if layout.format == PARQUET:
            parts += [_read_parquet(source, path, columns, asked) for path in group]
            continue
        paths = list(group)
        try:
            parts.append(_plain_strings(read_text(source, layout, paths, columns, asked)))
        except duckdb.Error as error:
            raise explain(replace(source, paths=paths), error) from error
    if len(parts) == 1:
        return parts[0].replace_schema_metadata(None)
    # ids may be integers in one file and strings in the next: our columns are cast file by file
    parts = [_cast_part(part, source, names or {}) for part in parts]
    return _joined(parts, source.label).replace_schema_metadata(None)


def _joined(parts: list[pa.Table], label: str) -> pa.Table:
    """The parts as one table. Raises SchemaError where they disagree on the type of a column."""
    kinds: dict[str, list[pa.DataType]] = {}
    for part in parts:
        for field in part.schema:
            kinds.setdefault(field.name, []).append(field.type)
    for name in [name for name, found in kinds.items() if len(set(found)) > 1]:
        # no type is asked for: what is no id stays what it holds
        parts = _alike(parts, Field(name, None, required=False), label)
        columns = [part.select([name]) for part in parts if name in part.column_names]
        if name.endswith("_id") and any(is_text(part.schema.types[0]) for part in columns):
            parts = _alike(parts, Field(name, pa.string(), required=False), label)
        columns = [part.select([name]) for part in parts if name in part.column_names]
        try:
            pa.concat_tables([part.slice(0, 0) for part in columns], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            types = sorted({str(part.schema.types[0]) for part in columns})
            raise SchemaError(
                f"{label}: its files disagree on the type of a column: '{name}' holds "
                f"{' and '.join(types)}"
            ) from error
    return pa.concat_tables(parts, promote_options="permissive")


def _alike(parts: list[pa.Table], field: Field, label: str) -> list[pa.Table]:
    """The parts with a column cast where they have it: coded and long strings are plain then."""
    name = field.name
    return [
        part.set_column(
            part.schema.get_field_index(name),
            name,
            cast_column(part.column(name), field, label, name),
        )
        if name in part.column_names
        else part
        for part in parts
    ]


def _read_parquet(
    source: Source, path: str, columns: list[str] | None, names: Mapping[str, str]
) -> pa.Table:
    where = name_file(source.label, path)
    try:
        with pq.ParquetFile(path) as file:
            refuse_newer(file.schema_arrow.metadata, where)
            present = [c for c in columns if c in file.schema_arrow.names] if columns else None
            part = read_all(file, present)
        check_text(part, where)
        part = _plain_strings(part)
    except UNREADABLE as error:
        raise unreadable(source.label, path, error) from error
    for key, value in source.keys(path).items():
        if key in names.values() and key not in part.column_names:
            part = part.append_column(key, pa.array([value] * part.num_rows, pa.string()))
    return part


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
