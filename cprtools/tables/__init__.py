"""Tables: the only room that opens files. Sources, schemas, atomic writes, footers, folders."""

from typing import TYPE_CHECKING

from cprtools import on_demand

if TYPE_CHECKING:
    from cprtools.tables import columns
    from cprtools.tables.caching import digest_texts, digest_tree, user_cache
    from cprtools.tables.casting import cast_column
    from cprtools.tables.differing import Difference, differ
    from cprtools.tables.duck import quote_name
    from cprtools.tables.faults import explain
    from cprtools.tables.folders import Folder, check_folder_writable, open_folder, write_folder
    from cprtools.tables.formats import text_format
    from cprtools.tables.inspection import Inspection, inspect_place
    from cprtools.tables.mapping import check_mapping, names_in_any
    from cprtools.tables.piping import STDIN, is_nameless, is_pipe, label_of
    from cprtools.tables.products import (
        categories,
        plain_text,
        product_types,
        with_plain_types,
        without_blanks,
    )
    from cprtools.tables.provenance import (
        Footer,
        describe_input,
        digest_file,
        digest_rows,
        parse_footer,
        read_footer,
        refuse_growing,
        refuse_overwriting,
    )
    from cprtools.tables.reading import read, read_any
    from cprtools.tables.scanning import scan_sql
    from cprtools.tables.schemas import (
        ANY,
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
        SELLERS,
        TRUTH_PAIRS,
        VECTORS,
        Field,
        TableSpec,
    )
    from cprtools.tables.showing import as_json, as_text
    from cprtools.tables.showing_differences import difference_json, difference_text
    from cprtools.tables.source import Source, open_table
    from cprtools.tables.tracing import Trace, trace
    from cprtools.tables.vectors import align, read_vectors, to_matrix, vector_array, vectors_table
    from cprtools.tables.vectorstore import VectorStore, text_digests
    from cprtools.tables.writing import (
        check_all_writable,
        check_tables_writable,
        check_writable,
        write,
        write_all,
        write_partitions,
        write_stdout,
        write_text,
        write_with_text,
    )

__getattr__ = on_demand(
    __name__,
    {
        "caching": "digest_texts digest_tree user_cache",
        "casting": "cast_column",
        "differing": "Difference differ",
        "duck": "quote_name",
        "faults": "explain",
        "folders": "Folder check_folder_writable open_folder write_folder",
        "formats": "text_format",
        "inspection": "Inspection inspect_place",
        "mapping": "check_mapping names_in_any",
        "piping": "STDIN is_nameless is_pipe label_of",
        "products": "categories plain_text product_types with_plain_types without_blanks",
        "provenance": "Footer describe_input digest_file digest_rows parse_footer read_footer "
        "refuse_growing refuse_overwriting",
        "reading": "read read_any",
        "scanning": "scan_sql",
        "schemas": "ANY COMPLEMENT_RECOMMENDATIONS EDGES EVENTS HIGH_DEMAND LISTINGS METRICS NODES "
        "PAGE_VIEWS PAIRS PRODUCT_LIST PRODUCTS QUERY_LIST RELATIONS "
        "SELLER_RECOMMENDATIONS SELLERS TRUTH_PAIRS VECTORS Field TableSpec",
        "showing": "as_json as_text",
        "showing_differences": "difference_json difference_text",
        "source": "Source open_table",
        "tracing": "Trace trace",
        "vectors": "align read_vectors to_matrix vector_array vectors_table",
        "vectorstore": "VectorStore text_digests",
        "writing": "check_all_writable check_tables_writable check_writable write write_all "
        "write_partitions write_stdout write_text write_with_text",
    },
)

__all__ = [
    "ANY",
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
    "SELLERS",
    "SELLER_RECOMMENDATIONS",
    "STDIN",
    "TRUTH_PAIRS",
    "VECTORS",
    "Difference",
    "Field",
    "Folder",
    "Footer",
    "Inspection",
    "Source",
    "TableSpec",
    "Trace",
    "VectorStore",
    "align",
    "as_json",
    "as_text",
    "cast_column",
    "categories",
    "check_all_writable",
    "check_folder_writable",
    "check_mapping",
    "check_tables_writable",
    "check_writable",
    "columns",
    "describe_input",
    "differ",
    "difference_json",
    "difference_text",
    "digest_file",
    "digest_rows",
    "digest_texts",
    "digest_tree",
    "explain",
    "inspect_place",
    "is_nameless",
    "is_pipe",
    "label_of",
    "names_in_any",
    "open_folder",
    "open_table",
    "parse_footer",
    "plain_text",
    "product_types",
    "quote_name",
    "read",
    "read_any",
    "read_footer",
    "read_vectors",
    "refuse_growing",
    "refuse_overwriting",
    "scan_sql",
    "text_digests",
    "text_format",
    "to_matrix",
    "trace",
    "user_cache",
    "vector_array",
    "vectors_table",
    "with_plain_types",
    "without_blanks",
    "write",
    "write_all",
    "write_folder",
    "write_partitions",
    "write_stdout",
    "write_text",
    "write_with_text",
]
