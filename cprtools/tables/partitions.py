"""Folders partitioned as Hive and Spark do it: `date=2024-01-01/part-0.parquet`."""

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
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
    root, _ = split_pattern(name)
    found: dict[str, None] = {}
    for path in paths:
        found.update(dict.fromkeys(keys_of(os.path.relpath(path, root))))
    return list(found)


def split_pattern(name: str) -> tuple[str, tuple[str, ...]]:
    """The folder that a name or a pattern looks into, and the parts of the pattern below it."""
    if os.path.isdir(name):
        return name, ()
    if os.path.exists(name):
        return os.path.dirname(name) or ".", ()
    parts = Path(name).parts
    fixed = next((n for n, part in enumerate(parts) if _WILDCARD.search(part)), len(parts))
    return os.path.join(*parts[:fixed]) if fixed else ".", parts[fixed:]


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether `glob` finds the path of these parts by a pattern of those: `**` enters folders."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    first, shown = pattern[0], not parts[0].startswith(".")
    if first == "**":
        return matches(parts, pattern[1:]) or (shown and matches(parts[1:], pattern))
    if not fnmatchcase(parts[0], first) or not (shown or first.startswith(".")):
        return False
    return matches(parts[1:], pattern[1:])
