"""From a graph folder to the problem that every seller method learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.baselines.catalogue import (
    Catalogue,
    encode,
    index_in,
    join_vectors,
    make_catalogue,
    numeric_prices,
    sort_catalogue,
    vector_parts,
)
from cprtools.baselines.makers import maker_of
from cprtools.baselines.vocabulary import Vocabulary, learn_vocabulary
from cprtools.errors import SchemaError
from cprtools.tables import EDGES, NODES, Folder, Source, TableSpec
from cprtools.tables import columns as c
from cprtools.tables.light import pc


@dataclass(frozen=True)
class BuiltProblem:
    """The problem, its catalogue and its sellers."""

    problem: Problem
    catalogue: Catalogue
    sellers: pa.Table
    """seller_id in row order of the matrix, and each seller's declared category if it has one."""
    views: csr_matrix
    """(sellers, products) page views of each listing."""
    vocabulary: Vocabulary
    """How products that come later are read."""

    def summary(self) -> list[tuple[str, object]]:
        """What there is to learn from, as lines of a report."""
        problem = self.problem
        demand = problem.is_candidate
        return [
            ("sellers", problem.num_queries),
            ("products", problem.num_candidates),
            ("high demand", problem.num_candidates if demand is None else int(demand.sum())),
            ("listings", int(problem.matrix.nnz)),
            ("bought together", 0 if problem.co_purchases is None else problem.co_purchases.nnz),
            ("products without vector", _count_zero_rows(problem.vectors)),
            ("sellers without vector", _count_sellers_without(problem)),
        ]

    def seller_table(self) -> pa.Table:
        """Member `sellers` of the model: seller_id, primary_category, num_listings."""
        primary = primary_categories(self.catalogue.table.column(c.CATEGORY), self.views)
        declared = self.sellers.column(c.CATEGORY).to_pylist()
        # what a seller lists says more than what it once declared
        primary = [own or said for own, said in zip(primary, declared, strict=True)]
        return pa.table(
            {
                c.SELLER_ID: self.sellers.column(c.SELLER_ID),
                "primary_category": pa.array(primary, pa.string()),
                "num_listings": np.diff(self.problem.matrix.indptr).astype(np.int64),
            }
        )


def build_problem(graph: Folder, vectors: Sequence[Source] = ()) -> BuiltProblem:
    """Index sellers and products of the graph and lay its edges out as matrices.

    Raises SchemaError where the graph holds no listing of a known seller, or other columns.
    """
    for spec in (NODES, EDGES):
        _check_member(graph, spec)
    built = _build(graph, vectors)
    # millions of edges as strings were in memory, and are needed no more
    pa.default_memory_pool().release_unused()
    return built


def _build(graph: Folder, vectors: Sequence[Source]) -> BuiltProblem:
    nodes = graph.table(NODES.name)
    products = _nodes(nodes, "product", c.PRODUCT_ID)
    sellers = _nodes(nodes, "seller", c.SELLER_ID).select([c.SELLER_ID, c.CATEGORY])
    sellers = sellers.sort_by(c.SELLER_ID)
    del nodes
    listings = _edges(graph, "lists")
    if not listings.num_rows:
        raise SchemaError(f"{graph.name}: the graph has no listings; build it with --listings")
    products = _by_listings(products, listings)
    catalogue = make_catalogue(products)
    shape = (sellers.num_rows, products.num_rows)
    seller_idx = index_in(
        listings.column(c.SOURCE_ID), sellers.column(c.SELLER_ID).combine_chunks()
    )
    product_idx = catalogue.index_of(listings.column(c.TARGET_ID))
    _check_found(graph, seller_idx, product_idx)
    ones = np.ones(listings.num_rows, dtype=np.float32)
    matrix = csr_matrix((ones, (seller_idx, product_idx)), shape=shape)
    weights = listings.column(c.WEIGHT).to_numpy().astype(np.float32)
    views = csr_matrix((weights, (seller_idx, product_idx)), shape=shape)
    del listings
    parts = vector_parts(catalogue.ids, vectors)
    # of what is in demand nothing is to be learnt: a new quarter's list replaces this one
    described = products.drop_columns([c.IS_HIGH_DEMAND])
    dims, makers = [part.shape[1] for part in parts], [maker_of(source) for source in vectors]
    vocabulary = learn_vocabulary(described, dims, makers=makers)
    is_high_demand = products.column(c.IS_HIGH_DEMAND).to_numpy(zero_copy_only=False)
    problem = Problem(
        matrix=matrix,
        types=encode(catalogue.table.column(c.PRODUCT_TYPE))[0],
        num_types=len(catalogue.type_names),
        vectors=join_vectors(parts),
        words=vocabulary.word_rows(described),
        attributes=vocabulary.codes(described),
        prices=numeric_prices(products),
        is_candidate=is_high_demand.astype(bool),
        co_purchases=_co_purchases(graph, catalogue),
    )
    return BuiltProblem(problem, catalogue, sellers, views, vocabulary)


def _check_member(graph: Folder, spec: TableSpec) -> None:
    """Raise SchemaError unless the columns of our names are there and of their types."""
    found = {field.name: field.type for field in graph.schema(spec.name)}
    for field in spec.fields:
        was = found.get(field.name, "none")
        if was != field.type and (field.required or field.name in found):
            raise SchemaError(
                f"{graph.name}: {spec.name}.parquet needs a column {field.name!r} of type "
                f"{field.type}; found {was}; build the graph again with this version"
            )


def _edges(graph: Folder, relation: str) -> pa.Table:
    """Both ends and the weight of one relation's edges: millions, of which no more is read."""
    wanted = [c.SOURCE_ID, c.TARGET_ID, c.WEIGHT]
    return graph.table(EDGES.name, wanted, where=(c.RELATION, relation))


def _nodes(nodes: pa.Table, kind: str, id_name: str) -> pa.Table:
    chosen = nodes.filter(pc.equal(nodes.column(c.NODE_TYPE), kind)).drop_columns([c.NODE_TYPE])
    names = [id_name if name == c.NODE_ID else name for name in chosen.column_names]
    filled = [name for name in names if not _all_null(chosen.column(names.index(name)))]
    renamed = chosen.rename_columns(names)
    return renamed.select([n for n in names if n in filled or n in (id_name, c.CATEGORY)])


def _all_null(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count == len(column) and len(column) > 0)


def _by_listings(products: pa.Table, listings: pa.Table) -> pa.Table:
    found = index_in(listings.column(c.TARGET_ID), products.column(c.PRODUCT_ID).combine_chunks())
    counts = np.bincount(found[found >= 0], minlength=products.num_rows)
    return sort_catalogue(products, counts.astype(np.float64))


def _check_found(graph: Folder, *ends: npt.NDArray[np.int64]) -> None:
    """Raise SchemaError where one of these numbers of nodes is -1."""
    if min(end.min() for end in ends) < 0:
        raise SchemaError(f"{graph.name}: its edges name nodes that nodes.parquet does not hold")


def _co_purchases(graph: Folder, catalogue: Catalogue) -> csr_matrix | None:
    bought = _edges(graph, "bought-with")
    if not bought.num_rows:
        return None
    rows = catalogue.index_of(bought.column(c.SOURCE_ID))
    cols = catalogue.index_of(bought.column(c.TARGET_ID))
    _check_found(graph, rows, cols)
    weights = bought.column(c.WEIGHT).to_numpy().astype(np.float32)
    n = catalogue.table.num_rows
    matrix = csr_matrix((weights, (rows, cols)), shape=(n, n))
    return matrix.maximum(matrix.T).tocsr()


def primary_categories(
    catalogue_categories: pa.ChunkedArray, views: csr_matrix
) -> list[str | None]:
    """Each seller's category with the largest view-weighted share of its listings, ties by name.

    views: (sellers, products) page views of each listing; a seller without any view of a listing
    that has a category counts each listing once. None for sellers whose listings have no category.
    """
    codes, names = encode(catalogue_categories)
    owner = np.repeat(np.arange(views.shape[0]), np.diff(views.indptr))
    category = codes[views.indices]
    known = category >= 0
    total = np.bincount(owner[known], weights=views.data[known], minlength=views.shape[0])
    weights = np.where(total[owner] > 0, views.data.astype(np.float64), 1.0)
    shares = csr_matrix(
        (weights[known], (owner[known], category[known])), shape=(views.shape[0], len(names))
    )
    rows = np.repeat(np.arange(views.shape[0]), np.diff(shares.indptr))
    order = np.lexsort((shares.indices, -shares.data, rows))
    first = np.flatnonzero(np.diff(rows[order], prepend=-1))
    result: list[str | None] = [None] * views.shape[0]
    for row, code in zip(rows[order][first], shares.indices[order][first], strict=True):
        result[row] = names[code]
    return result


def _count_sellers_without(problem: Problem) -> object:
    """Sellers none of whose products has a vector: the graph alone tells of them."""
    if problem.vectors is None:
        return "all"
    known = problem.matrix @ problem.vectors.any(axis=1).astype(np.float32)
    return int((known == 0).sum())


def _count_zero_rows(vectors: np.ndarray | None) -> object:
    return "all" if vectors is None else int((~vectors.any(axis=1)).sum())
