"""Pairs whose purchases of late count three times: what who knows the dates would count.

Usage: python examples/recent_counts.py PAIRS RECENT -o FILE

RECENT: pairs of the last of the orders behind PAIRS.
"""

import argparse

import duckdb
import pyarrow.parquet as pq


def main() -> None:
    """Read, add up, write sorted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs")
    parser.add_argument("recent")
    parser.add_argument("-o", dest="output", required=True)
    options = parser.parse_args()
    query = """
        SELECT p.* REPLACE (p.co_purchase + 2 * coalesce(r.co_purchase, 0) AS co_purchase)
        FROM read_parquet($pairs) p
        LEFT JOIN read_parquet($recent) r USING (query_id, candidate_id)
        ORDER BY query_id, candidate_id
    """
    given = {"pairs": options.pairs, "recent": options.recent}
    pq.write_table(duckdb.execute(query, given).to_arrow_table(), options.output)


if __name__ == "__main__":
    main()
