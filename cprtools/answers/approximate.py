"""A recommender whose best candidates come from an approximate index in place of all products."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cprtools.baselines import Recommender
from cprtools.baselines.contract import BoolArray, FloatArray, IntArray, ReadTable, Wrapped
from cprtools.baselines.dense import stable_product
from cprtools.errors import SchemaError, UsageError
from cprtools.ranking import TwoStage, candidate_pool
from cprtools.retrieval import Pool, top_k
from cprtools.retrieval.approximate import MEMBERS, HnswIndex

# so few allowed candidates are compared one by one: a graph walk would pass by most of them
_FEW = 10_000
# candidates looked at for each one that is allowed, as if they were strewn evenly, times this
_MARGIN = 2
# a walk past more than one in so many candidates takes longer than looking at all of them
_LARGEST_SHARE = 20
_RECALL_AT, _RECALL_QUERIES = 100, 500
# seconds: a multiplication, the choice of the best per candidate, a walk, a candidate of the index
_PRODUCT, _SELECT, _WALK, _READ = 1.2e-11, 1.3e-9, 3e-4, 2.5e-6


@dataclass(frozen=True)
class Index:
    """An index over the candidates that may be returned at all."""

    pool: Pool
    graph: HnswIndex
    recall: float
    """Recall@100 against exact search over the pool, of queries spread evenly over all."""

    def tables(self) -> dict[str, pa.Table]:
        """The members of a model folder that hold it."""
        return self.graph.tables()

    def facts(self) -> dict[str, Any]:
        """What the manifest says of it, and `inspect` shows."""
        size = len(self.pool.members)
        return {"index": "hnsw", "index_candidates": size, "index_recall_at_100": self.recall}


class Approximate(Wrapped):
    """A model of vectors whose best candidates an index finds; its scores stay the model's.

    Where a filter leaves few candidates, where the index finds too few that pass it, and for a
    query of zeros, to which all are alike, the answer is exact: no list is shorter for the index.
    """

    def __init__(self, model: Recommender, index: Index):
        super().__init__(model)
        self._index = index
        self._queries, candidates = _factors(model)
        self._candidates = candidates[index.pool.members]

    def score(self, query_idx: IntArray) -> FloatArray:
        """Those of the model."""
        return self._model.score(query_idx)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return self._model.num_candidates

    def restricted(self, pool: IntArray) -> Recommender:
        """The index where it was built for this pool; else the model, that is exact search."""
        narrow = self._model.restricted(pool)
        if not np.array_equal(pool, self._index.pool.members):
            return narrow
        indexed = copy(self)
        indexed._model = narrow
        return indexed

    def best(self, query_idx: IntArray, k: int, allowed: BoolArray) -> tuple[IntArray, FloatArray]:
        """As the model's, nearly always; see `Recommender.best`."""
        shape = (len(query_idx), k)
        indices, values = np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32)
        left = []
        for row, query in enumerate(self._queries[query_idx]):
            found = self._search(query[None], k, allowed[row])
            if found is None:
                left.append(row)
                continue
            cols, scores = found
            indices[row, : len(cols)], values[row, : len(cols)] = cols, scores
        if left:
            indices[left], values[left] = self._model.best(query_idx[left], k, allowed[left])
        return indices, values

    def _search(
        self, query: FloatArray, k: int, allowed: BoolArray
    ) -> tuple[IntArray, FloatArray] | None:
        """The k best allowed candidates; None where the index cannot tell."""
        size, count = len(allowed), int(np.count_nonzero(allowed))
        if count <= _FEW:
            members = np.flatnonzero(allowed)
            places, scores = top_k(stable_product(query, self._candidates[members]), min(k, count))
            return members[places[0]], scores[0]
        # what is forbidden may be the nearest of all: a few more are looked for in any case
        hidden = size - count
        width = k + hidden if hidden <= k else -(-_MARGIN * k * size // count)
        if width * _LARGEST_SHARE > size or not query.any():
            return None
        found = self._index.graph.search(query, width)[0][0]
        cols = found[allowed[found]]
        if len(cols) < min(k, count):
            return None
        # hnswlib knows a product as 1 less it: of a small one most digits would be lost
        scores = stable_product(query, self._candidates[cols])[0]
        order = np.lexsort((cols, -scores))[:k]
        return cols[order], scores[order]


def check_indexable(method: str, methods: Sequence[str], registry: Any) -> None:
    """Refuse before training what cannot be indexed; methods: those of the command that may be.

    Raises UsageError, MissingExtraError.
    """
    with_vectors = [n for n in methods if registry[n].factors is not Recommender.factors]
    if method not in with_vectors:
        raise UsageError(
            f"--index hnsw needs a score that is a product of vectors; that of {method} is none; "
            f"these methods have one: {', '.join(with_vectors)}"
        )
    HnswIndex(np.zeros((0, 1), np.float32))


def build_index(stage: TwoStage, *, seed: int = 0) -> Index:
    """The index over the candidates of the model's vectors, with its measured recall.

    Raises UsageError where the model has none, MissingExtraError without hnswlib.
    """
    queries, candidates = _factors(stage.model)
    pool = candidate_pool(stage.problem)
    vectors = candidates[pool.members]
    graph = HnswIndex(vectors, seed=seed)
    known = np.flatnonzero(queries.any(axis=1))
    asked = known[np.linspace(0, len(known) - 1, min(_RECALL_QUERIES, len(known))).astype(int)]
    return Index(pool, graph, _recall(graph, queries[asked], vectors))


def stored_index(stage: TwoStage, read: ReadTable, recall: float) -> Index:
    """The stored index over the model's vectors. Raises SchemaError where it is damaged."""
    pool = candidate_pool(stage.problem)
    vectors = _factors(stage.model)[1][pool.members]
    try:
        graph = HnswIndex.load(vectors, *[read(member) for member in MEMBERS])
    except (KeyError, ValueError, IndexError, pa.ArrowException) as error:
        raise SchemaError(f"the model's hnsw index is damaged; {error}") from error
    return Index(pool, graph, recall)


def _factors(model: Recommender) -> tuple[FloatArray, FloatArray]:
    factors = model.factors()
    if factors is None:
        raise UsageError(
            f"an hnsw index needs a score that is a product of vectors; {model.method} has no such"
        )
    return factors


def _recall(graph: HnswIndex, queries: FloatArray, vectors: FloatArray) -> float:
    """Mean share of the exact 100 best that the graph finds; 1 where there is nothing to ask."""
    shares = []
    for start in range(0, len(queries), 64):
        block = queries[start : start + 64]
        exact, _ = top_k(stable_product(block, vectors), min(_RECALL_AT, len(vectors)))
        found, _ = graph.search(block, _RECALL_AT)
        pairs = zip(exact, found, strict=True)
        shares += [len(np.intersect1d(a, b)) / max(1, len(a)) for a, b in pairs]
    return round(float(np.mean(shares)), 4) if shares else 1.0


def pays(candidates: int, dim: int, queries: int) -> bool:
    """Whether reading and asking an index takes less than comparing with all candidates.

    By what was measured on one thread (docs/results.md): an exact answer grows with the catalogue,
    an approximate one hardly does, but the index has to be read first.
    """
    exact = candidates * (dim * _PRODUCT + _SELECT)
    return queries * (exact - _WALK) > candidates * _READ
