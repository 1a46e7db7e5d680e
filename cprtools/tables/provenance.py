"""Footers: what a file was made from, with which command, so that a number can be traced."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools import __version__
from cprtools.errors import DataError, UsageError
from cprtools.tables.duck import fault_of, fetch, function_sql
from cprtools.tables.formats import (
    MANIFEST_FILE,
    PARQUET,
    TABLE_FORMAT,
    UNREADABLE,
    Layout,
    format_of,
    unreadable,
)
from cprtools.tables.partitions import FILE_COLUMN, key_sql
from cprtools.tables.piping import STDIN, is_copy
from cprtools.tables.scanning import by_layout
from cprtools.tables.source import Source

PREFIX = "cprtools."


@dataclass(frozen=True)
class Footer:
    """Everything that decides a file's rows, and nothing else (no clock, no absolute path)."""

    command: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    inputs: Sequence[Any] = ()

    @cached_property
    def described(self) -> list[dict[str, Any]]:
        """Name, rows and digest of each input; read once, since inputs may be large."""
        return [describe_input(source) for source in self.inputs]

    def as_dict(self) -> dict[str, Any]:
        """The same facts as JSON values, for a report beside the file."""
        params = json.loads(json.dumps(self.params, sort_keys=True, default=str))
        return {
            "version": __version__,
            "command": self.command,
            "params": params,
            "seed": self.seed,
            "inputs": self.described,
        }

    def metadata(self) -> dict[bytes, bytes]:
        """The key-value pairs of the Parquet footer."""
        values = {
            "version": __version__,
            "format": str(TABLE_FORMAT),
            "command": self.command,
            "params": json.dumps(self.params, sort_keys=True, default=str),
            "seed": str(self.seed),
            "inputs": json.dumps(self.described, sort_keys=True),
        }
        return {(PREFIX + key).encode(): value.encode() for key, value in values.items()}


def describe_input(source: Any) -> dict[str, Any]:
    """Name, row count and digest of a Source or a Folder."""
    if isinstance(source, Source):
        rows, digest = digest_rows(source)
        made_by = piped_footer(source.paths[0])
        return {"name": source.label, "rows": rows, "digest": digest, **made_by}
    return dict(source.describe())


def refuse_overwriting(targets: Sequence[str], inputs: Sequence[Any]) -> None:
    """Raise UsageError where a target is an input, a table of one, or a folder that holds one."""
    read = [os.path.realpath(path) for source in inputs for path in _places(source)]
    for target in targets:
        place = os.path.realpath(target)
        # such a folder is replaced as a whole
        is_replaced = os.path.isfile(os.path.join(place, MANIFEST_FILE))
        within = os.path.join(place, "")
        if any(path == place or (is_replaced and path.startswith(within)) for path in read):
            raise UsageError(f"{target}: is read here, too; name another output")


def refuse_growing(targets: Sequence[str], inputs: Sequence[Any], *, are_folders: bool) -> None:
    """Raise UsageError where a target would be among the files of an input the next time.

    are_folders: the targets become folders of tables.
    """
    for target in targets:
        made = os.path.join(target, MANIFEST_FILE) if are_folders else target
        for source in inputs:
            if isinstance(source, Source) and source.would_read(made):
                raise UsageError(
                    f"{target}: would be read as part of {source.label} from the next run on; "
                    "name another output"
                )


def _places(source: Any) -> list[str]:
    if isinstance(source, Source):
        # of a pipe a copy is read
        return source.paths if source.name == STDIN else [*source.paths, source.name]
    if not hasattr(source, "path"):
        return []
    # a graph or model is read as long as all its tables are there
    return [str(source.path), *(str(table) for table in source.path.glob("*.parquet"))]


def piped_footer(path: str) -> dict[str, Any]:
    """What a piped input says of its own making: once the pipe is gone, no file can tell it."""
    footer = parse_footer(read_footer(path)) if is_copy(path) else {}
    return {"made_by": footer} if footer.get("command") else {}


def parse_footer(footer: Mapping[str, str]) -> dict[str, Any]:
    """A footer's values as JSON values; what is damaged is left out."""
    parsed: dict[str, Any] = {}
    for key, kind in (("version", str), ("command", str), ("params", dict), ("seed", int)):
        value = _json_or_text(footer.get(key, ""), plain=kind is str)
        if isinstance(value, kind):
            parsed[key] = value
    inputs = _json_or_text(footer.get("inputs", "[]"), plain=False)
    parsed["inputs"] = [i for i in inputs if _is_input(i)] if isinstance(inputs, list) else []
    return parsed if parsed.get("version") else {}


def _json_or_text(text: str, *, plain: bool) -> Any:
    if plain:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_input(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(key), kind)
        for key, kind in (("name", str), ("rows", int), ("digest", str))
    )


def digest_file(path: str) -> str:
    """The sha256 of a file's bytes, in hex. Raises DataError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{os.path.basename(path)}: no such file, or not readable") from error


def digest_rows(source: Source, *, with_keys: bool | None = None) -> tuple[int, str]:
    """Row count, and a digest of the rows that neither their order nor the file layout changes.

    The sum of DuckDB's 64-bit row hashes, so a file and a pipe of the same rows agree. A row of CSV
    is its texts, one of JSON lines its line. The keys of partitioned folders belong to the rows
    where one of them is a column of the source, or as `with_keys` says.
    Raises DataError for files that cannot be read.
    """
    keys: list[str] = []
    if with_keys or (with_keys is None and source.uses_keys()):
        keys = sorted({key for path in source.paths for key in source.keys(path)})
    sums = [_sum_hashes(source, layout, paths, keys) for layout, paths in by_layout(source).items()]
    return sum(rows for rows, _ in sums), f"{sum(part for _, part in sums) % (1 << 64):016x}"


def _sum_hashes(
    source: Source, layout: Layout, paths: Sequence[str], keys: Sequence[str]
) -> tuple[int, int]:
    import duckdb

    rows = function_sql(layout, paths, named=bool(keys))
    if keys:
        values = ", ".join(f"{key_sql(key)} AS key_{n}" for n, key in enumerate(keys))
        rows = f"(SELECT * EXCLUDE ({FILE_COLUMN}), {values} FROM {rows})"
    try:
        found = fetch(f"SELECT count(*) AS n, sum(hash(t)::HUGEINT) AS total FROM {rows} t")
    except duckdb.Error as error:
        if layout.format != PARQUET or len(paths) == 1:
            found_fault = fault_of(source.label, paths, error)
            raise found_fault or unreadable(source.label, paths[0], error) from error
        # files that disagree on a type cannot be read as one table
        each = [_sum_hashes(source, layout, [path], keys) for path in paths]
        return sum(n for n, _ in each), sum(part for _, part in each)
    counted = found.to_pylist()[0]
    return int(counted["n"]), int(counted["total"] or 0)


def read_footer(path: str) -> dict[str, str]:
    """Our keys of a Parquet file's footer, without the prefix; empty for foreign files and text.

    Raises DataError where it cannot be read.
    """
    if format_of(path) != PARQUET:
        return {}
    try:
        metadata: Mapping[bytes, bytes] = pq.read_schema(path).metadata or {}
    except UNREADABLE as error:
        raise unreadable(path, path, error) from error
    return {
        key.decode(errors="replace")[len(PREFIX) :]: value.decode(errors="replace")
        for key, value in metadata.items()
        if key.startswith(PREFIX.encode())
    }


def with_metadata(schema: pa.Schema, metadata: Mapping[bytes, bytes]) -> pa.Schema:
    """The schema with these footer keys in place of any it had."""
    return schema.with_metadata(dict(metadata))
