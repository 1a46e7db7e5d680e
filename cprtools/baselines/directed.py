"""What methods share that give every product a vector as query and another as candidate."""

from typing import Self

import pyarrow as pa

from cprtools.baselines.contract import FloatArray, IntArray, Problem, ReadTable, Recommender
from cprtools.baselines.dense import stable_product
from cprtools.errors import SchemaError
from cprtools.tables import to_matrix, vector_array

_SOURCE, _TARGET = "source", "target"


class DirectedVectors(Recommender):
    """Scores by the product of the query's source vector and the candidate's target vector."""

    def __init__(self, source: FloatArray, target: FloatArray):
        self._source = source
        self._target = target

    def score(self, query_idx: IntArray) -> FloatArray:
        """Dot products of source and target: (len(query_idx), num_candidates) float32."""
        return stable_product(self._source[query_idx], self._target)

    def factors(self) -> tuple[FloatArray, FloatArray]:
        """The two tables themselves."""
        return self._source, self._target

    def tables(self) -> dict[str, pa.Table]:
        """Source and target vector of every product."""
        columns = {_SOURCE: vector_array(self._source), _TARGET: vector_array(self._target)}
        return {self._member(): pa.table(columns)}

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored vectors. Raises SchemaError where they are not of the problem's products."""
        return cls(*cls._stored(problem, read))

    @classmethod
    def _stored(cls, problem: Problem, read: ReadTable) -> tuple[FloatArray, FloatArray]:
        name = cls._member()
        table = read(name)
        source, target = (to_matrix(table.column(side), name) for side in (_SOURCE, _TARGET))
        if len(source) != problem.num_candidates or source.shape != target.shape:
            raise SchemaError(
                f"{name}: vectors of {len(source)} products; need {problem.num_candidates}"
            )
        return source, target

    @classmethod
    def _member(cls) -> str:
        return f"{cls.method.replace('-', '_')}_vectors"

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._target)
