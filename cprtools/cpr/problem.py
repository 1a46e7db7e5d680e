"""From pairs and products to the problem that every complement method learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.baselines.catalogue import (
    Catalogue,
    cluster_types,
    encode,
    index_in,
    join_vectors,
    make_catalogue,
    numeric_columns,
    numeric_prices,
    sort_catalogue,
    vector_parts,
)
from cprtools.baselines.contract import FloatArray
from cprtools.baselines.makers import maker_of
from cprtools.baselines.vocabulary import Vocabulary, learn_vocabulary
from cprtools.cpr.labels import labelled
from cprtools.errors import SchemaError
from cprtools.tables import Source, with_plain_types
from cprtools.tables import columns as c
from cprtools.tables.light import pc


@dataclass(frozen=True)
class BuiltProblem:
    """The problem, its catalogue and what was seen on the way."""

    problem: Problem
    catalogue: Catalogue
    pairs_outside: int
    """Complement pairs with an end outside the catalogue."""
    vocabulary: Vocabulary
    """How products that come later are read."""

    def summary(self) -> list[tuple[str, object]]:
        """What there is to learn from, as lines of a report."""
        problem = self.problem
        has_pairs = (np.diff(problem.matrix.indptr) > 0) | (problem.matrix.getnnz(axis=0) > 0)
        return [
            ("products", problem.num_candidates),
            ("products in none of the pairs", int((~has_pairs).sum())),
            ("product types", problem.num_types),
            ("pairs to learn from", int(problem.matrix.nnz)),
            ("pairs outside the products", self.pairs_outside),
            # the matrix holds both directions, whichever the table has
            ("similar pairs, both ways", 0 if problem.similar is None else problem.similar.nnz),
        ]


def build_problem(
    pairs: pa.Table,
    products: pa.Table | None,
    vectors: Sequence[Source] = (),
    *,
    parts: Sequence[pa.Table] = (),
    labels: str = "weighed",
    seed: int = 0,
) -> BuiltProblem:
    """Index products, code their attributes and lay the complement pairs out as a matrix.

    Every row of `products` is a query and a candidate; without that table every id of the pairs is.
    Types: product_type, else category, else clusters of the vectors. labels: what is learnt as a
    complement, as for `labelled`. parts: pairs of the earlier and of the later orders behind
    `pairs`, to choose settings and ranker by, and of the last of the earlier ones, as what was
    bought of late: `later` is that of all orders.
    Raises SchemaError for counts below 0, and where no such pair is left inside the catalogue, of
    all orders or of a part, ValueError for other labels.
    """
    pairs, *parts = [labelled(table, labels) for table in (pairs, *parts)]
    products = _by_popularity(pairs, _every_id(pairs) if products is None else products)
    parts_of_vectors = vector_parts(products.column(c.PRODUCT_ID).combine_chunks(), vectors)
    dense = join_vectors(parts_of_vectors)
    products, catalogue, centres = _typed(products, dense, seed)
    dims = [part.shape[1] for part in parts_of_vectors]
    makers = [maker_of(source) for source in vectors]
    vocabulary = learn_vocabulary(products, dims, centres, makers)
    matrix, outside = _matrix(pairs, catalogue, c.COMPLEMENT, c.CO_PURCHASE)
    counts = [_matrix(part, catalogue, c.COMPLEMENT, c.CO_PURCHASE)[0] for part in parts]
    _check_pairs([pairs, *parts], [matrix, *counts], labels)
    earlier, later, recent = [*counts, None, None, None][:3]
    similar, co_views = _views(pairs, catalogue)
    # of all orders they would tell the earlier ones of the later ones
    earlier_views = _views(parts[0], catalogue) if parts else (None, None)
    problem = Problem(
        matrix=matrix,
        types=encode(catalogue.table.column(c.PRODUCT_TYPE))[0],
        num_types=len(catalogue.type_names),
        vectors=dense,
        words=vocabulary.word_rows(products),
        attributes=vocabulary.codes(products),
        prices=numeric_prices(products),
        numbers=numeric_columns(products),
        similar=similar,
        co_views=co_views,
        # the same is true of it, and it is left out
        context=_context(pairs, catalogue) if not parts else None,
        earlier=earlier,
        later=later,
        recent=None if recent is None else later,
        earlier_recent=recent,
        earlier_similar=earlier_views[0],
        earlier_co_views=earlier_views[1],
        is_square=True,
    )
    return BuiltProblem(problem, catalogue, outside, vocabulary)


def _check_pairs(tables: Sequence[pa.Table], matrices: Sequence[csr_matrix], labels: str) -> None:
    """Raise SchemaError where one of these, all orders and their parts, has nothing to learn from.

    A part without pairs would leave settings and ranker as if nobody had asked for them.
    """
    what = "co-purchase" if labels == "all" else "complement"
    starts = ("", "--earlier: ", "--later: ", "--recent: ")
    for start, table, matrix in zip(starts, tables, matrices, strict=False):
        _check_counts(table, start)
        if matrix.nnz:
            continue
        if pc.any(table.column(c.COMPLEMENT)).as_py():
            raise SchemaError(
                f"{start}no {what} pair joins two of the {matrix.shape[0]:,} products; "
                "do the product ids of both tables agree?"
            )
        raise SchemaError(f"{start}none of {table.num_rows:,} pairs is a {what}; {_why(table)}")


def _check_counts(pairs: pa.Table, start: str) -> None:
    """Raise SchemaError for counts below 0: returns taken off, or a column of another meaning."""
    for name in (c.CO_PURCHASE, c.CO_VIEW, c.PURCHASE_AFTER_VIEW):
        if name in pairs.column_names:
            least = pc.min(pairs.column(name)).as_py()
            if least is not None and least < 0:
                raise SchemaError(f"{start}a {name} is {least}; counts are 0 or more")


def _why(pairs: pa.Table) -> str:
    """What could be done about pairs that none is learnt from."""
    bought = pc.sum(pc.cast(pc.greater(pairs.column(c.CO_PURCHASE), 0), pa.int64())).as_py()
    if bought:
        return f"views speak against the {bought:,} bought together: --labels all learns from those"
    return "nothing in them was bought together: mine with purchases, or a lower --min-count"


def _views(pairs: pa.Table, catalogue: Catalogue) -> tuple[csr_matrix | None, csr_matrix | None]:
    """Similar pairs (symmetric bool) and co-view counts; None where there are none."""
    similar, _ = _matrix(pairs, catalogue, c.SIMILAR, c.CO_VIEW)
    co_views, _ = _matrix(pairs, catalogue, None, c.CO_VIEW)
    return (
        csr_matrix(similar + similar.T, dtype=bool) if similar.nnz else None,
        co_views if co_views.nnz else None,
    )


def _typed(
    products: pa.Table, dense: FloatArray | None, seed: int
) -> tuple[pa.Table, Catalogue, FloatArray | None]:
    """Products and catalogue; where these name no type clusters stand in, with their centres."""
    catalogue = make_catalogue(with_plain_types(products))
    if catalogue.type_names or dense is None:
        return products, catalogue, None
    types, centre_of = cluster_types(dense, seed)
    products = _with_column(products, c.PRODUCT_TYPE, types)
    catalogue = make_catalogue(with_plain_types(products))
    return products, catalogue, np.stack([centre_of[name] for name in catalogue.type_names])


def _every_id(pairs: pa.Table) -> pa.Table:
    ids = [pairs.column(name).combine_chunks() for name in (c.QUERY_ID, c.CANDIDATE_ID)]
    return pa.table({c.PRODUCT_ID: pc.unique(pa.concat_arrays(ids))})


def _context(pairs: pa.Table, catalogue: Catalogue) -> csr_matrix | None:
    """(products, ids) float32 counts of pairs towards ids outside that complete two products."""
    chosen = _chosen(pairs, c.COMPLEMENT, c.CO_PURCHASE)
    rows = catalogue.index_of(chosen.column(c.QUERY_ID))
    outside = (rows >= 0) & (catalogue.index_of(chosen.column(c.CANDIDATE_ID)) < 0)
    if not outside.any():
        return None
    cols, names = encode(chosen.column(c.CANDIDATE_ID).filter(pa.array(outside)))
    values = np.maximum(chosen.column(c.CO_PURCHASE).to_numpy().astype(np.float32), 1)[outside]
    shape = (catalogue.table.num_rows, len(names))
    matrix = csr_matrix((values, (rows[outside], cols)), shape=shape)
    # an id that one product alone leads to says nothing about any other
    shared = np.flatnonzero(matrix.getnnz(axis=0) > 1)
    return matrix[:, shared] if len(shared) else None


def _by_popularity(pairs: pa.Table, products: pa.Table) -> pa.Table:
    bought = _chosen(pairs, c.COMPLEMENT, c.CO_PURCHASE)
    candidates = index_in(
        bought.column(c.CANDIDATE_ID), products.column(c.PRODUCT_ID).combine_chunks()
    )
    inside = candidates >= 0
    counts = bought.column(c.CO_PURCHASE).to_numpy()[inside]
    popularity = np.bincount(candidates[inside], counts, minlength=products.num_rows)
    return sort_catalogue(products, popularity)


def _chosen(pairs: pa.Table, flag: str | None, count: str) -> pa.Table:
    """The flagged pairs; without a flag those that the count speaks for."""
    return pairs.filter(pc.greater(pairs.column(count), 0) if flag is None else pairs.column(flag))


def _with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def _matrix(
    pairs: pa.Table, catalogue: Catalogue, flag: str | None, count: str
) -> tuple[csr_matrix, int]:
    """(products, products) float32 counts of the flagged pairs, and how many lie outside."""
    chosen = _chosen(pairs, flag, count)
    rows = catalogue.index_of(chosen.column(c.QUERY_ID))
    cols = catalogue.index_of(chosen.column(c.CANDIDATE_ID))
    values = np.maximum(chosen.column(count).to_numpy().astype(np.float32), 1)
    inside = (rows >= 0) & (cols >= 0)
    # a product and itself are no pair, and neither of them is outside
    kept = inside & (rows != cols)
    n = catalogue.table.num_rows
    matrix = csr_matrix((values[kept], (rows[kept], cols[kept])), shape=(n, n))
    matrix.sum_duplicates()
    return matrix, int((~inside).sum())
