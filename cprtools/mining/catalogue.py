"""The products table beside the log: which types there are, for the report."""

import pyarrow as pa

from cprtools.tables import columns as c
from cprtools.tables import product_types, read
from cprtools.tables.light import pc
from cprtools.tables.source import Source


def read_catalogue(products: Source) -> pa.Table:
    """`product_id` (string) and `type` (int32, null where unknown): one row per product.

    Two products are of one type if their numbers are equal (tables.product_types, DESIGN.md 4).
    Raises SchemaError for a table without product_id or with conflicting rows of one id.
    """
    table = read(products, only=[c.PRODUCT_ID, c.PRODUCT_TYPE, c.CATEGORY])
    types = pc.dictionary_encode(product_types(table))
    return pa.table({c.PRODUCT_ID: table.column(c.PRODUCT_ID), "type": types.indices})
