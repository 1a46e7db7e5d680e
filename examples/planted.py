"""How many planted complements were mined: precision and recall of the pairs flagged `complement`.

Usage: python examples/planted.py PAIRS TRUTH
"""

import argparse
import sys

import pyarrow.compute as pc
import pyarrow.parquet as pq


def main() -> None:
    """Compare both sets of directed pairs, print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs")
    parser.add_argument("truth")
    options = parser.parse_args()
    mined = pq.read_table(options.pairs, columns=["query_id", "candidate_id", "complement"])
    found = directed(mined.filter(pc.field("complement")).drop_columns(["complement"]).to_pylist())
    planted = directed(pq.read_table(options.truth).to_pylist())
    both = len(found & planted)
    sys.stdout.write(
        f"{len(found)} mined, {len(planted)} planted: "
        f"precision {both / len(found):.3f}, recall {both / len(planted):.3f}\n"
    )


def directed(rows: list[dict[str, str]]) -> set[tuple[str, str]]:
    """The pairs as a set."""
    return {(row["query_id"], row["candidate_id"]) for row in rows}


if __name__ == "__main__":
    main()
