"""Pipes as inputs: standard input, named pipes, and what a shell puts in place of `<(command)`.

Parquet is read from its end, so a pipe is copied to a temporary folder first.
"""

import atexit
import contextlib
import os
import re
import select
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cprtools.errors import DataError, UsageError, reason
from cprtools.tables.leftovers import temporary_folder

STDIN = "-"
_BLOCK = 1 << 20
_DESCRIPTOR = re.compile(r"/dev/(stdin|fd/\d+)|/proc/[^/]+/fd/\d+")
# the folder of each pipe's copy, by the pipe's device and inode: it may go by several names
_spooled: dict[tuple[int, int], str] = {}


def is_pipe(name: str) -> bool:
    """Whether an input of that name can be read but once, from its start: `-` or a pipe."""
    if name == STDIN:
        return True
    try:
        return stat.S_ISFIFO(Path(name).stat().st_mode)
    except (OSError, ValueError):
        return False


def is_nameless(name: str) -> bool:
    """Whether a name says nothing of what is read there: `-`, or a descriptor of the shell's."""
    return name == STDIN or _DESCRIPTOR.fullmatch(name) is not None


def label_of(name: str) -> str:
    """An input's name for messages and footers: never an absolute path of this machine."""
    return Path(name).name if os.path.isabs(name) and not is_nameless(name) else name


def title_of(name: str) -> str:
    """How a sentence names a place."""
    return "standard input" if name == STDIN else name


def is_copy(path: str) -> bool:
    """Whether a file is what came through a pipe: its own path then says nothing."""
    return any(path.startswith(folder) for folder in _spooled.values())


def spool(name: str) -> str:
    """Copy `-` or a pipe to a temporary file; returns its path. Each is read once per process.

    Raises UsageError the second time and for a terminal, DataError where it cannot be copied.
    """
    _refuse_no_pipe(name)
    try:
        found = os.fstat(sys.stdin.fileno()) if name == STDIN else Path(name).stat()
        if (found.st_dev, found.st_ino) in _spooled:
            raise UsageError(
                "only one input can be read from standard input ('-')"
                if name == STDIN
                else f"{name}: a pipe is read once only; name it once"
            )
        held = contextlib.ExitStack()
        folder = held.enter_context(temporary_folder())
        atexit.register(held.close)
        # the name's ending tells the format
        path = str(folder / ("stdin" if name == STDIN else Path(name).name))
        with _opened(name) as incoming, open(path, "wb") as out:
            _copy(incoming, out)
    except OSError as error:
        raise DataError(
            f"{title_of(name)}: cannot be copied to the temporary folder: {reason(error)}"
        ) from error
    _spooled[found.st_dev, found.st_ino] = os.path.join(folder, "")
    return path


def _refuse_no_pipe(name: str) -> None:
    if name != STDIN:
        return
    if sys.stdin is None:
        raise DataError("standard input: closed; pipe a table into it")
    if sys.stdin.isatty():
        raise UsageError("'-' reads standard input, but that is a terminal; pipe a table into it")


@contextlib.contextmanager
def _opened(name: str) -> Iterator[int]:
    if name == STDIN:
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(name, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{name}: {reason(error)}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _copy(incoming: int, out: BinaryIO) -> None:
    """Copy a descriptor's bytes to their end; a signal ends the wait for the next ones at once.

    A signal between Python's last look for one and the start of a read is only seen after that
    read, which may be never: its byte in the pipe of `signal.set_wakeup_fd` is waited for as well.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    waiting = select.poll()
    for descriptor in (incoming, woken):
        waiting.register(descriptor, select.POLLIN)
    try:
        while True:
            ready = {descriptor for descriptor, _ in waiting.poll()}
            if woken in ready:
                # its handler runs on the way here, and raises unless it puts the signal off
                os.read(woken, _BLOCK)
            if incoming in ready:
                block = os.read(incoming, _BLOCK)
                if not block:
                    return
                out.write(block)
    finally:
        signal.set_wakeup_fd(before)
        os.close(wake)
        os.close(woken)
