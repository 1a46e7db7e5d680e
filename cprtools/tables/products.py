"""What a products table says in one word: each product's type and its category."""

import pyarrow as pa

from cprtools.errors import SchemaError
from cprtools.tables import columns as c
from cprtools.tables.light import pc


def product_types(products: pa.Table) -> pa.Array:
    """The type of each row: product_type, else category, else null (DESIGN.md 4).

    A list (a path from general to special) counts by its last entry.
    """
    return pc.coalesce(*(_words(products, n, last=True) for n in (c.PRODUCT_TYPE, c.CATEGORY)))


def categories(products: pa.Table) -> pa.Array:
    """The category of each row, null where unknown; of a list the first entry.

    Where no row has one the product_type stands for it: types of some rows among the categories
    of others would be small groups that hide their products from the large ones.
    """
    own = _words(products, c.CATEGORY, last=False)
    return own if own.null_count < len(own) else _words(products, c.PRODUCT_TYPE, last=False)


def with_plain_types(products: pa.Table) -> pa.Table:
    """The products with `category` and `product_type` as one string each, as a graph holds them."""
    plain = {c.CATEGORY: categories(products), c.PRODUCT_TYPE: product_types(products)}
    return pa.table({**{n: products.column(n) for n in products.column_names}, **plain})


def _words(products: pa.Table, name: str, *, last: bool) -> pa.Array:
    """The column as strings; nulls where it is missing."""
    if name not in products.column_names:
        return pa.nulls(products.num_rows, pa.string())
    return flatten_list(products.column(name), last=last)


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
    return without_blanks(texts)


def without_blanks(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The strings, null where there is nothing but blanks."""
    # exports write "" for what is not known
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), None, texts)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
