"""Follow a footer's inputs back to the raw ones, by name and by the digest of their rows."""

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cprtools.errors import CprError
from cprtools.tables.folders import Folder
from cprtools.tables.formats import MANIFEST_FILE
from cprtools.tables.inspection import count_rows, open_place
from cprtools.tables.piping import is_nameless
from cprtools.tables.provenance import digest_rows, parse_footer, read_footer
from cprtools.tables.schemas import ANY
from cprtools.tables.source import Source

FOUND = "found"
CHANGED = "changed since"
NOT_FOUND = "not found"
_DEEPEST = 100


@dataclass(frozen=True)
class Trace:
    """One recorded input, where it is now, and the inputs it was made from itself."""

    name: str
    rows: int
    digest: str
    status: str
    """`found`, `changed since` (the name is there, the rows are others) or `not found`."""
    path: str | None
    """Where it was found, or where its name now holds other rows."""
    footer: Mapping[str, Any]
    """How it was made; empty for a raw input and where it is not known."""
    inputs: tuple["Trace", ...]

    @property
    def is_raw(self) -> bool:
        """Found, and made by no command of ours."""
        return self.status == FOUND and not self.footer


def trace(place: str, footer: Mapping[str, Any], search: Sequence[str] = ()) -> list[Trace]:
    """The inputs that a footer names, each followed back to what it was made from itself.

    Looked for in the current folder, the place's own folder and the folders of `search`; an input
    that came through a pipe has no name and is looked for by its rows among their Parquet files.
    """
    own = "." if is_nameless(place) else str(Path(place).parent)
    return _Tracer([".", own, *search]).inputs(footer, [], 0)


class _Tracer:
    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = list(dict.fromkeys(os.path.normpath(folder) for folder in folders))
        self._digests: dict[tuple[str, bool], tuple[int, str]] = {}

    def inputs(self, footer: Mapping[str, Any], above: list[str], depth: int) -> list[Trace]:
        entries = footer.get("inputs", []) if depth < _DEEPEST else []
        return [self._input(entry, above, depth) for entry in entries]

    def _input(self, entry: Mapping[str, Any], above: list[str], depth: int) -> Trace:
        status, path, footer = NOT_FOUND, None, {}
        for candidate in self._candidates(str(entry["name"])):
            file = self._match(candidate, entry)
            if file is not None:
                status, path, footer = FOUND, candidate, parse_footer(read_footer(file))
                break
            if path is None and not is_nameless(str(entry["name"])):
                status, path = CHANGED, candidate
        if status != FOUND and isinstance(entry.get("made_by"), dict):
            # nested values come from a file: checked as any other footer
            footer = parse_footer({k: _text(v) for k, v in entry["made_by"].items()})
        real = os.path.realpath(path) if path else ""
        # a file written over its own unchanged input names itself
        inputs = [] if real and real in above else self.inputs(footer, [*above, real], depth + 1)
        return Trace(
            str(entry["name"]), int(entry["rows"]), str(entry["digest"]),
            status, path, footer, tuple(inputs),
        )  # fmt: skip

    def _candidates(self, name: str) -> Iterator[str]:
        if is_nameless(name):
            for folder in self._folders:
                for pattern in ("*.parquet", os.path.join("*", MANIFEST_FILE)):
                    found = sorted(glob.glob(pattern, root_dir=folder))
                    names = [os.path.dirname(path) or path for path in found]
                    yield from (os.path.normpath(os.path.join(folder, name)) for name in names)
            return
        base = Path(name).name
        names = [base] if os.path.isabs(name) else list(dict.fromkeys([name, base]))
        for folder in self._folders:
            for each in names:
                path = os.path.normpath(os.path.join(folder, each))
                # regular files and folders only: a footer must not make us read a device
                if os.path.isfile(path) or os.path.isdir(path) or glob.glob(path):
                    yield path

    def _match(self, path: str, entry: Mapping[str, Any]) -> str | None:
        """The file whose footer tells how the input was made, if its rows are the recorded ones."""
        import duckdb

        try:
            opened = open_place(path)
            if isinstance(opened, Folder):
                return self._match_folder(opened, entry)
            return opened.paths[0] if self._has_rows(opened, entry) else None
        except (CprError, pa.ArrowException, duckdb.Error, OSError):
            # what cannot be read is not the file that was read then
            return None

    def _match_folder(self, folder: Folder, entry: Mapping[str, Any]) -> str | None:
        if folder.manifest["id"] == entry["digest"]:
            return folder.manifest_file
        # one of its tables was read, such as a model's vectors
        for member in sorted(folder.manifest["members"]):
            path = str(folder.path / f"{member}.parquet")
            if self._has_rows(Source(folder.name, [path], ANY), entry):
                return path
        return None

    def _has_rows(self, source: Source, entry: Mapping[str, Any]) -> bool:
        if count_rows(source) != entry["rows"]:
            return False
        # the keys of folders count where the command that read them used one as a column
        has_keys = any(source.keys(path) for path in source.paths)
        return any(
            self._digest(source, with_keys) == (entry["rows"], entry["digest"])
            for with_keys in ((False, True) if has_keys else (False,))
        )

    def _digest(self, source: Source, with_keys: bool) -> tuple[int, str]:
        key = ("\n".join(source.paths), with_keys)
        if key not in self._digests:
            self._digests[key] = digest_rows(source, with_keys=with_keys)
        return self._digests[key]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
