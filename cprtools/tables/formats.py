"""The formats of a table's files: told by their endings, and what a text file's head says."""

import codecs
import csv
import functools
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from cprtools.errors import DataError, SchemaError, UsageError, quote
from cprtools.tables.piping import is_copy

PARQUET = "Parquet"
CSV = "CSV"
JSON = "JSON lines"
_ENDINGS = {".parquet": PARQUET, ".csv": CSV, ".tsv": CSV}
_LINES = (".jsonl", ".ndjson", ".json")
_ENDINGS |= dict.fromkeys(_LINES, JSON)
_WRITTEN = {".csv": "csv", **dict.fromkeys(_LINES, "json")}
_PACKED = (".gz", ".zst")
PARQUET_MAGIC = b"PAR1"
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# what the footers of our tables say of their form; the first version wrote no such key
TABLE_FORMAT = 1
FORMAT_KEY = b"cprtools.format"
# the table that makes a folder one of ours
MANIFEST = "manifest"
MANIFEST_FILE = f"{MANIFEST}.parquet"
# how a damaged Parquet file shows itself; a column's name may be no text
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
# what is looked at to learn the columns
_HEAD = {CSV: 1 << 16, JSON: 1 << 20}
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
NOT_UTF8 = "not UTF-8 text; iconv -f ENCODING -t UTF-8 converts it, often from CP1252 or UTF-16"
NO_OBJECT = "not a JSON object; each line must hold one"
_MARK = "begins with a byte order mark; tail -c +4 writes it without"
_ARRAY = "a JSON array; each line must hold one object, jq -c '.[]' writes it so"


@dataclass(frozen=True)
class Layout:
    """What decides how a file is read: files of one layout can be read together."""

    format: str
    compression: str = "none"
    """none, gzip or zstd: of a text file, by its first bytes."""
    delimiter: str = ""
    names: tuple[str, ...] = ()
    """The columns of a CSV file, by its first line; of JSON lines, those of the first ones."""

    @property
    def reader(self) -> "Layout":
        """What must be equal for files to be read in one go: any JSON line may have any name."""
        return replace(self, names=()) if self.format == JSON else self


def format_of(path: str) -> str:
    """Parquet, CSV or JSON lines, by the ending; a name without one of theirs is Parquet."""
    return _known_format(path) or PARQUET


def is_table(path: str) -> bool:
    """Whether a file of this name is a table, by its ending."""
    return _known_format(path) is not None


def _known_format(path: str) -> str | None:
    ending = _ending(path)
    packed = path.lower().endswith(_PACKED)
    return None if packed and ending == ".parquet" else _ENDINGS.get(ending)


def _ending(path: str) -> str:
    stem, ending = os.path.splitext(os.path.basename(path).lower())
    return os.path.splitext(stem)[1] if ending in _PACKED else ending


def text_format(path: str) -> str | None:
    """`csv` or `json`, where a file of this name is written as such text; None for other names."""
    return _WRITTEN.get(os.path.splitext(path.lower())[1])


def refuse_text_name(path: str) -> None:
    """Raise UsageError for the name of a text file: what is Parquet could not be read by it."""
    kind = _known_format(path)
    if kind not in (None, PARQUET):
        raise UsageError(f"{path}: would be Parquet, by its name {kind}; name it .parquet")


def name_file(label: str, path: str) -> str:
    """How a message names one of a source's files: by itself where it is the whole source."""
    return label if is_copy(path) or Path(label).name == Path(path).name else f"{label}: {path}"


def layout_of(path: str, label: str) -> Layout:
    """How this file is read.

    Raises DataError for a text file that cannot be opened, is not UTF-8, or whose head is no CSV
    header or no JSON objects.
    """
    kind = format_of(path)
    if kind == PARQUET:
        return Layout(PARQUET)
    try:
        state = Path(path).stat()
        return _text_layout(path, label, kind, state.st_size, state.st_mtime_ns)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(label, path, error) from error


def refuse_newer(metadata: Mapping[bytes, bytes] | None, where: str) -> None:
    """Raise SchemaError where a footer says that a newer version wrote the table."""
    found = (metadata or {}).get(FORMAT_KEY, b"1")
    if not found.isdigit() or int(found) > TABLE_FORMAT:
        raise SchemaError(f"{where}: written by a newer cprtools; update to read it")


def unreadable(label: str, path: str, error: Exception) -> DataError:
    """The one-line error for a file that cannot be read at all."""
    where = name_file(label, path)
    if isinstance(error, PermissionError):
        return DataError(f"{where}: permission denied")
    if isinstance(error, FileNotFoundError):
        return DataError(f"{where}: no such file")
    kind = format_of(path)
    if kind == PARQUET:
        hint = "" if is_table(path) else "; other formats end in .csv, .tsv or .jsonl, also .gz"
        return DataError(f"{where}: not a readable Parquet file{hint}")
    packed = ", or packed data that is damaged" if path.lower().endswith(_PACKED) else ""
    return DataError(f"{where}: not a readable {kind} file{packed}")


def not_text(where: str, column: str | None = None) -> DataError:
    """The one-line error for strings in a Parquet file that are no text."""
    named = "" if column is None else f"column {quote(column)} "
    return DataError(f"{where}: {named}holds text that is not UTF-8; write the file anew as UTF-8")


def check_text(table: pa.Table, where: str) -> None:
    """Look at strings that Arrow read from Parquet: it believes the file that they are UTF-8.

    Raises DataError for those that are not, pyarrow.ArrowInvalid for other damage.
    """
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise not_text(where, name) from error
            raise


# size and time of change are there for the cache: a file written anew is looked at anew
@functools.lru_cache(maxsize=100_000)
def _text_layout(path: str, label: str, kind: str, size: int, changed: int) -> Layout:
    with open(path, "rb") as file:
        start = file.read(4)
    if start == PARQUET_MAGIC:
        raise DataError(f"{name_file(label, path)}: a Parquet file; give it a name in .parquet")
    packed = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "none")
    with pa.input_stream(path, compression=None if packed == "none" else packed) as stream:
        head = stream.read(_HEAD[kind])
        whole = not stream.read(1)
    text, where = _decode(head, whole, name_file(label, path)), name_file(label, path)
    if kind == JSON:
        if head.startswith(codecs.BOM_UTF8):
            raise DataError(f"{where}: line 1: {_MARK}")
        return Layout(JSON, packed, names=_json_names(text, whole, where))
    delimiter, names = _csv_header(text, _ending(path), where)
    return Layout(CSV, packed, delimiter, names)


def _decode(head: bytes, whole: bool, where: str) -> str:
    # a character that the end of the head cuts in two is no mistake
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head, final=whole)
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}: line {line}: {NOT_UTF8}") from error


def _csv_header(text: str, ending: str, where: str) -> tuple[str, tuple[str, ...]]:
    if not text:
        raise DataError(f"{where}: empty; the first line of a CSV file must name its columns")
    first = re.split(r"[\r\n]", _QUOTED.sub("", text), maxsplit=1)[0]
    delimiter = "\t" if ending == ".tsv" else max(_DELIMITERS, key=first.count)
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{where}: line 1: no list of columns ({error})") from error
    if not any(names):
        raise DataError(f"{where}: line 1: blank; it must name the columns")
    return delimiter, tuple(name or f"column{n}" for n, name in enumerate(names, 1))


def _json_names(text: str, whole: bool, where: str) -> tuple[str, ...]:
    if text.lstrip().startswith("["):
        raise DataError(f"{where}: {_ARRAY}")
    lines = text.split("\n")
    names: dict[str, None] = {}
    for number, line in enumerate(lines if whole else lines[:-1], 1):
        names.update(dict.fromkeys(parse_object(line, f"{where}: line {number}")))
    return tuple(names)


def parse_object(line: str, where: str) -> dict[str, object]:
    """The object of one JSON line, empty for a blank line. Raises DataError where it is none."""
    if not line.strip():
        return {}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {NO_OBJECT}") from error
    if found is not None and not isinstance(found, dict):
        raise DataError(f"{where}: {NO_OBJECT}")
    return found or {}


def broken_line(path: str, about: int) -> int:
    """The number of the line of a JSON lines file that is no object, near where DuckDB saw one.

    DuckDB counts the line that it could not read in, or not, by the kind of mistake.
    """
    packed = layout_of(path, path).compression
    with pa.input_stream(path, compression=None if packed == "none" else packed) as stream:
        for number, line in enumerate(io.BufferedReader(stream), 1):
            if number < about - 1:
                continue
            try:
                parse_object(line.decode(), "")
            except (DataError, UnicodeDecodeError):
                return number
            if number > about:
                break
    return about
