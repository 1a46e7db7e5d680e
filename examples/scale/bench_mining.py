"""mine-pairs against the plain SQL of the same definition, on one log and in one run.

Usage: python examples/scale/bench_mining.py FOLDER [--events 10000000] [--runs 1]

FOLDER keeps the log, so that another run finds it. Both sides use all processors; the plain query
may use as much memory as it likes.
"""

import argparse
import statistics
import sys
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parent))
from processes import keep_log, run_command

PLAIN = Path(__file__).with_name("plain_mining.sql")
COLUMNS = (
    "query_id, candidate_id, co_purchase, co_view, purchase_after_view, query_count, "
    'candidate_count, lift, complement, "similar"'
)


def main() -> None:
    """Print both sides' seconds, their ratio, and whether their rows are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain:
        mine_plainly(args.folder, args.plain)
        return
    log = keep_log(args.folder, args.events)
    ours, plain = args.folder / "ours.parquet", args.folder / "plain.parquet"
    pairs = [measure(log, ours, plain) for _ in range(args.runs)]
    first, second = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(slow / fast for fast, slow in pairs)
    lines = [
        f"{args.events:,} events, median of {args.runs}",
        f"cprtools mine-pairs  {first:8.1f} s",
        f"plain SQL            {second:8.1f} s",
        f"ratio                {ratio:8.1f}",
        f"rows that differ     {count_differences(ours, plain):8,} of {count_rows(ours):,}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def measure(log: Path, ours: Path, plain: Path) -> tuple[float, float]:
    """Seconds of both sides, one after the other."""
    mine = [sys.executable, "-m", "cprtools", "mine-pairs", str(log), "-q", "-o", str(ours)]
    query = [sys.executable, __file__, str(log), "--plain", str(plain)]
    return run_command(mine).seconds, run_command(query).seconds


def mine_plainly(log: Path, output: Path) -> None:
    """The plain query, read from and written to Parquet as the command does."""
    database = Path(f"{output}.duckdb")
    database.unlink(missing_ok=True)
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"CREATE TEMP VIEW log AS SELECT * FROM '{log}/**/*.parquet'")
        connection.execute(PLAIN.read_text(encoding="utf-8"))
        connection.execute(f"COPY pairs TO '{output}' (FORMAT parquet, COMPRESSION zstd)")
    database.unlink()


def count_rows(path: Path) -> int:
    """Rows of a Parquet file."""
    return len(duckdb.read_parquet(str(path)))


def count_differences(one: Path, other: Path) -> int:
    """Rows that only one of two files of pairs has; lift may differ in its last digits."""
    named = COLUMNS.replace("lift", "round(lift, 9) AS lift")
    rows = [f"SELECT {named} FROM '{path}'" for path in (one, other)]
    query = f"({rows[0]} EXCEPT {rows[1]}) UNION ALL ({rows[1]} EXCEPT {rows[0]})"
    return int(duckdb.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0])


if __name__ == "__main__":
    main()
