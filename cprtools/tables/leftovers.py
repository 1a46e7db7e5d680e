"""Where things are written until they are whole, and an end to what killed processes left there.

A `.part` is locked while its writer lives, and the system lets go of the lock with the process:
what can be locked has no writer any more. This holds between containers and machines that share a
disk, where process ids say nothing.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ENDING = r"\.\d+\.part"


@contextlib.contextmanager
def claimed(target: Path, *, folder: bool = False, mode: int = 0o777) -> Iterator[Path]:
    """A new empty file, or folder, beside the target; what is left of it at the end is removed.

    What killed runs left of the same target is removed, too. Raises OSError.
    """
    clear(target.parent, re.escape(target.name))
    # known before it is made: a signal may come at any time
    mine: list[Path] = []
    handle = None
    try:
        handle = _make(target, folder, mode, mine)
        yield mine[-1]
    finally:
        try:
            _remove(*mine)
        finally:
            # a signal may have come in the middle
            _remove(*mine)
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in TMPDIR that no other user can look into. Raises OSError."""
    place = Path(tempfile.gettempdir()) / f"cprtools-{os.getuid()}"
    with claimed(place, folder=True, mode=0o700) as folder:
        yield folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder that no other process has locked so. Raises BlockingIOError where one has."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(handle)


def clear(folder: Path, name: str) -> None:
    """Remove the parts of targets of that name, a pattern, that no living process writes to."""
    left = re.compile(name + _ENDING)
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if left.fullmatch(path.name):
                _clear_one(path)


def _clear_one(path: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
        finally:
            os.close(handle)


def _make(target: Path, folder: bool, mode: int, mine: list[Path]) -> int:
    """The open handle of the last of `mine`."""
    number = os.getpid()
    while True:
        part = target.with_name(f"{target.name}.{number}.part")
        mine[:] = [part]
        try:
            if folder:
                part.mkdir(mode)
            flags = os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL
            handle = os.open(part, flags, 0o666)
        except FileExistsError:
            # of a process of the same id in another container
            mine.clear()
            number += 1
            continue
        except FileNotFoundError:
            if not target.parent.is_dir():
                raise
            continue  # another run cleared the folder, which was not locked yet
        with contextlib.suppress(OSError):  # a file system without locks: nothing is cleared there
            fcntl.flock(handle, fcntl.LOCK_EX)
        # another run may have cleared it just before it was locked
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), part.stat()):
                return handle
        os.close(handle)


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.unlink()
