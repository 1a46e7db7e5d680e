"""Memory that a step of training, or a block of answers, leaves to the next one."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# numbers of mallopt in glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 28
"""Blocks of up to so many bytes stay; larger ones, such as states of all nodes, do not."""
_USUAL = 1 << 25
"""What glibc goes up to by itself, and before 2.35 takes at most."""


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Inside, what is freed stays with the process for whoever asks next.

    glibc gives large blocks back and gets them anew each time, at a page fault for every 4 KB: a
    tenth of a step's time. With another C library nothing changes.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    mallopt = getattr(libc, "mallopt", None)
    if libc is None or mallopt is None:
        yield
        return
    if not mallopt(_MMAP_THRESHOLD, _KEPT):
        mallopt(_MMAP_THRESHOLD, _USUAL)
    mallopt(_TRIM_THRESHOLD, 4 * _KEPT)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, _USUAL)
        mallopt(_TRIM_THRESHOLD, 2 * _USUAL)
        libc.malloc_trim(0)
