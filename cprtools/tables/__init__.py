"""Tables: the only room that opens files. Sources, schemas, atomic writes, footers, folders."""

from cprtools.tables import columns
from cprtools.tables.folders import Folder, open_folder, write_folder
from cprtools.tables.products import categories, product_types
from cprtools.tables.provenance import Footer, digest_rows, read_footer
from cprtools.tables.reading import cast_column, files_sql, quote_name, read, scan_sql
from cprtools.tables.schemas import (
    COMPLEMENT_RECOMMENDATIONS,
    EDGES,
    EVENTS,
    HIGH_DEMAND,
    LISTINGS,
    METRICS,
    NODES,
    PAGE_VIEWS,
    PAIRS,
    PRODUCT_LIST,
    PRODUCTS,
    QUERY_LIST,
    RELATIONS,
    SELLER_RECOMMENDATIONS,
    TRUTH_PAIRS,
    VECTORS,
    Field,
    TableSpec,
)
from cprtools.tables.source import STDIN, Source, open_table
from cprtools.tables.vectors import align, read_vectors, to_matrix, vector_array, vectors_table
from cprtools.tables.writing import check_writable, write, write_stdout, write_text

__all__ = [
    "COMPLEMENT_RECOMMENDATIONS",
    "EDGES",
    "EVENTS",
    "HIGH_DEMAND",
    "LISTINGS",
    "METRICS",
    "NODES",
    "PAGE_VIEWS",
    "PAIRS",
    "PRODUCTS",
    "PRODUCT_LIST",
    "QUERY_LIST",
    "RELATIONS",
    "SELLER_RECOMMENDATIONS",
    "STDIN",
    "TRUTH_PAIRS",
    "VECTORS",
    "Field",
    "Folder",
    "Footer",
    "Source",
    "TableSpec",
    "align",
    "cast_column",
    "categories",
    "check_writable",
    "columns",
    "digest_rows",
    "files_sql",
    "open_folder",
    "open_table",
    "product_types",
    "quote_name",
    "read",
    "read_footer",
    "read_vectors",
    "scan_sql",
    "to_matrix",
    "vector_array",
    "vectors_table",
    "write",
    "write_folder",
    "write_stdout",
    "write_text",
]
