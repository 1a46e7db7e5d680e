"""What was bought with the query itself, or led to it, by count, lift or confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.baselines.contract import (
    FloatArray,
    IntArray,
    NotInPlace,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.options import check_choice, refuse_unknown, require_square
from cprtools.baselines.rows import Rows, owners
from cprtools.baselines.sparse import canonical, column_sums, row_sums, widen

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from cprtools.baselines.rows import Sparse
    from cprtools.baselines.stored import Stored

DoubleArray = npt.NDArray[np.float64]
VARIANTS = ("count", "lift", "confidence")


class CoPurchase(Recommender):
    """Scores a candidate by its own pair with the query; pairs never seen score 0."""

    method: ClassVar[str] = "co-purchase"

    def __init__(self, scores: Sparse, variant: str):
        self._scores = scores
        self.variant = variant

    @classmethod
    def fit(
        cls, problem: Problem, *, seed: int = 0, variant: str = "count", **options: Any
    ) -> Self:
        """Weigh the pairs; nothing is random.

        variant: `count` w(q,c); `lift` w(q,c) W / (w(q,.) w(.,c)); `confidence` w(q,c) / w(q,.).
        Raises SchemaError for sellers, UsageError for another variant.
        """
        refuse_unknown(cls.method, options, ["variant"])
        check_choice(cls.method, "variant", variant, VARIANTS)
        require_square(cls.method, problem)
        return cls(cls._pairs(problem.matrix, variant), variant)

    @classmethod
    def _pairs(cls, matrix: csr_matrix, variant: str) -> csr_matrix:
        """The score of every known pair: (num_queries, num_candidates) float32."""
        return _weigh(matrix, variant)

    def score(self, query_idx: IntArray) -> FloatArray:
        """The query's row of the matrix: (len(query_idx), num_candidates) float32."""
        return np.asarray(self._scores[query_idx].toarray(), dtype=np.float32)

    def tables(self) -> dict[str, pa.Table]:
        """The variant; the pairs are the problem's."""
        return {_member(self.method): pa.table({"variant": [self.variant]})}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored variant over the problem's pairs."""
        return cls.fit(problem, variant=read(_member(cls.method)).column("variant")[0].as_py())

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Recommender:
        """The query's pairs, weighed when they are asked for."""
        variant = stored.read(_member(cls.method)).column("variant")[0].as_py()
        check_choice(cls.method, "variant", variant, VARIANTS)
        return cls(cls._rows(problem, variant), variant)

    @classmethod
    def _rows(cls, problem: Problem, variant: str) -> Rows:
        return _Weighed(problem.matrix, problem, variant)

    def extended(self, problem: Problem) -> Self:
        """Products without pairs score 0."""
        return type(self)(widen(self._scores, problem.matrix.shape), self.variant)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return int(self._scores.shape[1])


class Reverse(CoPurchase):
    """Scores a candidate by the pair that leads from it to the query.

    `count` w(c,q); `lift` w(c,q) W / (w(c,.) w(.,q)); `confidence` w(c,q) / w(c,.). What was bought
    before the query often follows it too, and it is all there is for a query with no pairs of its
    own.
    """

    method: ClassVar[str] = "reverse"

    @classmethod
    def _pairs(cls, matrix: csr_matrix, variant: str) -> csr_matrix:
        return canonical(_weigh(matrix, variant).T.tocsr())

    @classmethod
    def _rows(cls, problem: Problem, variant: str) -> Rows:
        if problem.backward is None:
            raise NotInPlace(cls.method)
        return _Weighed(problem.backward, problem, variant, backward=True)


class _Weighed(Rows):
    """The scores of known pairs, or backward of their reverse: computed for the rows asked for."""

    def __init__(self, rows: Rows, problem: Problem, variant: str, *, backward: bool = False):
        super().__init__(rows.indptr, rows.indices, rows.data, rows.shape)
        self._problem, self._variant, self._backward = problem, variant, backward

    def __getitem__(self, rows: IntArray) -> Rows:
        found = super().__getitem__(rows)
        if self._variant == "count":
            return found
        own = rows[owners(found)]
        source, target = (found.indices, own) if self._backward else (own, found.indices)
        weights = _inverse(self._problem.weight_given[source]) * found.data.astype(np.float64)
        if self._variant == "lift":
            towards = self._problem.weight_towards
            weights = weights * (_inverse(towards[target]) * towards.sum())
        found.data = weights.astype(np.float32)
        return found


def _member(method: str) -> str:
    return f"{method.replace('-', '_')}_settings"


def _weigh(matrix: csr_matrix, variant: str) -> csr_matrix:
    from scipy.sparse import diags

    known = canonical(matrix).astype(np.float64)
    if variant == "count":
        return known.astype(np.float32)
    scaled = diags(_inverse(row_sums(known))) @ known
    if variant == "lift":
        scaled = scaled @ diags(_inverse(column_sums(known)) * known.sum())
    return scaled.tocsr().astype(np.float32)


def _inverse(sums: DoubleArray) -> DoubleArray:
    return np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
