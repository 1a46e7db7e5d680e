"""One table from the same file of several seeds, ids prefixed with the seed.

Usage: python examples/pool.py PREFIX NAME SEED... -o FILE    (reads PREFIX + SEED + / + NAME)
"""

import argparse
import glob

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


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
        name: pc.binary_join_element_wise(seed, table.column(name), ":")
        if name.endswith("_id")
        else table.column(name)
        for name in table.column_names
    }
    return pa.table(columns)


if __name__ == "__main__":
    main()
