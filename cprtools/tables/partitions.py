"""Folders partitioned as Hive and Spark do it: `date=2024-01-01/part-0.parquet`."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

_NULL = "__HIVE_DEFAULT_PARTITION__"
_WILDCARD = re.compile(r"[*?\[]")
FILE_COLUMN = "cprtools_file"


def keys_of(path: str) -> dict[str, str | None]:
    """The `key=value` folders on the way to a file, the innermost of a name last."""
    found: dict[str, str | None] = {}
    for part in Path(path).parts[:-1]:
        key, sign, value = part.partition("=")
        if sign and key:
            found[key] = None if value in (_NULL, "") else unquote(value)
    return found


def key_sql(key: str) -> str:
    """The key's value as SQL, for rows that carry their file's path in FILE_COLUMN."""
    pattern = f"^(?:.*/)?{re.escape(key)}=([^/]*)/".replace("'", "''")
    value = f"nullif(regexp_extract({FILE_COLUMN}, '{pattern}', 1), '')"
    return f"url_decode(nullif({value}, '{_NULL}'))"


def keys_below(name: str, paths: Iterable[str]) -> list[str]:
    """The keys of folders below the place that was named, in order: a table's own partitions."""
    root = _root(name)
    found: dict[str, None] = {}
    for path in paths:
        found.update(dict.fromkeys(keys_of(os.path.relpath(path, root))))
    return list(found)


def _root(name: str) -> str:
    if os.path.isdir(name):
        return name
    if os.path.exists(name):
        return os.path.dirname(name) or "."
    parts = Path(name).parts
    fixed = next((n for n, part in enumerate(parts) if _WILDCARD.search(part)), len(parts))
    return os.path.join(*parts[:fixed]) if fixed else "."
