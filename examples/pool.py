"""One table from the same file of several seeds, ids prefixed with the seed.

Usage: python examples/pool.py PREFIX NAME SEED... -o FILE    (reads PREFIX + SEED + / + NAME)
"""

import argparse

import duckdb
import pyarrow.parquet as pq


def main() -> None:
    """Read, prefix, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefix")
    parser.add_argument("name")
    parser.add_argument("seeds", nargs="+")
    parser.add_argument("-o", dest="output", required=True)
    options = parser.parse_args()
    parts = []
    for seed in options.seeds:
        place = f"{options.prefix}{seed}/{options.name}"
        table = duckdb.execute(
            "SELECT * FROM read_parquet($place, union_by_name = true)", {"place": place}
        ).to_arrow_table()
        ids = [name for name in table.column_names if name.endswith("_id")]
        prefixed = ", ".join(f"'{int(seed)}:' || {name} AS {name}" for name in ids)
        parts.append(duckdb.sql(f"SELECT * REPLACE ({prefixed}) FROM table").to_arrow_table())
    joined = " UNION ALL BY NAME ".join(f"SELECT * FROM part{i}" for i in range(len(parts)))
    for i, part in enumerate(parts):
        duckdb.register(f"part{i}", part)
    pq.write_table(duckdb.sql(joined).to_arrow_table(), options.output)


if __name__ == "__main__":
    main()
