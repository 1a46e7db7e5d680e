"""What may be returned: pairs to leave out, and the products to choose from."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.baselines.catalogue import index_in
from cprtools.errors import SchemaError, list_names
from cprtools.tables import LISTINGS, TRUTH_PAIRS, Source, open_table, read
from cprtools.tables import columns as c

BoolArray = npt.NDArray[np.bool_]


def open_excluded(name: str, mapping: Mapping[str, str]) -> Source:
    """The table of pairs that are never returned: listings, or pairs of products.

    Raises SchemaError where it has the columns of neither, DataError where it cannot be opened.
    """
    source = open_table(name, LISTINGS, mapping)
    for spec in (LISTINGS, TRUTH_PAIRS):
        source = replace(source, spec=spec)
        with contextlib.suppress(SchemaError):
            source.column_names()
            return source
    found = list_names(source.schema(every_line=True).names)
    raise SchemaError(
        f"{source.label}: needs query_id and candidate_id, or seller_id and product_id; "
        f"found {found}"
    )


def read_excluded(
    source: Source, query_ids: pa.Array, product_ids: pa.Array
) -> tuple[csr_matrix, int]:
    """The (queries, candidates) bool matrix of pairs that are never returned, and the table's rows.

    source: what `open_excluded` opened. Ids that the model does not know are no hindrance.
    """
    names = [field.name for field in source.spec.fields if field.required]
    table = read(source, only=names, allow_empty=True)
    rows = index_in(table.column(names[0]), query_ids)
    cols = index_in(table.column(names[1]), product_ids)
    known = (rows >= 0) & (cols >= 0)
    values = np.ones(int(known.sum()), dtype=bool)
    shape = (len(query_ids), len(product_ids))
    return csr_matrix((values, (rows[known], cols[known])), shape=shape), table.num_rows


def mask_of(products: pa.Table, product_ids: pa.Array, label: str) -> BoolArray:
    """(candidates,) bool: which are in the table. Raises SchemaError where none is."""
    found = index_in(products.column(c.PRODUCT_ID), product_ids)
    mask = np.zeros(len(product_ids), dtype=bool)
    mask[found[found >= 0]] = True
    if not mask.any():
        raise SchemaError(f"{label}: none of its {products.num_rows:,} products is in the model")
    return mask
