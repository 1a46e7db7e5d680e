"""Folders of Parquet tables (graphs and models): whole or not at all, and as a tar on a pipe."""

import contextlib
import ctypes
import hashlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import DataError, SchemaError, list_names, reason
from cprtools.tables.formats import (
    MANIFEST,
    MANIFEST_FILE,
    UNREADABLE,
    check_text,
    name_file,
    unreadable,
)
from cprtools.tables.leftovers import claimed
from cprtools.tables.mapped import MappedTable, read_whole, write_mapped
from cprtools.tables.piping import is_pipe, label_of, spool, title_of
from cprtools.tables.provenance import PREFIX, Footer, piped_footer
from cprtools.tables.writing import (
    STDOUT,
    check_place,
    is_device,
    replacing,
    write_parquet,
    write_stdout,
)

FORMAT = 1
MANIFEST_KEY = (PREFIX + "folder").encode()
GRAPH = "graph"
_MEMBER = re.compile(r"[a-z0-9_]{1,60}\.parquet")
# what a footer can hold in place of a manifest
_DAMAGE = (KeyError, ValueError, TypeError, OverflowError, RecursionError)
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_AT_FDCWD = -100


@dataclass(frozen=True)
class Folder:
    """A graph or model that was opened and checked; tables are read when asked for."""

    name: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`graph`, `complements` or `sellers`."""
        return str(self.manifest["kind"])

    def has(self, member: str) -> bool:
        """Whether the folder holds that table."""
        return member in self.manifest["members"]

    def table(
        self,
        member: str,
        columns: list[str] | None = None,
        *,
        where: tuple[str, str] | None = None,
    ) -> pa.Table:
        """One table, or some columns of it, or the rows where a column has one value.

        Raises DataError where it is damaged or missing.
        """
        with self._reading(member) as path:
            if where is None:
                found = read_whole(path, columns)
            else:
                kept = [(where[0], "=", where[1])]
                found = pq.read_table(path, columns=columns, filters=kept, partitioning=None)
            found = found.replace_schema_metadata(None)
            check_text(found, name_file(self.name, str(path)))
        return found

    def schema(self, member: str) -> pa.Schema:
        """Columns and types of one table. Raises DataError where it is damaged or missing."""
        with self._reading(member) as path:
            return pq.read_schema(path)

    @contextlib.contextmanager
    def _reading(self, member: str) -> Iterator[Path]:
        path = self.path / f"{member}.parquet"
        try:
            yield path
        except UNREADABLE as error:
            raise unreadable(self.name, str(path), error) from error

    @property
    def manifest_file(self) -> str:
        """The member whose footer says how the folder was made."""
        return str(self.path / MANIFEST_FILE)

    def mapped(self, member: str) -> MappedTable:
        """One table in place. Raises DataError where it is damaged or has another layout."""
        path = self.path / f"{member}.parquet"
        try:
            return MappedTable(path, self.name)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(self.name, str(path), error) from error

    def describe(self) -> dict[str, Any]:
        """Name, rows and digest for the footers of what is made from it."""
        return {
            "name": label_of(self.name),
            "rows": sum(self.manifest["members"].values()),
            "digest": self.manifest["id"],
            **piped_footer(self.manifest_file),
        }


def write_folder(
    members: Mapping[str, pa.Table],
    target: str,
    kind: str,
    footer: Footer,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write tables as one folder; `-` is a tar on standard output, a pipe takes one, too.

    `kind` and `facts` (JSON values) go to the manifest that every member's footer repeats.
    Raises DataError where the place cannot be written or holds something else.
    """
    metadata = dict(footer.metadata())
    manifest = {
        "format": FORMAT,
        "kind": kind,
        "members": {name: table.num_rows for name, table in sorted(members.items())},
        "facts": dict(facts or {}),
        "id": _identity(members, kind, metadata),
    }
    metadata[MANIFEST_KEY] = json.dumps(manifest, sort_keys=True).encode()
    everything = {MANIFEST: pa.table({"member": sorted(members)}), **members}
    if target == STDOUT:
        write_stdout(_tar(everything, metadata, kind))
        return
    if is_device(target):
        with replacing(target) as out:
            out.write(_tar(everything, metadata, kind))
        return
    with _replacing_folder(target, kind) as part:
        for name, table in everything.items():
            with open(part / f"{name}.parquet", "wb") as out:
                _write_member(table, out, metadata, kind)
                out.flush()
                os.fsync(out.fileno())


def _write_member(
    table: pa.Table, out: IO[bytes], metadata: Mapping[bytes, bytes], kind: str
) -> None:
    # a graph is read from end to end, of a model single rows are looked up
    (write_parquet if kind == GRAPH else write_mapped)(table, out, metadata)


def open_folder(name: str, kinds: tuple[str, ...]) -> Folder:
    """Open a folder, or a tar on standard input or a pipe, and check that it is whole.

    Raises DataError for a missing, half-copied or damaged folder; SchemaError for one of another
    kind, a newer version, or tables that do not belong together.
    """
    path = extract_tar(spool(name), name) if is_pipe(name) else Path(name)
    # os.path: a name too long is simply not there
    if not os.path.exists(path):
        raise DataError(f"{name}: no such folder")
    if not os.path.isdir(path):
        raise SchemaError(f"{name}: is a file; expected a folder with a {' or '.join(kinds)} model")
    return check_folder(name, path, kinds)


def check_folder(name: str, path: Path, kinds: tuple[str, ...] | None = None) -> Folder:
    """The graph or model in that existing folder, checked; `kinds` None accepts every kind."""
    manifest = _read_manifest(name, path)
    if manifest["format"] > FORMAT:
        raise SchemaError(f"{name}: written by a newer cprtools; update to read it")
    if kinds is not None and manifest["kind"] not in kinds:
        raise SchemaError(f"{name}: holds {_title(manifest['kind'])}; expected {_titles(kinds)}")
    for member, rows in manifest["members"].items():
        _check_member(name, path, member, rows, manifest)
    return Folder(name, path, manifest)


def _title(kind: str) -> str:
    return "a graph" if kind == "graph" else f"a {kind} model"


def _titles(kinds: tuple[str, ...]) -> str:
    return " or ".join(_title(kind) for kind in kinds)


def _read_manifest(name: str, path: Path) -> dict[str, Any]:
    file = path / MANIFEST_FILE
    if not file.exists():
        found = list_names(sorted(p.name for p in path.iterdir())) or "nothing"
        raise DataError(f"{name}: no {MANIFEST_FILE}, so no cprtools folder; found {found}")
    try:
        metadata = pq.read_schema(file).metadata or {}
        manifest = {"facts": {}, **json.loads(metadata[MANIFEST_KEY])}
        if not isinstance(manifest["members"], dict) or not isinstance(manifest["kind"], str):
            raise TypeError
        return {**manifest, "format": int(manifest["format"]), "id": str(manifest["id"])}
    except (pa.ArrowException, OSError) as error:
        raise unreadable(name, str(file), error) from error
    except _DAMAGE as error:
        raise DataError(f"{name}: {MANIFEST_FILE} holds no valid manifest") from error


def _check_member(name: str, path: Path, member: str, rows: int, manifest: dict[str, Any]) -> None:
    file = path / f"{member}.parquet"
    # the whole name: a manifest must not lead out of its folder
    if not _MEMBER.fullmatch(f"{member}.parquet") or not file.exists():
        raise DataError(f"{name}: {file.name} is missing; the folder was copied only in part")
    try:
        metadata = pq.read_metadata(file)
    except UNREADABLE as error:
        raise unreadable(name, str(file), error) from error
    try:
        own = json.loads((metadata.metadata or {})[MANIFEST_KEY])["id"]
    except _DAMAGE:
        own = None
    if own != manifest["id"] or metadata.num_rows != rows:
        raise SchemaError(f"{name}: {file.name} does not belong to the rest of the folder")


def _identity(members: Mapping[str, pa.Table], kind: str, metadata: dict[bytes, bytes]) -> str:
    digest = hashlib.sha256(kind.encode())
    for key in sorted(metadata):
        digest.update(key + metadata[key])
    for name, table in sorted(members.items()):
        digest.update(f"{name} {table.num_rows} {table.schema}".encode())
    return digest.hexdigest()[:16]


def _tar(members: Mapping[str, pa.Table], metadata: Mapping[bytes, bytes], kind: str) -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, table in members.items():
            data = io.BytesIO()
            _write_member(table, data, metadata, kind)
            info = tarfile.TarInfo(f"{name}.parquet")
            info.size = data.tell()
            data.seek(0)
            tar.addfile(info, data)
    return buffer.getvalue()


def extract_tar(path: str, name: str) -> Path:
    """Unpack the copy of the pipe `name` beside itself: only plain Parquet members are accepted.

    Raises DataError for anything else, foreign names, links and paths included.
    """
    import tarfile

    target, title = Path(path + ".folder"), title_of(name)
    target.mkdir()
    try:
        with tarfile.open(path, mode="r:") as tar:
            for info in tar:
                # a sparse member may claim terabytes in a few bytes
                plain = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse()
                if not plain or not _MEMBER.fullmatch(info.name):
                    raise DataError(f"{title}: the tar holds something else than our tables")
                member = tar.extractfile(info)
                if member is None:
                    raise DataError(f"{title}: a damaged tar")
                with open(target / info.name, "wb") as out:
                    shutil.copyfileobj(member, out)
    except OSError as error:
        raise DataError(f"{title}: cannot be unpacked: {reason(error)}") from error
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{title}: expected a folder as a tar; this is none, or damaged") from error
    return target


@contextlib.contextmanager
def _replacing_folder(target: str, kind: str) -> Iterator[Path]:
    # a link stays one: what it points to is replaced
    path = Path(os.path.realpath(target))
    _check_replaceable(target, kind)
    try:
        with claimed(path, folder=True) as part:
            new = part / "new"
            new.mkdir()
            yield new
            if path.exists():
                _exchange(new, path)
            else:
                os.rename(new, path)
    except OSError as error:
        raise DataError(f"{target}: {reason(error)}") from error


def check_folder_writable(target: str, kind: str) -> None:
    """Refuse a target folder before hours are spent. Raises DataError, UsageError."""
    check_place(target)
    if target != STDOUT and not is_device(target):
        _check_replaceable(target, kind)


def _check_replaceable(target: str, kind: str) -> None:
    path = Path(target)
    try:
        if path.exists() and not path.is_dir():
            raise DataError(f"{target}: is a file; name a folder")
        if os.path.realpath(target) == str(Path.cwd()):
            raise DataError(f"{target}: is the current folder; name another")
        entries = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    except OSError as error:
        raise DataError(f"{target}: {reason(error)}") from error
    # a mistyped name must not cost anybody a folder
    foreign = [name for name in entries if not _MEMBER.fullmatch(name)]
    found = _kind_of(path / MANIFEST_FILE) if entries else kind
    if foreign or found is None:
        raise DataError(
            f"{target}: holds files that are not ours ({list_names(foreign or entries, 3)}); "
            "it is not replaced"
        )
    if found not in ("", kind):
        raise DataError(f"{target}: holds {_title(found)}; {_title(kind)} does not replace it")


def _kind_of(manifest: Path) -> str | None:
    """What a folder of ours holds, "" where its manifest is damaged; None for no manifest."""
    try:
        text = (pq.read_schema(manifest).metadata or {}).get(MANIFEST_KEY)
    except UNREADABLE:
        return None
    if text is None:
        return None
    try:
        return str(json.loads(text)["kind"])
    except _DAMAGE:
        return ""


def _exchange(new: Path, old: Path) -> None:
    # swap in one step where the kernel can, so that a reader never sees half a model
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        swap = getattr(libc, "renameat2", None)
        if swap is not None:
            done = swap(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _EXCHANGE)
            if done == 0:
                return
    os.rename(old, new.with_name("old"))
    os.rename(new, old)
