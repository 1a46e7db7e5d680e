"""Approximate nearest neighbours by inner product (hnswlib), stored as Parquet arrays."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import MissingExtraError, SchemaError
from cprtools.retrieval.topk import top_k

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

LINKS = 16
"""Links of a node on the upper levels; twice as many on the lowest one."""
EF_BUILD = 200
"""Nodes that are explored to link a new one."""
_LEAST_EF = 100
_LINKS_MEMBER, _SETTINGS_MEMBER = "hnsw_links", "hnsw_settings"


class HnswIndex:
    """A navigable small-world graph over candidate vectors.

    Source: Malkov and Yashunin, TPAMI 2020. Built on one thread with a fixed seed, so that the same
    vectors give the same graph, bit by bit, and with it the same answers on one machine.
    Raises MissingExtraError where hnswlib is not installed.
    """

    def __init__(self, vectors: FloatArray, *, seed: int = 0):
        index = _hnswlib().Index(space="ip", dim=vectors.shape[1])
        index.init_index(
            max_elements=max(1, len(vectors)),
            M=LINKS,
            ef_construction=EF_BUILD,
            # its generator takes 0 for 1
            random_seed=seed + 1,
        )
        if len(vectors):
            index.add_items(vectors, np.arange(len(vectors)), num_threads=1)
        self._vectors = vectors
        self._index = index

    def search(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """The k nearest candidates of each query by inner product: indices and products, (rows, k).

        k is cut to the number of candidates. Products are as exact as float32 next to 1. Where the
        graph does not reach k, as among many equal vectors, the query is answered exactly.
        """
        k = min(k, len(self._vectors))
        if k < 1 or not len(queries):
            shape = (len(queries), max(0, k))
            return np.empty(shape, np.int64), np.empty(shape, np.float32)
        # a query that explores fewer nodes than it returns cannot find k
        self._index.set_ef(max(2 * k, _LEAST_EF))
        found = [self._search_one(query, k) for query in queries]
        return np.concatenate([i for i, _ in found]), np.concatenate([s for _, s in found])

    def _search_one(self, query: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        try:
            labels, distances = self._index.knn_query(query[None], k=k, num_threads=1)
        except RuntimeError:
            return top_k(query[None] @ self._vectors.T, k)
        return labels.astype(np.int64), (1 - distances).astype(np.float32)

    def tables(self) -> dict[str, pa.Table]:
        """The graph without its vectors: who is linked to whom on each level, where to enter."""
        state = self._index.__getstate__()[0]
        levels = state["element_levels"][: len(self._vectors)].astype(np.int64)
        low = _words(state["data_level0"], state["size_data_per_element"])
        parts = [_lists(low[:, : state["max_M0"] + 1])]
        nodes, on_level = [np.arange(len(levels))], [np.zeros(len(levels), np.int64)]
        high = _words(state["link_lists"], state["size_links_per_element"])
        owner = np.repeat(np.arange(len(levels)), levels)
        # the levels of a node follow each other, from 1
        order = np.arange(len(owner)) - np.repeat(np.cumsum(levels) - levels, levels) + 1
        parts.append(_lists(high))
        links = pa.table(
            {
                "node": pa.array(np.concatenate([*nodes, owner]), pa.int32()),
                "level": pa.array(np.concatenate([*on_level, order]), pa.int32()),
                "linked": pa.concat_arrays(parts),
            }
        )
        settings = {name: [int(state[name])] for name in ("enterpoint_node", "M", "seed")}
        settings["ef_construction"] = [int(state["ef_construction"])]
        return {_LINKS_MEMBER: links, _SETTINGS_MEMBER: pa.table(settings)}

    @classmethod
    def load(cls, vectors: FloatArray, links: pa.Table, settings: pa.Table) -> Self:
        """The stored graph over the vectors that it was built from.

        Raises SchemaError for links that lead nowhere: hnswlib would follow them out of its memory.
        """
        index = cls.__new__(cls)
        index._vectors = vectors
        index._index = _hnswlib().Index(params=_state(vectors, links, settings))
        return index


MEMBERS = (_LINKS_MEMBER, _SETTINGS_MEMBER)
"""The tables of a stored index, in the order that `HnswIndex.load` takes them."""


def _hnswlib() -> Any:
    try:
        import hnswlib
    except ImportError:
        raise MissingExtraError(
            "approximate search needs hnswlib: pip install 'cprtools[ann]'"
        ) from None
    return hnswlib


def _words(data: npt.NDArray[np.int8], size: int) -> npt.NDArray[np.uint32]:
    """Hnswlib's memory of nodes or levels, one a row, as words of four bytes."""
    return data.view(np.uint32).reshape(-1, size // 4)


def _lists(words: npt.NDArray[np.uint32]) -> pa.Array:
    """Rows of a count (the lower half of the first word) and as many node numbers, then rubbish."""
    counts = (words[:, 0] & 0xFFFF).astype(np.int64)
    inside = np.arange(words.shape[1] - 1) < counts[:, None]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    values = pa.array(words[:, 1:][inside].astype(np.int32))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _state(vectors: FloatArray, links: pa.Table, settings: pa.Table) -> dict[str, Any]:
    """What hnswlib rebuilds an index from."""
    n, dim = vectors.shape
    m, enter, seed, ef = (
        int(settings.column(name)[0].as_py())
        for name in ("M", "enterpoint_node", "seed", "ef_construction")
    )
    node = links.column("node").to_numpy().astype(np.int64)
    level = links.column("level").to_numpy().astype(np.int64)
    linked = links.column("linked").combine_chunks()
    counts = linked.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    targets = linked.flatten().to_numpy().astype(np.int64)
    _check_links(n, m, enter, node, level, counts, targets)
    levels = np.bincount(node, minlength=n) - 1
    low = np.zeros((n, 2 * m + 1 + dim + 2), dtype=np.uint32)
    split = int(counts[:n].sum())
    _fill(low[:, : 2 * m + 1], counts[:n], targets[:split])
    low[:, 2 * m + 1 : 2 * m + 1 + dim] = np.ascontiguousarray(vectors, np.float32).view(np.uint32)
    low[:, -2] = np.arange(n)
    high = np.zeros((len(node) - n, m + 1), dtype=np.uint32)
    _fill(high, counts[n:], targets[split:])
    names = np.arange(n)
    return {
        "ser_version": 1, "space": "ip", "dim": dim, "index_inited": True, "ep_added": True,
        "normalize": False, "num_threads": 1, "seed": seed, "offset_level0": 0,
        "max_elements": max(1, n), "cur_element_count": n,
        "size_data_per_element": low.shape[1] * 4,
        "label_offset": (low.shape[1] - 2) * 4, "offset_data": (2 * m + 1) * 4,
        "max_level": int(levels[enter]) if n else -1, "enterpoint_node": enter,
        "max_M": m, "max_M0": 2 * m, "M": m, "mult": 1 / np.log(m), "ef_construction": ef,
        "ef": _LEAST_EF, "has_deletions": False, "size_links_per_element": (m + 1) * 4,
        "allow_replace_deleted": False, "label_lookup_external": names.astype(np.uint64),
        "label_lookup_internal": names.astype(np.uint32),
        "element_levels": levels.astype(np.int32),
        "data_level0": low.reshape(-1).view(np.int8), "link_lists": high.reshape(-1).view(np.int8),
    }  # fmt: skip


def _fill(rows: npt.NDArray[np.uint32], counts: IntArray, targets: IntArray) -> None:
    rows[:, 0] = counts
    rows[:, 1:][np.arange(rows.shape[1] - 1) < counts[:, None]] = targets


def _check_links(
    n: int,
    m: int,
    enter: int,
    node: IntArray,
    level: IntArray,
    counts: IntArray,
    targets: IntArray,
) -> None:
    lowest = np.array_equal(node[:n], np.arange(n)) and not level[:n].any()
    inside = all(np.all((x >= 0) & (x < n)) for x in (node, targets))
    if lowest and inside and m >= 2 and (not n or 0 <= enter < n):
        levels = np.bincount(node, minlength=n) - 1
        # each node once on every level up to its own, and links between nodes of that level
        starts = np.cumsum(levels) - levels
        expected = np.arange(len(node) - n) - np.repeat(starts, levels) + 1
        ordered = np.array_equal(node[n:], np.repeat(np.arange(n), levels))
        whole = ordered and np.array_equal(level[n:], expected)
        room = np.all(counts <= np.where(level > 0, m, 2 * m))
        reached = np.all(levels[targets] >= np.repeat(level, counts))
        if whole and room and reached and (not n or levels[enter] == levels.max()):
            return
    raise SchemaError("the model's hnsw index is damaged")
