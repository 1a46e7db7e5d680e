"""Evidence about a few queries of a model of complements that is read in place.

The columns of `Evidence`, in the same bits: what that computes for all products at once is computed
here from the rows that a query needs. Counts are whole numbers: their sums are exact in any order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import FloatArray, IntArray, NotInPlace
from cprtools.baselines.rows import Rows, counted, product
from cprtools.baselines.sparse import largest
from cprtools.ranking.evidence import NEIGHBOURS, Evidence, log_lift, normalise_rows
from cprtools.ranking.groups import group_share, group_size, kinds_of_groups


class EvidenceInPlace(Evidence):
    """Evidence where the problem's matrices are `Rows`."""

    def _alike(self, query_idx: IntArray) -> dict[str, tuple[FloatArray, FloatArray]]:
        found = {}
        for name, columns in kinds_of_groups(self.problem).items():
            groups = [self._group(columns, query) for query in query_idx.tolist()]
            shares, sizes = zip(*groups, strict=True)
            found[name] = np.array(shares), np.array(sizes)
        return found

    def _group(self, columns: list[IntArray], query: int) -> tuple[FloatArray, np.float32]:
        own = [codes[query] for codes in columns]
        same = [(codes == code) & (code >= 0) for codes, code in zip(columns, own, strict=True)]
        members = np.flatnonzero(np.logical_and.reduce(same))
        starts = self.problem.matrix.indptr
        with_pairs = np.count_nonzero(starts[members + 1] - starts[members])
        queries = np.array([with_pairs], dtype=np.float32)
        leads = counted(self.problem.matrix, members).astype(np.float32)
        return group_share(queries) * leads, group_size(queries)[0]

    def _type_lift(self, source: IntArray, target: IntArray) -> npt.NDArray[np.float64]:
        problem, overall = self.problem, self.problem.margins.type_pairs
        if overall is None:
            raise NotInPlace("type_sums")
        known = problem.types >= 0
        result = np.zeros(len(source))
        for kind in set(source[source >= 0].tolist()):
            leads = counted(problem.matrix, np.flatnonzero(problem.types == kind))
            counts = np.zeros(problem.num_types)
            np.add.at(counts, problem.types[known], leads[known])
            pairs = np.flatnonzero((source == kind) & (target >= 0))
            to = target[pairs]
            result[pairs] = log_lift(counts[to], np.full(len(to), counts.sum()), overall, to)
        return result

    def _through(self, name: str, query_idx: IntArray) -> FloatArray | None:
        problem = self.problem
        if name == "similar_queries":
            found = self._similar_queries(query_idx)
        elif name == "siblings":
            before = self._backward[query_idx]
            before.data = np.ones_like(before.data)
            found = normalise_rows(before)
        elif problem.co_views is None or not problem.co_views.nnz:
            return None
        else:
            found = normalise_rows(problem.co_views[query_idx])
        return product(found, problem.matrix)

    def _similar_queries(self, query_idx: IntArray) -> Rows:
        parts = [self._similar(query) for query in query_idx.tolist()]
        indices, data = (np.concatenate(side) for side in zip(*parts, strict=True))
        starts = np.cumsum([0, *(len(others) for others, _ in parts)])
        return Rows(starts, indices, data, (len(parts), self.problem.num_queries))

    def _similar(self, query: int) -> tuple[IntArray, FloatArray]:
        wide = self.problem.wide
        own = wide[np.array([query])].indices
        shared = counted(self._backward, own)
        others = np.flatnonzero(shared)
        norms = np.sqrt((wide.indptr[others + 1] - wide.indptr[others]).astype(np.float64))
        cosines = shared[others] / (np.sqrt(float(len(own))) * norms)
        cosines[others == query] = 0
        kept = largest(cosines, NEIGHBOURS)
        return others[kept], cosines[kept].astype(np.float32)

    @property
    def _backward(self) -> Rows:
        if self.problem.backward is None:
            raise NotInPlace("backward")
        return self.problem.backward
