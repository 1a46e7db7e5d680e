"""What methods share that give every query and every candidate a vector."""

from copy import copy
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from cprtools.baselines.contract import FloatArray, IntArray, Problem, ReadTable, Recommender
from cprtools.baselines.dense import stable_product
from cprtools.baselines.extension import append_rows
from cprtools.errors import SchemaError
from cprtools.tables import to_matrix, vector_array

if TYPE_CHECKING:
    from cprtools.baselines.stored import Stored

_FACTOR = "factor"


class FactorModel(Recommender):
    """Scores by the product of a query's and a candidate's vector.

    queries: (num_queries, dim), candidates: (num_candidates, dim), both float32.
    """

    def __init__(self, queries: FloatArray, candidates: FloatArray):
        self._queries = queries
        self._candidates = candidates

    def score(self, query_idx: IntArray) -> FloatArray:
        """Dot products of the vectors: (len(query_idx), num_candidates) float32."""
        return stable_product(self._queries[query_idx], self._candidates)

    def factors(self) -> tuple[FloatArray, FloatArray]:
        """The vectors themselves."""
        return self._queries, self._candidates

    def tables(self) -> dict[str, pa.Table]:
        """Vectors of queries and of candidates, one row each."""
        sides = zip(self._members(), self.factors(), strict=True)
        return {name: pa.table({_FACTOR: vector_array(side)}) for name, side in sides}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored vectors. Raises SchemaError where they are not of the problem's shape."""
        return cls(*cls._stored(problem, read))

    @classmethod
    def candidate_members(cls) -> tuple[str, ...]:
        """The candidates' vectors."""
        return (cls._members()[1],)

    @classmethod
    def opened(cls, problem: Problem, stored: "Stored") -> Recommender:
        """The vectors of the pool, and of the queries in place."""
        queries, candidates = cls._homes()
        sides = stored.numbers(*queries), stored.pooled(*candidates)
        shapes = [side.shape for side in sides]
        width = shapes[0][1]
        if shapes != [(problem.num_queries, width), (len(stored.pool), width)]:
            raise SchemaError(f"{queries[0]}: does not fit the rest of the model")
        model = cls.__new__(cls)
        FactorModel.__init__(model, *sides)
        return model

    @classmethod
    def _stored(cls, problem: Problem, read: ReadTable) -> tuple[FloatArray, FloatArray]:
        members = cls._members()
        queries, candidates = (to_matrix(read(name).column(_FACTOR), name) for name in members)
        shape = len(queries), len(candidates)
        if shape != problem.matrix.shape or queries.shape[1] != candidates.shape[1]:
            raise SchemaError(f"{members[0]}: factors of {shape} rows; need {problem.matrix.shape}")
        return queries, candidates

    @classmethod
    def _members(cls) -> tuple[str, str]:
        return f"{cls.method}_queries", f"{cls.method}_candidates"

    @classmethod
    def _homes(cls) -> tuple[tuple[str, str], tuple[str, str]]:
        """Member and column of the queries' and of the candidates' vectors."""
        queries, candidates = cls._members()
        return (queries, _FACTOR), (candidates, _FACTOR)

    def extended(self, problem: Problem) -> Self:
        """Products without pairs have no factors: they score 0."""
        more = problem.num_candidates - self.num_candidates
        queries = append_rows(self._queries, more if problem.is_square else 0)
        return self._with(queries, append_rows(self._candidates, more))

    def restricted(self, pool: IntArray) -> Self:
        """The vectors of the pool alone."""
        narrow = copy(self)
        narrow._candidates = self._candidates[pool]
        return narrow

    def _with(self, queries: FloatArray, candidates: FloatArray) -> Self:
        return type(self)(queries, candidates)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._candidates)
