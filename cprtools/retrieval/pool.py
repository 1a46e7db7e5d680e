"""The candidates that may be returned at all: what retrieval works on in place of a catalogue."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pool:
    """Some candidates of a catalogue, numbered anew; `members` has their numbers there.

    A marketplace lists millions of products and recommends some: scores of the others are never
    asked for.
    """

    members: IntArray
    """(pool,) int64 candidate indices, ascending."""
    size: int
    """Candidates of the catalogue."""

    @classmethod
    def all_of(cls, size: int) -> Self:
        """Every candidate."""
        return cls(np.arange(size, dtype=np.int64), size)

    @classmethod
    def where(cls, mask: BoolArray) -> Self:
        """The candidates of the mask, (candidates,) bool."""
        return cls(np.flatnonzero(mask).astype(np.int64), len(mask))

    @property
    def is_whole(self) -> bool:
        """Whether it has every candidate, under its own number."""
        return len(self.members) == self.size

    def places(self, candidates: IntArray) -> IntArray:
        """Numbers in the pool of these candidates, int64 of their shape, -1 outside."""
        # by search: a table of the catalogue takes longer to make than one answer may
        if self.is_whole or not len(self.members):
            return np.where(self.is_whole, candidates, -1).astype(np.int64)
        at = np.minimum(np.searchsorted(self.members, candidates), len(self.members) - 1)
        return np.where(self.members[at] == candidates, at, -1)

    def forbid(self, allowed: BoolArray, matrix: "csr_matrix | None", query_idx: IntArray) -> None:
        """Switch the matrix's entries of these queries off, in place.

        allowed: (len(query_idx), pool) bool; matrix: (queries, candidates), None: nothing.
        """
        if matrix is None:
            return
        rows = matrix[query_idx]
        at = self.places(rows.indices)
        row = np.repeat(np.arange(len(query_idx)), np.diff(rows.indptr))
        allowed[row[at >= 0], at[at >= 0]] = False
