"""The user's cache folder, and the digests that what lies there is found by."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from cprtools.errors import DataError
from cprtools.tables.provenance import digest_file


def user_cache() -> Path | None:
    """`$XDG_CACHE_HOME/cprtools` or `~/.cache/cprtools`; None where there is no home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return Path(named) / "cprtools"
    try:
        return Path.home() / ".cache" / "cprtools"
    except RuntimeError:
        return None


def digest_texts(texts: Iterable[str]) -> str:
    """The sha256 of texts in their order, in hex; where one ends and the next begins counts."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def digest_tree(folder: Path, patterns: Sequence[str]) -> str:
    """The sha256 of the folder's files of these patterns, at any depth, with their names.

    Raises DataError where there are none, or one cannot be read.
    """
    files = sorted({path for pattern in patterns for path in folder.rglob(pattern)})
    if not files:
        raise DataError(f"{folder}: holds no {' or '.join(patterns)}")
    return digest_texts(
        part for path in files for part in (str(path.relative_to(folder)), digest_file(str(path)))
    )
