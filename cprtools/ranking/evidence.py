"""Evidence about (query, candidate) pairs: the columns that the ranker weighs.

Everything here is computed for a block of queries at once, from the dense scores of the sources
(queries x candidates) and sparse products of what is known, then read off at the candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import Problem, Recommender
from cprtools.baselines.rows import Rows, dots, entries_at, owners, product
from cprtools.baselines.sparse import ColumnNeighbours
from cprtools.ranking.listed import ListedEvidence, source_columns
from cprtools.retrieval import Pool

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from cprtools.baselines.rows import Sparse
    from cprtools.ranking.groups import Groups

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

EXPECTED = "expected"
"""The column that a ranker of pairs that may be bought again starts from."""
POPULARITY = "popularity_queries"
"""Log of 1 + the number of queries that the candidate is known from."""
# what a known pair of the other direction says
REVERSE = ("reverse", "reverse_confidence")

_PRIOR = "type-popularity"
# purchases that the query's type counts for, beside the pair's own
_PSEUDO_COUNTS = 300
_LEAST_EXPECTED = 1e-3
# purchases of late count for so many more in the first guess
_RECENT_WEIGHT = 2
# similar queries that lend their complements
NEIGHBOURS = 100


@dataclass(frozen=True)
class Pairs:
    """Candidates of a block of queries, flat: pair p is (query_idx[rows[p]], cols[p])."""

    query_idx: IntArray
    rows: IntArray
    cols: IntArray
    features: FloatArray
    """(pairs, features) float32, no NaN."""


@dataclass
class Evidence:
    """Computes the features of pairs; `names` and `monotone` describe their columns."""

    problem: Problem
    sources: Mapping[str, Recommender]
    pool: Pool
    _cache: dict[str, csr_matrix] = field(default_factory=dict)

    def features(
        self, query_idx: IntArray, rows: IntArray, cols: IntArray, scores: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Named columns, each (pairs,) float32.

        scores: dense scores of each source, (len(query_idx), pool).
        """
        columns: dict[str, Any] = {}
        places = self.pool.places(cols)
        for name, dense in scores.items():
            columns.update(source_columns(name, dense, rows, places))
        for name, values in self._popularity(query_idx, rows, cols).items():
            # the method of that name is judged by its own scores
            columns.setdefault(name, values)
        if self.problem.is_square:
            columns.update(self._pair_columns(query_idx, rows, cols))
            prior = scores[_PRIOR][rows, cols] if _PRIOR in scores else None
            columns.update(self._recent(query_idx[rows], cols, columns["bought"]))
            columns[EXPECTED] = self._expected(columns, prior, cols)
        else:
            columns.update(self._listed.features(query_idx, rows, cols))
        return {name: _clean(values) for name, values in columns.items()}

    def _popularity(self, query_idx: IntArray, rows: IntArray, cols: IntArray) -> dict[str, Any]:
        margins = self.problem.margins
        degree = _log(np.diff(self.problem.matrix[query_idx].indptr))
        return {
            "popularity": _log(margins.weight[cols]),
            POPULARITY: _log(margins.number[cols]),
            "query_degree": degree[rows],
        }

    def _pair_columns(self, query_idx: IntArray, rows: IntArray, cols: IntArray) -> dict[str, Any]:
        problem = self.problem
        queries = query_idx[rows]
        columns: dict[str, Any] = {}
        for name, codes in self._attributes().items():
            same = (codes[queries] == codes[cols]) & (codes[cols] >= 0)
            columns[f"same_{name}"] = same.astype(np.float32)
        columns["type_transition"] = self._type_transition(queries, cols)
        columns.update(self._known(queries, cols))
        for name, (shares, sizes) in self._alike(query_idx).items():
            columns.update(source_columns(name, shares, rows, cols))
            columns[f"{name}_size"] = sizes[rows]
        for name in ("similar_queries", "siblings", "co_viewed"):
            dense = self._through(name, query_idx)
            if dense is not None:
                columns.update(source_columns(name, dense, rows, cols))
        if problem.prices is not None:
            columns["price_ratio"] = np.log(problem.prices[cols] / problem.prices[queries])
        if problem.words is not None:
            columns["words"] = dots(problem.words, queries, cols)
        if problem.vectors is not None:
            columns["text"] = np.einsum("pd,pd->p", problem.vectors[queries], problem.vectors[cols])
        return columns

    def _known(self, queries: IntArray, cols: IntArray) -> dict[str, Any]:
        """Counts of the pair itself and of its reverse, where those are known."""
        bought = entries_at(self.problem.matrix, queries, cols)
        back = entries_at(self.problem.towards, queries, cols)
        totals = self.problem.weight_given.astype(np.float32)
        return {
            "bought": np.log1p(bought),
            "confidence": bought / np.maximum(totals[queries], 1),
            "reverse": np.log1p(back),
            "reverse_confidence": back / np.maximum(totals[cols], 1),
        }

    def _recent(self, queries: IntArray, cols: IntArray, bought: FloatArray) -> dict[str, Any]:
        """What was bought of late, where that is known: of the pair, and of the candidate."""
        problem = self.problem
        if problem.recent is None:
            return {}
        recent = entries_at(problem.recent, queries, cols)
        return {
            "recent": np.log1p(recent),
            "recent_share": recent / np.maximum(np.expm1(bought), 1),
            "trend": self._trend[cols],
        }

    @cached_property
    def _trend(self) -> DoubleArray:
        """Log of how each candidate sells of late against how it sold, all of them being 0."""
        recent, weight = self.problem.recent_towards, self.problem.weight_towards
        overall = recent.sum() / max(weight.sum(), 1)
        trend: DoubleArray = np.log((recent + 1) / (weight + 1) / max(overall, 1e-9))
        return trend

    def _expected(
        self, columns: Mapping[str, Any], prior: FloatArray | None, cols: IntArray
    ) -> FloatArray:
        """Log of the pair's count, smoothed by P(candidate | the query's type) or popularity."""
        weight = self._weight
        share = weight[cols] / max(float(weight.sum()), 1.0) if prior is None else prior
        count = np.expm1(columns["bought"])
        if "recent" in columns:
            count = count + _RECENT_WEIGHT * np.expm1(columns["recent"])
        expected: FloatArray = np.log(count + _PSEUDO_COUNTS * share + _LEAST_EXPECTED)
        return expected

    @cached_property
    def _weight(self) -> FloatArray:
        """Weight of the pairs towards each candidate."""
        return np.asarray(np.expm1(_log(self.problem.margins.weight)))

    @cached_property
    def _listed(self) -> ListedEvidence:
        return ListedEvidence(self.problem, self._attributes(), self.pool)

    def _alike(self, query_idx: IntArray) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Of each kind of group the shares, (len(query_idx), n), and the sizes of the queries'."""
        groups = self._groups.items()
        return {name: (kind.scores(query_idx), kind.sizes[query_idx]) for name, kind in groups}

    @cached_property
    def _groups(self) -> dict[str, Groups]:
        from cprtools.ranking.groups import build_groups

        return build_groups(self.problem)

    def _attributes(self) -> dict[str, IntArray]:
        return {"type": self.problem.types, **self.problem.attributes}

    def _type_transition(self, queries: IntArray, cols: IntArray) -> FloatArray:
        """Smoothed log P(candidate's type | query's type) over P(candidate's type)."""
        types = self.problem.types
        return self._type_lift(types[queries], types[cols]).astype(np.float32)

    def _type_lift(self, source: IntArray, target: IntArray) -> DoubleArray:
        """The same for types, (pairs,) each; 0 where one of the two is unknown, -1."""
        lift = np.zeros(len(source))
        pairs = np.flatnonzero((source >= 0) & (target >= 0))
        if len(pairs):
            # few of all pairs of types occur: they are never laid out as a table
            source, target = source[pairs], target[pairs]
            counts, given, overall = self._type_pairs
            found = np.asarray(counts[source, target]).ravel()
            lift[pairs] = log_lift(found, given[source], overall, target)
        return lift

    @cached_property
    def _type_pairs(self) -> tuple[csr_matrix, DoubleArray, DoubleArray]:
        """Pairs from products of a type to those of another, and their sums over either.

        (num_types, num_types), (num_types,) from each type and (num_types,) to each, float64.
        """
        from scipy.sparse import csr_matrix

        problem, pairs = self.problem, self.problem.matrix.tocoo()
        source, target = problem.types[pairs.row], problem.types[pairs.col]
        known = (source >= 0) & (target >= 0)
        places = source[known], target[known]
        counts = csr_matrix((np.ones(len(places[0])), places), (problem.num_types,) * 2)
        given, overall = (np.asarray(counts.sum(axis=axis)).ravel() for axis in (1, 0))
        return counts, given, overall

    def _through(self, name: str, query_idx: IntArray) -> FloatArray | None:
        """What other products lead to, the ones that the name says: (len(query_idx), n)."""
        if name == "similar_queries":
            return product(self._similar_queries(query_idx), self.problem.matrix)
        operator = self._operator(name)
        return None if operator is None else product(operator[query_idx], self.problem.matrix)

    def _similar_queries(self, query_idx: IntArray) -> Sparse:
        """For each query the others that share most complements with it, and the cosines."""
        return self._neighbours.rows(query_idx)

    @cached_property
    def _neighbours(self) -> ColumnNeighbours:
        return ColumnNeighbours(_binary(self.problem).T.tocsr(), NEIGHBOURS)

    def _operator(self, name: str) -> csr_matrix | None:
        """A sparse (products x products) operator whose product with the matrix is evidence."""
        if name not in self._cache:
            built = _build_operator(self.problem, name)
            if built is None:
                return None
            self._cache[name] = built
        return self._cache[name]


def _log(counts: npt.NDArray[Any]) -> FloatArray:
    return np.asarray(np.log1p(counts), dtype=np.float32)


def _clean(values: npt.NDArray[np.floating]) -> FloatArray:
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=10.0, neginf=-10.0)


def normalise_rows(matrix: Sparse) -> Sparse:
    """The matrix with rows that add up to 1, but for empty ones: float32."""
    sums = np.bincount(owners(matrix), matrix.data, matrix.shape[0]).astype(np.float32)
    shares = matrix.data * np.repeat(1 / np.maximum(sums, 1e-9), np.diff(matrix.indptr))
    if isinstance(matrix, Rows):
        return Rows(matrix.indptr, matrix.indices, shares, matrix.shape)
    return type(matrix)((shares, matrix.indices, matrix.indptr), shape=matrix.shape)


def _build_operator(problem: Problem, name: str) -> csr_matrix | None:
    if name == "co_viewed":
        if problem.co_views is None or not problem.co_views.nnz:
            return None
        return normalise_rows(problem.co_views)
    # products bought after the same products: x -> q and x -> c
    return normalise_rows(_binary(problem)[:, : problem.num_candidates].T.tocsr())


def _binary(problem: Problem) -> csr_matrix:
    from scipy.sparse import csr_matrix

    matrix = problem.wide
    return csr_matrix((np.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)


def log_lift(
    counts: DoubleArray, given: DoubleArray, overall: DoubleArray, target: IntArray
) -> DoubleArray:
    """Log of P(type | type) over P(type), smoothed: (pairs,).

    counts: (pairs,) from a type to the type `target`; given: (pairs,) from it to any type;
    overall: (num_types,) to each type from all.
    """
    prior = ((overall + 1) / (overall.sum() + len(overall)))[target]
    conditional = (counts + 5 * prior) / (given + 5)
    return np.asarray(np.log(conditional / prior))


def monotone_columns(names: tuple[str, ...], sources: Mapping[str, Recommender]) -> IntArray:
    """+1 for what may only raise a seller's affinity: the sources' scores, joint purchases."""
    rising = {*sources, "bought_with_listed"}
    return np.array([1 if name in rising else 0 for name in names], dtype=np.int64)
