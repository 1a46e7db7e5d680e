"""Integers that wait on disk, divided into runs by size, until one run after the other is read."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from cprtools.tables.writing import no_room

Ints = npt.NDArray[np.int64]


class Runs:
    """One file for each range of values; several threads may append.

    firsts: the smallest value of each run, sorted; the first run takes all below the second's.
    """

    def __init__(self, folder: Path, firsts: Ints) -> None:
        self._folder = folder
        self._firsts = firsts
        self._lengths = np.zeros(len(firsts), np.int64)
        self._lock = Lock()
        folder.mkdir(parents=True)

    def append(self, values: Ints) -> None:
        """Add sorted values, each to its run. Raises DataError for a full disk."""
        cuts = np.searchsorted(values, self._firsts)
        cuts[0] = 0
        ends = np.append(cuts[1:], len(values))
        try:
            with self._lock:
                for number in np.flatnonzero(ends > cuts):
                    with open(self._path(int(number)), "ab") as out:
                        out.write(values[cuts[number] : ends[number]].data.cast("B"))
                self._lengths += ends - cuts
        except OSError as error:
            raise no_room(error) from error

    def groups(self, most: int) -> list[list[int]]:
        """Runs that follow each other, taken together up to `most` values or one run at least."""
        groups: list[list[int]] = []
        filled = most
        for number in np.flatnonzero(self._lengths).tolist():
            length = int(self._lengths[number])
            if filled + length > most:
                groups.append([])
                filled = 0
            groups[-1].append(number)
            filled += length
        return groups

    def take(self, numbers: Sequence[int]) -> Ints:
        """The values of these runs; their files are gone afterwards."""
        values = np.empty(int(self._lengths[list(numbers)].sum()), np.int64)
        start = 0
        for number in numbers:
            end = start + int(self._lengths[number])
            with open(self._path(number), "rb") as file:
                file.readinto(values[start:end].data.cast("B"))
            self._path(number).unlink()
            start = end
        return values

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.run"
