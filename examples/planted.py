"""How many planted complements were mined: precision and recall of the pairs learnt as such.

A line for each choice of `train-cpr --labels`; `cleaned` are the pairs flagged `complement`.

Usage: python examples/planted.py PAIRS TRUTH
"""

import argparse
import sys

import pyarrow.compute as pc
import pyarrow.parquet as pq

from cprtools.cpr.labels import LABELS, labelled


def main() -> None:
    """Compare both sets of directed pairs, print a line for each choice of labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs")
    parser.add_argument("truth")
    options = parser.parse_args()
    mined = pq.read_table(options.pairs)
    planted = directed(pq.read_table(options.truth).to_pylist())
    for labels in LABELS:
        learnt = labelled(mined, labels).filter(pc.field("complement"))
        found = directed(learnt.select(["query_id", "candidate_id"]).to_pylist())
        both = len(found & planted)
        sys.stdout.write(
            f"{labels}: {len(found)} mined, {len(planted)} planted: "
            f"precision {both / len(found):.3f}, recall {both / len(planted):.3f}\n"
        )


def directed(rows: list[dict[str, str]]) -> set[tuple[str, str]]:
    """The pairs as a set."""
    return {(row["query_id"], row["candidate_id"]) for row in rows}


if __name__ == "__main__":
    main()
