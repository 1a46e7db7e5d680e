"""Text-knn: candidates whose vectors are near those of the query."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import (
    VECTORS,
    FloatArray,
    IntArray,
    NotInPlace,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.dense import stable_product
from cprtools.baselines.options import check_least, refuse_unknown
from cprtools.baselines.rows import owners
from cprtools.errors import SchemaError
from cprtools.tables import columns as c

if TYPE_CHECKING:
    from cprtools.baselines.rows import Sparse
    from cprtools.baselines.stored import Stored

_BLOCK = 512


class TextKnn(Recommender):
    """Scores a candidate by cosine to the query product, or to the nearest a seller lists.

    Sellers: the sum of the `nearest` highest cosines between the candidate and the products the
    seller lists (fewer where it lists fewer with a vector). The nearest few say more than the mean
    of all, since a seller's range has several themes.
    """

    method: ClassVar[str] = "text-knn"
    knows_by: ClassVar[str] = VECTORS

    def __init__(self, vectors: FloatArray, matrix: Sparse | None, nearest: int):
        self._vectors = vectors
        self._candidates = vectors
        self._matrix = matrix
        self.nearest = nearest

    @classmethod
    def fit(cls, problem: Problem, *, seed: int = 0, nearest: int = 3, **options: Any) -> Self:
        """Take the vectors; nothing is learned or random.

        Raises SchemaError without vectors, UsageError for `nearest` below 1.
        """
        refuse_unknown(cls.method, options, ["nearest"])
        check_least(cls.method, "nearest", nearest, 1)
        if problem.vectors is None:
            raise SchemaError("text-knn needs --vectors, such as cprtools embed-text writes")
        vectors = np.ascontiguousarray(problem.vectors, dtype=np.float32)
        if problem.is_square:
            return cls(vectors, None, nearest)
        return cls(vectors, problem.matrix, nearest)

    def score(self, query_idx: IntArray) -> FloatArray:
        """Cosine, or sum of the highest cosines: (len(query_idx), num_candidates) float32."""
        if self._matrix is None:
            return stable_product(self._vectors[query_idx], self._candidates)
        listed = self._matrix[query_idx]
        longest = int(np.diff(listed.indptr).max(initial=0))
        depth = min(self.nearest, max(longest, 1))
        best = np.full((len(query_idx), depth, self.num_candidates), -np.inf, np.float32)
        order = np.argsort(listed.indices, kind="stable")
        queries = owners(listed)[order]
        items, starts = np.unique(listed.indices[order], return_index=True)
        ends = np.append(starts, len(queries))[1:]
        # a product without a vector is no evidence, and must not stand in for a negative cosine
        known = np.flatnonzero(self._vectors[items].any(axis=1))
        for start in range(0, len(known), _BLOCK):
            block = known[start : start + _BLOCK]
            cosines = stable_product(self._vectors[items[block]], self._candidates)
            for item, row in zip(block, cosines, strict=True):
                for query in queries[starts[item] : ends[item]]:
                    _insert(best[query], row)
        best[best == -np.inf] = 0
        return np.asarray(best.sum(axis=1, dtype=np.float32))

    def factors(self) -> tuple[FloatArray, FloatArray] | None:
        """The vectors themselves for products; a seller's nearest three are no dot product."""
        return None if self._matrix is not None else (self._vectors, self._vectors)

    def tables(self) -> dict[str, pa.Table]:
        """The number of nearest products; vectors and listings are the problem's."""
        return {"text_knn_settings": pa.table({"nearest": [int(self.nearest)]})}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The same over the problem's vectors."""
        return cls.fit(problem, nearest=_read_nearest(read))

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Recommender:
        """The vectors of the pool, and in place those of all that is listed."""
        if problem.vectors is None:
            raise NotInPlace(cls.method)
        nearest = _read_nearest(stored.read)
        model = cls(problem.vectors, None if problem.is_square else problem.matrix, nearest)
        model._candidates = stored.pooled("text_vectors", c.VECTOR)
        return model

    def restricted(self, pool: IntArray) -> Self:
        """The vectors of the pool alone, against those of all that is listed."""
        narrow = copy(self)
        narrow._candidates = self._vectors[pool]
        return narrow

    def extended(self, problem: Problem) -> Self:
        """The same over all vectors."""
        return self.fit(problem, nearest=self.nearest)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._candidates)


def _read_nearest(read: ReadTable) -> int:
    nearest = read("text_knn_settings").column("nearest")[0].as_py()
    if type(nearest) is not int or nearest < 1:
        raise SchemaError(f"text_knn_settings: nearest must be 1 or more, found {nearest!r}")
    return nearest


def _insert(best: FloatArray, row: FloatArray) -> None:
    # best: (nearest, candidates), falling; the new row sinks to its place and the least falls out
    for level in best[:-1]:
        smaller = np.minimum(level, row)
        np.maximum(level, row, out=level)
        row = smaller
    np.maximum(best[-1], row, out=best[-1])
