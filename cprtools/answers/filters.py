"""What may be returned: pairs to leave out, and the products to choose from."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.answers.model import COMPLEMENTS, SELLERS
from cprtools.baselines.catalogue import index_in
from cprtools.errors import SchemaError, list_names
from cprtools.tables import LISTINGS, TRUTH_PAIRS, Source, open_table, read
from cprtools.tables import columns as c

BoolArray = npt.NDArray[np.bool_]


def open_excluded(name: str, mapping: Mapping[str, str], kind: str) -> Source:
    """The table of pairs that are never returned: of sellers listings, else pairs of products.

    kind: of the model. Raises SchemaError where it has not the columns of that kind, DataError
    where it cannot be opened. A seller's number may be a product's, too, so one is not taken for
    the other.
    """
    specs = {COMPLEMENTS: TRUTH_PAIRS, SELLERS: LISTINGS}
    names = {each: " and ".join(f.name for f in spec.fields[:2]) for each, spec in specs.items()}
    source = open_table(name, specs[kind], mapping)
    if _has_columns(source):
        return source
    for other in set(specs) - {kind}:
        if _has_columns(replace(source, spec=specs[other])):
            raise SchemaError(
                f"{source.label}: a {kind} model leaves out pairs of {names[kind]}; "
                f"found {names[other]}"
            )
    found = list_names(source.schema(every_line=True).names)
    raise SchemaError(f"{source.label}: needs {', or '.join(names.values())}; found {found}")


def _has_columns(source: Source) -> bool:
    with contextlib.suppress(SchemaError):
        source.column_names()
        return True
    return False


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
