"""One Markdown table from several metrics files: a row per method, a column per metric.

Usage: python examples/leaderboard.py --metrics Hit@1,Hit@3,Hit@10 [--segments all,warm] FILE...
"""

import argparse
import sys
from typing import Any

import pyarrow.parquet as pq


def main() -> None:
    """Read the files, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--metrics", required=True, help="such as Hit@10,Recall@100")
    parser.add_argument("--segments", default="all")
    options = parser.parse_args()
    wanted = [
        (segment, metric)
        for segment in options.segments.split(",")
        for metric in options.metrics.split(",")
    ]
    heads = [m if s == "all" else f"{s}: {m}" for s, m in wanted]
    lines = [["method", *heads], ["---"] * (len(heads) + 1)]
    lines += [row(path, wanted) for path in options.files]
    text = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    sys.stdout.write(text)


def row(path: str, wanted: list[tuple[str, str]]) -> list[str]:
    """Method and its values, each with its interval; a dash where the file has none."""
    rows = pq.read_table(path).to_pylist()
    values = {}
    for entry in rows:
        name = f"{entry['metric']}@{entry['k']}" if entry["k"] else entry["metric"]
        values[entry["segment"], name] = entry
    cells = []
    for key in wanted:
        cells.append(shown(values.get(key)))
    return [rows[0]["method"] if rows else path, *cells]


def shown(entry: dict[str, Any] | None) -> str:
    """The value, with its interval where it has one."""
    if entry is None or entry["value"] is None:
        return "-"
    if entry["ci_low"] is None:
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]"


if __name__ == "__main__":
    main()
