"""Events of a shop without those of held-out listings: they would tell what is to be foretold.

Usage: python examples/known_events.py EVENTS TRUTH OUT

What a seller sold it lists. Where EVENTS have a column seller_id, rows whose seller and product are
a row of TRUTH are left out; else all are kept.
"""

import argparse

import duckdb


def main() -> None:
    """Write the events that are left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("events", "truth", "out"):
        parser.add_argument(name)
    options = parser.parse_args()
    events = duckdb.read_parquet(options.events)
    if "seller_id" in events.columns:
        truth = duckdb.read_parquet(options.truth)
        # ids may be numbers in one table and text in the other
        same = " AND ".join(
            f"e.{name}::VARCHAR = t.{name}::VARCHAR" for name in ("seller_id", "product_id")
        )
        events = events.set_alias("e").join(truth.set_alias("t"), same, how="anti")
    events.write_parquet(options.out)


if __name__ == "__main__":
    main()
