"""What methods share that give every product a vector as query and another as candidate."""

import pyarrow as pa

from cprtools.baselines.contract import FloatArray, Problem, ReadTable
from cprtools.baselines.factors import FactorModel
from cprtools.errors import SchemaError
from cprtools.tables import to_matrix, vector_array

_SOURCE, _TARGET = "source", "target"


class DirectedVectors(FactorModel):
    """Scores by the product of the query's source vector and the candidate's target vector."""

    def tables(self) -> dict[str, pa.Table]:
        """Source and target vector of every product."""
        columns = {_SOURCE: vector_array(self._queries), _TARGET: vector_array(self._candidates)}
        return {self._member(): pa.table(columns)}

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
    def _homes(cls) -> tuple[tuple[str, str], tuple[str, str]]:
        return (cls._member(), _SOURCE), (cls._member(), _TARGET)

    @classmethod
    def _member(cls) -> str:
        return f"{cls.method.replace('-', '_')}_vectors"
