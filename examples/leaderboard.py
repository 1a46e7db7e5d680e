"""Markdown from several metrics files: a row per method, a column per metric.

Usage: python examples/leaderboard.py --metrics Hit@1,Hit@3,Hit@10 [--segments all,warm] FILE...

All segments are in one table; with --apart each has its own, below its name.
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
    parser.add_argument("--apart", action="store_true", help="a table for each segment")
    options = parser.parse_args()
    measured = {path: pq.read_table(path).to_pylist() for path in options.files}
    segments, metrics = options.segments.split(","), options.metrics.split(",")
    if not options.apart:
        heads = [m if s == "all" else f"{s}: {m}" for s in segments for m in metrics]
        sys.stdout.write(table(measured, heads, segments, metrics))
        return
    for segment in segments:
        sys.stdout.write(f"\n{segment}\n\n" + table(measured, metrics, [segment], metrics))


def table(
    measured: dict[str, list[dict[str, Any]]],
    heads: list[str],
    segments: list[str],
    metrics: list[str],
) -> str:
    """The methods' rows below these heads, one for each metric of each segment."""
    wanted = [(segment, metric) for segment in segments for metric in metrics]
    lines = [["method", *heads], ["---"] * (len(heads) + 1)]
    lines += [row(path, rows, wanted) for path, rows in measured.items()]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def row(path: str, rows: list[dict[str, Any]], wanted: list[tuple[str, str]]) -> list[str]:
    """Method and its values, each with its interval; a dash where the file has none."""
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
