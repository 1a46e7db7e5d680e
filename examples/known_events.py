"""Events of a shop without those of held-out listings: they would tell what is to be foretold.

Usage: python examples/known_events.py EVENTS TRUTH OUT

What a seller sold it lists. Where EVENTS have a column seller_id, rows whose seller and product are
a row of TRUTH are left out; else all are kept.
"""

import argparse

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.tables import LISTINGS
from cprtools.tables import columns as c
from cprtools.tables.casting import cast_sql


def main() -> None:
    """Write the events that are left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("events", "truth", "out"):
        parser.add_argument(name)
    options = parser.parse_args()
    events = duckdb.read_parquet(options.events)
    if c.SELLER_ID in events.columns:
        truth = duckdb.read_parquet(options.truth)
        # ids may be numbers in one table and text in the other, or numbers with gaps: 7.0 is 7
        same = " AND ".join(
            f"{id_sql('e', name, options.events)} = {id_sql('t', name, options.truth)}"
            for name in (c.SELLER_ID, c.PRODUCT_ID)
        )
        events = events.set_alias("e").join(truth.set_alias("t"), same, how="anti")
    events.write_parquet(options.out)


def id_sql(table: str, name: str, path: str) -> str:
    """The ids of a column as our commands read them."""
    field, stored = LISTINGS.field(name), pq.read_schema(path).field(name).type
    assert field is not None
    if pa.types.is_dictionary(stored):
        stored = stored.value_type
    return cast_sql(f"{table}.{name}", field, stored)


if __name__ == "__main__":
    main()
