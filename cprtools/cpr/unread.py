"""Columns of the products that look like numbers and tell the model nothing."""

import pyarrow as pa

from cprtools.baselines import Problem
from cprtools.errors import list_names
from cprtools.tables import columns as c
from cprtools.tables.light import pc

# 007, 1,5 and numbers as long as barcodes are words; of a few products nothing can be said
_NUMBER = r"^\s*[+-]?(0|[1-9][0-9]{0,6})(\.[0-9]+)?\s*$"
_FEW = 20


def unread_columns(problem: Problem, products: pa.Table) -> list[str]:
    """A sentence for prices none of which reads as one, and for columns of numbers as text.

    products: the catalogue that the problem was built from.
    """
    found: list[str] = []
    if products.num_rows < _FEW:
        return found
    if c.PRICE in products.column_names and problem.prices is None:
        found.append(
            f"none of {products.num_rows:,} prices reads as a number above 0, such as 1299.00; "
            "they tell the model nothing"
        )
    names = [
        name
        for name in products.column_names
        if name not in (c.PRODUCT_ID, c.TITLE, c.PRODUCT_TYPE, c.CATEGORY, c.BRAND)
        and name not in problem.attributes
        and _is_numbers_as_text(products.column(name))
    ]
    if names:
        found.append(
            f"columns of numbers as text tell the model nothing: {list_names(names)}; "
            "Parquet and JSON lines hold numbers as such"
        )
    return found


def _is_numbers_as_text(column: pa.ChunkedArray) -> bool:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    known = pc.drop_null(column)
    known = known.filter(pc.not_equal(pc.utf8_trim_whitespace(known), ""))
    is_number = pc.all(pc.match_substring_regex(known, _NUMBER)).as_py()
    return len(known) > 0 and bool(is_number) and len(pc.unique(known)) > 1
