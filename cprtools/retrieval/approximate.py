"""Approximate nearest neighbours by inner product (hnswlib)."""

import numpy as np
import numpy.typing as npt

from cprtools.errors import MissingExtraError
from cprtools.retrieval.topk import top_k

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_LINKS = 32
_EF_BUILD = 200


class HnswIndex:
    """A navigable small-world graph over candidate vectors.

    Source: Malkov and Yashunin, TPAMI 2020. Built on one thread with a fixed seed, so that the same
    vectors give the same answers. Raises MissingExtraError where hnswlib is not installed.
    """

    def __init__(self, vectors: FloatArray, *, seed: int = 0):
        try:
            import hnswlib
        except ImportError:
            raise MissingExtraError(
                "--search hnsw needs hnswlib: pip install 'cprtools[ann]'"
            ) from None
        self._size = len(vectors)
        self._vectors = vectors
        self._index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(
            max_elements=max(1, self._size), M=_LINKS, ef_construction=_EF_BUILD, random_seed=seed
        )
        if self._size:
            self._index.add_items(vectors, np.arange(self._size), num_threads=1)

    def search(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """The k nearest candidates of each query by inner product: indices and products, (rows, k).

        k is cut to the number of candidates. Where the graph does not reach k, as among many equal
        vectors, the query is answered exactly.
        """
        k = min(k, self._size)
        if k < 1 or not len(queries):
            shape = (len(queries), max(0, k))
            return np.empty(shape, np.int64), np.empty(shape, np.float32)
        # a query that explores fewer nodes than it returns cannot find k
        self._index.set_ef(max(2 * k, 100))
        found = [self._search_one(query, k) for query in queries]
        return np.concatenate([i for i, _ in found]), np.concatenate([s for _, s in found])

    def _search_one(self, query: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        try:
            labels, distances = self._index.knn_query(query[None], k=k, num_threads=1)
        except RuntimeError:
            return top_k(query[None] @ self._vectors.T, k)
        return labels.astype(np.int64), (1 - distances).astype(np.float32)
