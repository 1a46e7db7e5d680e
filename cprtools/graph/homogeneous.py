"""The typed graph as one list of edges: what samplers and layers work on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
KindArray = npt.NDArray[np.uint8]

LISTS, LISTED_BY, BOUGHT_WITH = 0, 1, 2
RELATIONS = ("lists", "listed-by", "bought-with")
SAMPLINGS = ("stratified", "uniform")
SAMPLERS = ("torch", "dgl")
TOP_VIEWED = 3
"""Listings per seller that are learned from though their products are not in high demand."""


@dataclass(frozen=True)
class HomogeneousGraph:
    """Sellers are nodes 0 .. num_sellers - 1, products follow; edges are sorted by destination.

    All arrays but indptr are (edges,). Edge e runs from sources[e] to destinations[e];
    indptr[n]:indptr[n + 1] are the edges into node n; reverse[e] is the edge the other way.
    """

    num_sellers: int
    num_products: int
    indptr: IntArray
    sources: IntArray
    destinations: IntArray
    relations: KindArray
    reverse: IntArray
    weights: FloatArray

    @property
    def num_nodes(self) -> int:
        """Sellers and products."""
        return self.num_sellers + self.num_products

    @property
    def num_edges(self) -> int:
        """Directed edges: every listing and every bought-with pair counts twice."""
        return len(self.sources)


def make_graph(
    listings: csr_matrix,
    co_purchases: csr_matrix | None = None,
    views: csr_matrix | FloatArray | None = None,
) -> HomogeneousGraph:
    """The graph of a sellers x products matrix and a symmetric products x products one.

    views: page views per listing (same shape as listings) or per product; they weigh the edges
    of listings, which count 1 each without them.
    """
    num_sellers, num_products = listings.shape
    coo = listings.tocoo()
    seller, product = coo.row.astype(np.int64), coo.col.astype(np.int64) + num_sellers
    listed = _listing_weights(seller, coo.col.astype(np.int64), views)
    source, target = [seller, product], [product, seller]
    # a byte each: there are tens of millions, and batches look them up in no order
    relation = [np.full(len(seller), kind, np.uint8) for kind in (LISTS, LISTED_BY)]
    weight = [listed, listed]
    if co_purchases is not None and co_purchases.nnz:
        both = co_purchases.tocoo()
        distinct = both.row != both.col
        source.append(both.row[distinct].astype(np.int64) + num_sellers)
        target.append(both.col[distinct].astype(np.int64) + num_sellers)
        relation.append(np.full(int(distinct.sum()), BOUGHT_WITH, np.uint8))
        weight.append(both.data[distinct].astype(np.float32))
    return _sorted_graph(
        (num_sellers, num_products),
        np.concatenate(source),
        np.concatenate(target),
        np.concatenate(relation),
        np.concatenate(weight),
    )


def _listing_weights(
    seller: IntArray, product: IntArray, views: csr_matrix | FloatArray | None
) -> FloatArray:
    # at no places scipy gives no array but a matrix
    if views is None or not len(seller):
        return np.ones(len(seller), dtype=np.float32)
    if isinstance(views, np.ndarray):
        return views[product].astype(np.float32)
    return np.asarray(views[seller, product], dtype=np.float32).ravel()


def _sorted_graph(
    shape: tuple[int, int], source: IntArray, target: IntArray, relation: KindArray, w: FloatArray
) -> HomogeneousGraph:
    order = np.lexsort((source, target))
    # no two edges share both ends, so the edges sorted the other way round are the reverse ones
    reverse = np.empty(len(order), dtype=np.int64)
    reverse[np.lexsort((target[order], source[order]))] = np.arange(len(order))
    if len(order) and not np.array_equal(target[order][reverse], source[order]):
        raise ValueError("co_purchases must be symmetric")
    counts = np.bincount(target, minlength=sum(shape))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return HomogeneousGraph(
        *shape, indptr, source[order], target[order], relation[order], reverse, w[order]
    )


def view_weights(graph: HomogeneousGraph) -> FloatArray:
    """Weights of the edges with mean 1 over each seller's listings, (edges,) float32.

    A seller without any page views counts its listings alike; bought-with edges get 0.
    """
    is_listing = graph.relations != BOUGHT_WITH
    seller = np.where(graph.relations == LISTS, graph.sources, graph.destinations)[is_listing]
    weight = graph.weights[is_listing].astype(np.float64)
    total = np.bincount(seller, weights=weight, minlength=graph.num_sellers)
    mean = total / np.maximum(np.bincount(seller, minlength=graph.num_sellers), 1)
    result = np.zeros(graph.num_edges, dtype=np.float32)
    viewed = mean[seller] > 0
    result[is_listing] = np.where(viewed, weight / np.where(viewed, mean[seller], 1), 1)
    return result


def supervision_edges(
    graph: HomogeneousGraph, is_candidate: BoolArray | None = None, sampling: str = "stratified"
) -> IntArray:
    """Edge ids to learn from, ascending; each undirected edge is named once.

    stratified: listings only, and of each seller only those of high-demand products and of its
    three most viewed ones (ties to the lower product). uniform: every edge. is_candidate:
    (products,) high demand, None for all. Source: the seller article, stratified edge sampling.
    """
    listings = np.flatnonzero(graph.relations == LISTS)
    if sampling == "uniform":
        ahead = (graph.relations == BOUGHT_WITH) & (graph.sources < graph.destinations)
        return np.sort(np.concatenate([listings, np.flatnonzero(ahead)]))
    if sampling != "stratified":
        raise ValueError(f"sampling must be stratified or uniform, got {sampling!r}")
    if is_candidate is None:
        return listings
    seller, product = graph.sources[listings], graph.destinations[listings]
    order = np.lexsort((product, -graph.weights[listings], seller))
    starts = np.searchsorted(seller[order], np.arange(graph.num_sellers))
    place = np.arange(len(order)) - starts[seller[order]]
    wanted = (place < TOP_VIEWED) | is_candidate[product[order] - graph.num_sellers]
    return np.sort(listings[order[wanted]])
