"""A store of vectors by the digest of what they stand for, in files that are only ever added."""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import DataError, reason
from cprtools.tables.leftovers import clear
from cprtools.tables.light import pc
from cprtools.tables.writing import replacing

FloatMatrix = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
DIGEST_BYTES = 16
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_FLOAT_BYTES = 4


def text_digests(texts: Iterable[str]) -> pa.Array:
    """A digest of 16 bytes for each text."""
    made = [hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest() for text in texts]
    return pa.array(made, pa.binary(DIGEST_BYTES))


@dataclass(frozen=True)
class _Part:
    path: Path
    rows: int
    start: int
    """The byte at which its vectors begin."""


class VectorStore:
    """Vectors of one model in a folder; a folder may hold those of several.

    Each file holds digests and then their vectors, as two arrays of NumPy's own format, and appears
    whole or not at all; what cannot be read is passed over.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Raises DataError where the folder cannot be made or read."""
        self._folder = folder
        self._key = key
        self._parts: list[_Part] = []
        self._digests: list[pa.Array] = []
        self.dim: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            clear(folder, re.escape(key) + r"-[0-9a-f]+\.vectors")
            paths = sorted(folder.glob(f"{key}-*.vectors"))
        except OSError as error:
            raise DataError(f"{folder}: {reason(error)}") from error
        self.damaged = sum(not self._open(path) for path in paths)

    def rows(self, digests: pa.Array) -> IntArray:
        """The row of each digest, -1 where the store has none."""
        known = pa.concat_arrays(self._digests) if self._digests else digests.slice(0, 0)
        found: IntArray = pc.index_in(digests, known).fill_null(-1).to_numpy().astype(np.int64)
        return found

    def append(self, digests: pa.Array, vectors: FloatMatrix) -> None:
        """Add one file. Raises DataError where it cannot be written, a full disk included."""
        raw = np.frombuffer(b"".join(digests.to_pylist()), np.uint8).reshape(-1, DIGEST_BYTES)
        # two runs that share the folder never write the same name for different rows
        name = hashlib.blake2b(raw.tobytes(), digest_size=8).hexdigest()
        path = self._folder / f"{self._key}-{name}.vectors"
        with replacing(str(path)) as out:
            for array in (raw, np.ascontiguousarray(vectors, dtype=np.float32)):
                np.lib.format.write_array(out, array, allow_pickle=False)
        if not self._open(path):
            raise DataError(f"{self._folder}: what was just written cannot be read back")

    def vectors(self, rows: IntArray) -> FloatMatrix:
        """The vectors of these rows, (len(rows), dim) float32.

        Read and not mapped: pages of a mapped file count as memory of this process. Raises
        DataError for a file that is gone, or numbers that are no vectors of length 1 or 0.
        """
        ends = np.cumsum([part.rows for part in self._parts])
        width = (self.dim or 0) * _FLOAT_BYTES
        made = np.empty((len(rows), self.dim or 0), np.float32)
        order = np.argsort(rows, kind="stable")
        owner = np.searchsorted(ends, rows[order], side="right")
        for number in np.unique(owner).tolist():
            part, places = self._parts[number], order[owner == number]
            first = int(ends[number]) - part.rows
            try:
                with open(part.path, "rb", buffering=0) as file:
                    for place in places.tolist():
                        at = part.start + (int(rows[place]) - first) * width
                        made[place] = np.frombuffer(os.pread(file.fileno(), width, at), np.float32)
            except (OSError, ValueError) as error:
                raise DataError(f"{self._folder}: {part.path.name} changed while in use") from error
        lengths = np.linalg.norm(made.astype(np.float64), axis=1)
        # NaN is neither
        if not ((np.abs(lengths - 1) < 1e-3) | (lengths == 0)).all():
            raise DataError(f"{self._folder}: holds damaged vectors; remove the folder")
        return made

    def _open(self, path: Path) -> bool:
        """Take a file in; False where it is no whole file of this kind."""
        try:
            with open(path, "rb") as file:
                raw = np.lib.format.read_array(file, allow_pickle=False)
                header = _HEADER_READERS[np.lib.format.read_magic(file)]
                shape, is_fortran, kind = header(file)
                part = _Part(path, len(raw), file.tell())
                size = os.fstat(file.fileno()).st_size
            is_whole = (
                raw.dtype == np.uint8
                and raw.shape[1:] == (DIGEST_BYTES,)
                and (kind, is_fortran, len(shape)) == (np.dtype(np.float32), False, 2)
                and shape[0] == len(raw)
                and shape[1] == (self.dim or shape[1])
                and size == part.start + shape[0] * shape[1] * _FLOAT_BYTES
            )
        except (OSError, ValueError, KeyError, EOFError, MemoryError):
            return False
        if is_whole:
            self.dim = int(shape[1])
            self._parts.append(part)
            flat = pa.py_buffer(np.ascontiguousarray(raw))
            kind_of_digest = pa.binary(DIGEST_BYTES)
            self._digests.append(
                pa.FixedSizeBinaryArray.from_buffers(kind_of_digest, len(raw), [None, flat])
            )
        return is_whole
