"""Products that a model never saw: read as in training, appended to the model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.answers.model import SELLERS, Model, told_misfits
from cprtools.baselines import Problem
from cprtools.baselines.catalogue import (
    Catalogue,
    index_in,
    make_catalogue,
    number_values,
    numeric_prices,
)
from cprtools.baselines.contract import PAIRS, TYPES, VECTORS, FloatArray, IntArray
from cprtools.baselines.extension import append_products
from cprtools.baselines.makers import differing_makers
from cprtools.baselines.vocabulary import CENTRES, MEMBER, Vocabulary, load_vocabulary
from cprtools.errors import SchemaError
from cprtools.tables import Source, plain_text, product_types, read, with_plain_types
from cprtools.tables import columns as c
from cprtools.tables.light import pc


@dataclass(frozen=True)
class Extended:
    """A model with further products at its end, and how many of the table's rows these are."""

    model: Model
    num_new: int
    num_known: int
    makers: tuple[str, ...] = ()
    """Of each table of vectors of training what made it, in words; without new products unread."""


def extend(
    model: Model, products: pa.Table, label: str, vectors: Sequence[Source] = ()
) -> Extended:
    """The model with the products that it does not know: candidates, and of complements queries.

    Products that it knows stay as it knows them. vectors: one table for each that training took,
    in that order; without any the new products have none. label: the table's name in messages.
    Raises UsageError for methods that know only what they were trained on, SchemaError where the
    model's folder or the tables do not hold what is needed.
    """
    if not model.folder.has(MEMBER):
        raise SchemaError(
            f"{model.folder.name}: was written by a version that did not keep what new products "
            "need; train it again to use them"
        )
    is_known = index_in(products.column(c.PRODUCT_ID), model.product_ids) >= 0
    if model.folder.kind == SELLERS:
        products = _as_in_graph(products, model.catalogue)
    new = products.filter(pa.array(~is_known))
    counts = new.num_rows, int(is_known.sum())
    if not new.num_rows:
        return Extended(model, *counts)
    with told_misfits(model.folder.name):
        members = frozenset(model.folder.manifest["members"])
        vocabulary = load_vocabulary(model.folder.table, members)
        extended = _extended(model, vocabulary, new, label, vectors)
        return Extended(extended, *counts, vocabulary.makers)


def _extended(
    model: Model, vocabulary: Vocabulary, new: pa.Table, label: str, vectors: Sequence[Source]
) -> Model:
    dense = vocabulary.vectors(new.column(c.PRODUCT_ID).combine_chunks(), vectors)
    types, new = _types(vocabulary, new, model.catalogue, dense)
    problem = append_products(
        model.stage.problem, _read(model.stage.problem, vocabulary, new, types, dense, label)
    )
    sources = {name: source.extended(problem) for name, source in model.stage.sources.items()}
    stage = replace(model.stage, problem=problem, sources=sources)
    # of sellers they are plain already, as in the graph; complements read paths entry by entry
    plain = new if model.folder.kind == SELLERS else with_plain_types(new)
    table = _append_rows(model.catalogue.table, make_catalogue(plain).table, label)
    catalogue = Catalogue(table, model.catalogue.type_names)
    more = model.num_added + new.num_rows
    return Model(model.folder, stage, catalogue, model.sellers, more)


def unread(model: Model, *, has_vectors: bool) -> str:
    """What the model will not know of products that it is extended by, in words; mostly nothing."""
    method, known_by = model.method, model.stage.model.knows_by
    is_seller = model.folder.kind == SELLERS
    if known_by == PAIRS or (known_by == VECTORS and not has_vectors):
        evidence = "vectors" if known_by == VECTORS else "listings" if is_seller else "pairs"
        missing = "without --vectors new ones" if known_by == VECTORS else "new ones"
        result = "it cannot tell them apart" if is_seller else "they get the most popular products"
        return f"{method} knows products by their {evidence} alone; {missing} have none: {result}"
    if known_by == TYPES:
        # types with names of their own are read from the products; clusters are of the vectors
        if has_vectors or not model.folder.has(CENTRES):
            return ""
        return (
            f"{method} knows products by their types alone, and these are clusters of the vectors; "
            "without --vectors new ones have none"
        )
    if not has_vectors and model.stage.problem.vectors is not None:
        return (
            "the model was trained on vectors; without --vectors new products go by their "
            "attributes alone"
        )
    return ""


def misread(extended: Extended, vectors: Sequence[Source]) -> list[str]:
    """What the model will not know of such products, or not read as in training, in words."""
    missing = unread(extended.model, has_vectors=bool(vectors))
    return [*filter(None, [missing]), *differing_makers(vectors, extended.makers)]


def products_of(vectors: Sequence[Source]) -> pa.Table:
    """A table of the products that vectors are given for: their ids, and nothing else of them."""
    ids = [read(source, only=[c.PRODUCT_ID]).column(c.PRODUCT_ID) for source in vectors]
    return pa.table({c.PRODUCT_ID: pc.unique(pa.chunked_array([x for i in ids for x in i.chunks]))})


def _as_in_graph(products: pa.Table, known: Catalogue) -> pa.Table:
    """The products as the graph that the model learnt from holds its own.

    Types stand for categories only where they do so in the model: one new product without a
    category would else have one of its own, which no seller has.
    """
    plain = with_plain_types(products)
    own, types = (known.table.column(name) for name in (c.CATEGORY, c.PRODUCT_TYPE))
    if not pc.any(pc.not_equal(own, types)).as_py():
        return plain
    if c.CATEGORY not in products.column_names:
        return _with_category(plain, pa.nulls(products.num_rows, pa.string()))
    return _with_category(plain, plain_text(products.column(c.CATEGORY)))


def _with_category(products: pa.Table, category: pa.Array | pa.ChunkedArray) -> pa.Table:
    return products.set_column(products.column_names.index(c.CATEGORY), c.CATEGORY, category)


def _types(
    vocabulary: Vocabulary, products: pa.Table, known: Catalogue, dense: FloatArray | None
) -> tuple[IntArray, pa.Table]:
    """The model's types, -1 unknown; where they are clusters the products get theirs as a name."""
    names = pa.array(known.type_names, pa.string())
    if vocabulary.centres is None or dense is None:
        return index_in(product_types(products), names), products
    types = vocabulary.nearest_types(dense)
    column = names.take(pa.array(types, mask=types < 0))
    plain = products.drop_columns([n for n in (c.PRODUCT_TYPE,) if n in products.column_names])
    return types, plain.append_column(c.PRODUCT_TYPE, column)


def _read(
    problem: Problem,
    vocabulary: Vocabulary,
    products: pa.Table,
    types: IntArray,
    dense: FloatArray | None,
    label: str,
) -> Problem:
    """The new products alone, in the model's codes."""
    n = products.num_rows
    present = [name for name in problem.numbers if name in products.column_names]
    return Problem(
        matrix=csr_matrix((n if problem.is_square else problem.num_queries, n), dtype=np.float32),
        types=types,
        num_types=problem.num_types,
        vectors=dense,
        words=vocabulary.word_rows(products),
        attributes=vocabulary.codes(products),
        prices=numeric_prices(products),
        numbers={name: _number(products, name, label) for name in present},
        is_square=problem.is_square,
    )


def _number(products: pa.Table, name: str, label: str) -> FloatArray:
    column = products.column(name)
    try:
        return number_values(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"{label}: column '{name}' holds {column.type}; the model was trained on numbers"
        ) from error


def _append_rows(known: pa.Table, new: pa.Table, label: str) -> pa.Table:
    """The model's columns over both; what the new products lack is null."""
    columns: dict[str, Any] = {}
    for name in known.column_names:
        column = known.column(name)
        if name not in new.column_names:
            more = pa.nulls(new.num_rows, column.type)
            columns[name] = pa.chunked_array([*column.chunks, more], column.type)
            continue
        try:
            columns[name] = _join(column, new.column(name))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise SchemaError(
                f"{label}: column '{name}' holds {new.column(name).type}; "
                f"the model's products hold {column.type}"
            ) from error
    return pa.table(columns)


def _join(known: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    parts = [pa.table({"column": column}) for column in (known, new)]
    try:
        # whole numbers go with fractions, nothing with anything
        return pa.concat_tables(parts, promote_options="permissive").column(0)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.chunked_array([*known.chunks, *new.cast(known.type).chunks], known.type)
