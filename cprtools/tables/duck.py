"""Files as DuckDB sees them: one table function per layout, and what its errors say of a file."""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from cprtools.errors import DataError
from cprtools.tables.formats import (
    CSV,
    NO_OBJECT,
    NOT_UTF8,
    PARQUET,
    Layout,
    broken_line,
    layout_of,
    name_file,
    not_text,
    unreadable,
)
from cprtools.tables.partitions import FILE_COLUMN

# one line is one row or an error: nothing is padded, skipped or guessed
_CSV = """auto_detect = false, header = true, quote = '"', escape = '"', nullstr = '',
strict_mode = true, null_padding = false, ignore_errors = false"""
_JSON = "format = 'newline_delimited', ignore_errors = false"
# every row decides; and no text has these forms: strings stay strings where they look like a day
_NATURAL = """sample_size = -1, maximum_sample_files = 1000000000, union_by_name = true,
dateformat = 'no day %H %Y', timestampformat = 'no time %H %Y'"""
_AS_TEXT = re.compile(r'(?:JSON|DATE|TIME|TIMESTAMP[A-Z_ ]*|UUID|"NULL")((?:\[\])*)')
_CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
_FIELDS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_JSON_LINE = re.compile(r'in file "(.*)",.* in line (\d+)')
_DISK_FULL = re.compile(r"no space left|disk quota|file too large|disk full", re.IGNORECASE)
_PARQUET_TEXT = re.compile(r'Invalid string encoding found in Parquet file "(.*)": value "')
_NAMED = re.compile(r"^  file = (.*)$|(?:GZIP stream|ZSTD.*): (.*)$", re.MULTILINE)


def is_disk_full(error: Exception) -> bool:
    """Whether DuckDB says that what it spills to cannot grow: no space, a quota, a limit."""
    import duckdb

    text = str(error)
    spilled = isinstance(error, duckdb.OutOfMemoryException)
    return bool(_DISK_FULL.search(text)) or (
        spilled and ("temp_directory" in text or "disk" in text.lower())
    )


def no_room() -> DataError:
    """The one-line error for a temporary folder that is full."""
    return DataError("the temporary folder is full; TMPDIR names another")


def quote_name(name: str) -> str:
    """A column name of a user's file, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def function_sql(
    layout: Layout,
    paths: Iterable[str],
    types: Mapping[str, str] | None = None,
    *,
    named: bool = False,
) -> str:
    """The table function that reads files of one layout; `named` adds their paths as FILE_COLUMN.

    Parquet gives its own columns, CSV c0, c1, ... as VARCHAR, JSON lines those of `types`, or
    without them one column that holds each line.
    """
    files = _files(layout, paths, named)
    if layout.format == PARQUET:
        return f"read_parquet({files}, union_by_name = true, hive_partitioning = false)"
    if layout.format == CSV:
        columns = _struct({f"c{n}": "VARCHAR" for n in range(len(layout.names))})
        delimiter = quote_text(layout.delimiter)
        rows = f"read_csv({files}, {_CSV}, delim = {delimiter}, columns = {columns})"
        # a blank line is no row; of a single column DuckDB takes it for a missing value
        return rows if len(layout.names) > 1 else f"(SELECT * FROM {rows} WHERE c0 IS NOT NULL)"
    if types is None:
        return f"read_ndjson_objects({files})"
    return f"read_json({files}, {_JSON}, records = true, columns = {_struct(types)})"


def _files(layout: Layout, paths: Iterable[str], named: bool) -> str:
    # DuckDB takes every name for a pattern: a file may be called "data[1].parquet"
    exact = ", ".join(quote_text(re.sub(r"([*?\[])", r"[\1]", path)) for path in paths)
    options = f", filename = {quote_text(FILE_COLUMN)}" if named else ""
    if layout.format != PARQUET:
        options += f", hive_partitioning = false, compression = '{layout.compression}'"
    return f"[{exact}]{options}"


def _struct(types: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{quote_text(k)}: {quote_text(v)}" for k, v in types.items()) + "}"


def fetch(query: str) -> pa.Table:
    """The rows of a query on files, in their order. Raises duckdb.Error."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        return connection.sql(query).to_arrow_table()


def json_names(path: str, label: str, layout: Layout) -> tuple[str, ...]:
    """Every name that any line of a JSON lines file has. Raises DataError for a broken line."""
    state = Path(path).stat()
    return _json_names(path, label, layout, state.st_size, state.st_mtime_ns)


# size and time of change are there for the cache: a file written anew is looked at anew
@functools.lru_cache(maxsize=100_000)
def _json_names(path: str, label: str, layout: Layout, size: int, changed: int) -> tuple[str, ...]:
    import duckdb

    lines = function_sql(layout, [path])
    try:
        found = fetch(f"SELECT DISTINCT unnest(json_keys(json)) AS name FROM {lines}")
    except duckdb.Error as error:
        raise fault_of(label, [path], error) or unreadable(label, path, error) from error
    return tuple(dict.fromkeys([*layout.names, *sorted(found.column("name").to_pylist())]))


def json_types(layout: Layout, paths: Sequence[str]) -> dict[str, str]:
    """Every name in these files and the DuckDB type that holds its values, text where they differ.

    Raises duckdb.Error.
    """
    lines = f"read_json({_files(layout, paths, False)}, {_JSON}, {_NATURAL})"
    found = fetch(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {lines})")
    types = dict(zip(*(column.to_pylist() for column in found.columns), strict=True))
    # DuckDB's answer for files without any object
    if types == {"json": "JSON"} and not any(layout_of(path, path).names for path in paths):
        return {}
    return {name: _natural(kind) for name, kind in types.items()}


def _natural(kind: str) -> str:
    found = _AS_TEXT.fullmatch(kind)
    return f"VARCHAR{found[1]}" if found else kind


def fault_of(label: str, paths: Sequence[str], error: Exception) -> DataError | None:
    """The broken file and line that a DuckDB error tells of, or None where it tells of none."""
    text = str(error)
    if found := _JSON_LINE.search(text):
        path = found[1] if found[1] in paths else paths[0]
        line = broken_line(path, int(found[2]))
        what = NOT_UTF8 if "UTF-8" in text else NO_OBJECT
        return DataError(f"{name_file(label, path)}: line {line}: {what}")
    if found := _PARQUET_TEXT.search(text):
        return not_text(name_file(label, found[1] if found[1] in paths else paths[0]))
    named = _NAMED.search(text)
    if named is None:
        return None
    path = next((name for name in named.groups() if name in paths), paths[0])
    found = _CSV_LINE.search(text)
    if found is None and "GZIP" not in text:
        return DataError(f"{name_file(label, path)}: {_UNLIKE_CSV}")
    if found is None:
        return unreadable(label, path, error)
    return DataError(f"{name_file(label, path)}: line {found[1]}: {_csv_fault(text)}")


_UNLIKE_CSV = "its line ends are mixed (\\n and \\r\\n), or it is no CSV file"


def _csv_fault(text: str) -> str:
    if fields := _FIELDS.search(text):
        return f"{fields[2]} fields where the first line has {fields[1]}"
    if "unicode" in text:
        return NOT_UTF8
    if "unterminated quote" in text:
        return 'a quote (") that does not end, or text behind its end'
    return "a row too long to be read" if "Maximum line size" in text else "no row of a CSV file"
