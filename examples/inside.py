"""Pairs whose two products are both in the catalogue: what a recommender could have found.

Usage: python examples/inside.py PAIRS PRODUCTS -o FILE      (PAIRS: a file or a folder of files)
"""

import argparse
from pathlib import Path

import duckdb
import pyarrow.parquet as pq


def main() -> None:
    """Read, filter, write sorted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs")
    parser.add_argument("products")
    parser.add_argument("-o", dest="output", required=True)
    options = parser.parse_args()
    pairs = options.pairs + ("/*.parquet" if Path(options.pairs).is_dir() else "")
    query = """
        SELECT * FROM read_parquet($pairs)
        WHERE query_id IN (SELECT product_id FROM read_parquet($products))
          AND candidate_id IN (SELECT product_id FROM read_parquet($products))
        ORDER BY query_id, candidate_id
    """
    given = {"pairs": pairs, "products": options.products}
    pq.write_table(duckdb.execute(query, given).to_arrow_table(), options.output)


if __name__ == "__main__":
    main()
