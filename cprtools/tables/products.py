"""What a products table says in one word: each product's type and its category."""

import pyarrow as pa

from cprtools.errors import SchemaError
from cprtools.tables import columns as c
from cprtools.tables.light import pc


def product_types(products: pa.Table) -> pa.Array:
    """The type of each row: product_type, else category, else null (DESIGN.md 4).

    A list (a path from general to special) counts by its last entry.
    """
    return _first_known(products, [c.PRODUCT_TYPE, c.CATEGORY], last=True)


def categories(products: pa.Table) -> pa.Array:
    """The category of each row: category, else product_type, else null; of a list the first."""
    return _first_known(products, [c.CATEGORY, c.PRODUCT_TYPE], last=False)


def with_plain_types(products: pa.Table) -> pa.Table:
    """The products with `category` and `product_type` as one string each, as a graph holds them."""
    plain = {c.CATEGORY: categories(products), c.PRODUCT_TYPE: product_types(products)}
    return pa.table({**{n: products.column(n) for n in products.column_names}, **plain})


def _first_known(products: pa.Table, names: list[str], *, last: bool) -> pa.Array:
    known = [
        flatten_list(products.column(name).combine_chunks(), last=last)
        for name in names
        if name in products.column_names
    ]
    if not known:
        return pa.nulls(products.num_rows, pa.string())
    return pc.coalesce(*known) if len(known) > 1 else known[0]


def plain_text(column: pa.Array) -> pa.Array:
    """Any column of the products as text: of a list the first entry, null for what is empty."""
    return flatten_list(column, last=False)


def flatten_list(column: pa.Array, *, last: bool) -> pa.Array:
    """A string per row: the value itself, or the last (first) entry of a list, null when empty."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    while _is_list(column.type):
        rows = column.to_pylist()
        column = pa.array([(row[-1] if last else row[0]) if row else None for row in rows])
    try:
        texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"a category or other word holds {column.type}; expected text or lists of text"
        ) from error
    # exports write "" for what is not known
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
