"""Methods that know a query only by its product type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.baselines.contract import (
    TYPES,
    FloatArray,
    IntArray,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.options import (
    check_least,
    refuse_unknown,
    require_square,
    require_types,
)
from cprtools.baselines.rows import Rows, summed
from cprtools.baselines.sparse import group_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from cprtools.baselines.stored import Stored

DoubleArray = npt.NDArray[np.float64]


class TypeCounts(Recommender):
    """Scores a candidate by how often it was bought after products of the query's type."""

    method: ClassVar[str] = "type-counts"
    knows_by: ClassVar[str] = TYPES

    def __init__(self, counts: csr_matrix | _CountsInPlace, row_of_query: IntArray):
        self._counts = counts
        self._row_of_query = row_of_query

    @classmethod
    def fit(cls, problem: Problem, *, seed: int = 0, **options: Any) -> Self:
        """Add up the rows of each type; nothing is random.

        A query without a type gets the sum of all rows: popularity.
        Raises SchemaError for sellers and where no product has a type.
        """
        refuse_unknown(cls.method, options)
        require_square(cls.method, problem)
        require_types(cls.method, problem)
        from scipy.sparse import csr_matrix, vstack

        by_type = group_rows(problem.matrix, problem.types, problem.num_types)
        everything = csr_matrix(problem.weight_towards[np.newaxis, :])
        counts = vstack([by_type, everything], format="csr").astype(np.float32)
        return cls(counts, _classes(problem))

    def score(self, query_idx: IntArray) -> FloatArray:
        """The row of the query's type: (len(query_idx), num_candidates) float32."""
        rows = self._counts[self._row_of_query[query_idx]]
        return np.asarray(rows if isinstance(rows, np.ndarray) else rows.toarray(), np.float32)

    def tables(self) -> dict[str, pa.Table]:
        """Nothing: pairs and types are the problem's."""
        return {}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """Counted again from the stored problem."""
        return cls.fit(problem)

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Recommender:
        """Counted again for the query's type alone."""
        return cls(_CountsInPlace(problem), _classes(problem))

    def extended(self, problem: Problem) -> Self:
        """Counted again: new queries are known by their type, new candidates count 0."""
        return self.fit(problem)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return int(self._counts.shape[1])


class _CountsInPlace:
    """Rows of what products of a type lead to, the last one of all products."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self.shape = problem.num_types + 1, problem.num_candidates

    def __getitem__(self, kinds: IntArray) -> FloatArray:
        problem = self._problem
        rows = [
            problem.weight_towards if kind == problem.num_types else _of_type(problem, kind)
            for kind in kinds.tolist()
        ]
        return np.array(rows, dtype=np.float32)


class TypePopularity(Recommender):
    """Scores a candidate by P(its type | the query's type) * P(it | its type).

    Each probability spreads `smoothing` extra pseudo-counts: over the types as their overall shares
    say, over the items of a type evenly. So a type never seen as a query falls back to overall
    shares, and a product never bought still gets a little of its type. Candidates without a type
    form a class of their own.
    """

    method: ClassVar[str] = "type-popularity"
    knows_by: ClassVar[str] = TYPES
    search = (("smoothing", [0.1, 1.0, 10.0, 100.0, 1000.0]),)

    def __init__(self, problem: Problem, smoothing: float):
        # the last class holds the products without a type
        self._num_types = problem.num_types
        self._classes = _classes(problem)
        self.smoothing = smoothing
        num_classes = self._num_types + 1
        bought = problem.weight_towards
        sizes = np.bincount(self._classes, minlength=num_classes)
        totals = np.bincount(self._classes, weights=bought, minlength=num_classes)
        even = (sizes > 0) / (sizes > 0).sum()
        self._shares: DoubleArray = _smooth(totals, totals.sum(), even, smoothing)
        self._transitions = _transitions(problem, self._classes)
        size, total = sizes[self._classes], totals[self._classes]
        self._within: DoubleArray = _smooth(bought, total, 1 / size, smoothing)

    @classmethod
    def fit(
        cls, problem: Problem, *, seed: int = 0, smoothing: float = 1.0, **options: Any
    ) -> Self:
        """Count transitions and shares; nothing is random.

        Raises SchemaError for sellers and where no product has a type, UsageError for a smoothing
        that is not positive.
        """
        refuse_unknown(cls.method, options, ["smoothing"])
        check_least(cls.method, "smoothing", smoothing, 1e-9)
        require_square(cls.method, problem)
        require_types(cls.method, problem)
        return cls(problem, smoothing)

    def score(self, query_idx: IntArray) -> FloatArray:
        """P(type | type) P(item | type): (len(query_idx), num_candidates) float32."""
        classes, rows = np.unique(self._classes[query_idx], return_inverse=True)
        scores = np.empty((len(query_idx), self.num_candidates), dtype=np.float32)
        # one by one: all of them in double precision would take several times the memory
        for row, by_class in enumerate(self._class_scores(classes)):
            scores[rows == row] = by_class[self._classes] * self._within
        return scores

    def type_scores(self, query_idx: IntArray) -> FloatArray:
        """P(type | type of the query): (len(query_idx), num_types) float32."""
        scores = self._class_scores(self._classes[query_idx])
        return np.asarray(scores[:, : self._num_types], dtype=np.float32)

    def _class_scores(self, classes: IntArray) -> DoubleArray:
        counts = self._transitions(classes)
        return _smooth(counts, counts.sum(axis=1, keepdims=True), self._shares, self.smoothing)

    def tables(self) -> dict[str, pa.Table]:
        """The smoothing; pairs and types are the problem's."""
        return {"type_popularity_settings": pa.table({"smoothing": [float(self.smoothing)]})}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """Counted again from the stored problem."""
        return cls(problem, read("type_popularity_settings").column("smoothing")[0].as_py())

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Recommender:
        """Counted again for the query's type alone."""
        return cls.load(problem, stored.read)

    def extended(self, problem: Problem) -> Self:
        """Counted again: new products share in the pseudo-counts of their type."""
        return type(self)(problem, self.smoothing)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._classes)


def _classes(problem: Problem) -> IntArray:
    """(num_candidates,) type of each product; the last one has those without."""
    return np.where(problem.types >= 0, problem.types, problem.num_types)


def _transitions(problem: Problem, classes: IntArray) -> Callable[[IntArray], DoubleArray]:
    """What gives the pairs' weights from each of some types to every class, float64.

    Queries without a type say nothing about any other: theirs are 0.
    """
    num_classes = problem.num_types + 1
    if isinstance(problem.matrix, Rows):

        def in_place(asked: IntArray) -> DoubleArray:
            rows = [_of_type(problem, kind) for kind in asked.tolist()]
            return np.array([np.bincount(classes, row, num_classes) for row in rows])

        return in_place
    from scipy.sparse import csr_matrix

    entries = np.ones(len(classes)), (np.arange(len(classes)), classes)
    members = csr_matrix(entries, shape=(len(classes), num_classes))
    counts = group_rows(problem.matrix, problem.types, num_classes) @ members
    return lambda asked: np.asarray(counts[asked].toarray(), dtype=np.float64)


def _of_type(problem: Problem, kind: int) -> DoubleArray:
    """(num_candidates,) float64 weight of the pairs from products of the type; 0 without one."""
    return summed(problem.matrix, np.flatnonzero(problem.types == kind))


def _smooth(
    counts: npt.NDArray[Any], total: npt.NDArray[Any], prior: npt.NDArray[Any], smoothing: float
) -> DoubleArray:
    return np.asarray((counts + smoothing * prior) / (total + smoothing), dtype=np.float64)
