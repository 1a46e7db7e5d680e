"""One table from the same file of several seeds, ids prefixed with the seed.

Usage: python examples/pool.py PREFIX NAME SEED... -o FILE    (reads PREFIX + SEED + / + NAME)
"""

import argparse
import glob

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cprtools import tables

IDS = ("query_id", "candidate_id", "seller_id", "product_id")


def main() -> None:
    """Read, prefix, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefix")
    parser.add_argument("name")
    parser.add_argument("seeds", nargs="+")
    parser.add_argument("-o", dest="output", required=True)
    options = parser.parse_args()
    tables = [
        prefix(pa.concat_tables(map(pq.read_table, matching(options, seed))), seed)
        for seed in options.seeds
    ]
    pq.write_table(pa.concat_tables(tables, promote_options="default"), options.output)


def matching(options: argparse.Namespace, seed: str) -> list[str]:
    """The files of one seed; a name with * may stand for several."""
    return sorted(glob.glob(f"{options.prefix}{seed}/{options.name}"))


def prefix(table: pa.Table, seed: str) -> pa.Table:
    """The table with `SEED:` before every id; its footer is left out."""
    columns = {
        name: pc.binary_join_element_wise(seed, as_text(table.column(name), name), ":")
        if name in IDS
        else table.column(name)
        for name in table.column_names
    }
    return pa.table(columns)


def as_text(ids: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Ids as the commands read them: a table that was split only keeps its numbers."""
    return tables.cast_column(ids, tables.Field(name, pa.string()), "pool.py", name)


if __name__ == "__main__":
    main()
