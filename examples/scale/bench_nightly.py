"""A new day into a kept state against mining the whole log again, in one run.

Usage: python examples/scale/bench_nightly.py FOLDER [--events 10000000] [--min-count 2]

The log's last day, about 1% of its events, is added to a state of all days before.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bench_mining import count_differences, count_rows
from processes import keep_log, run_command


def main() -> None:
    """Print the seconds of each run, their ratios, and whether the rows are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--min-count", default="2")
    args = parser.parse_args()
    log = keep_log(args.folder, args.events)
    *before, last = sorted(log.iterdir())
    earlier = args.folder / f"earlier-{args.events}"
    link_days(earlier, before)
    state = args.folder / f"state-{args.events}"
    (state / "state.duckdb").unlink(missing_ok=True)

    options = ["-q", "--min-count", args.min_count]
    whole, night = args.folder / "whole.parquet", args.folder / "night.parquet"
    mine = [sys.executable, "-m", "cprtools", "mine-pairs"]
    all_days = f"{earlier}/*.parquet"
    full = run_command([*mine, str(log), *options, "-o", str(whole)]).seconds
    kept = run_command([*mine, all_days, *options, "--state", str(state), "-o", str(night)]).seconds
    added = [*mine, str(last), *options, "--state", str(state), "-o", str(night)]
    day = run_command(added).seconds
    differ = count_differences(whole, night)
    lines = [
        f"{args.events:,} events, the last day added to a state, --min-count {args.min_count}",
        f"all days, no state          {full:8.1f} s",
        f"all days but one, state     {kept:8.1f} s",
        f"the last day into the state {day:8.1f} s",
        f"share of a run with state   {day / kept:8.1%}",
        f"share of a run without      {day / full:8.1%}",
        f"rows that differ            {differ:8,} of {count_rows(whole):,}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def link_days(folder: Path, days: list[Path]) -> None:
    """One folder with a link to each day's file."""
    folder.mkdir(exist_ok=True)
    for day in days:
        link = folder / f"{day.name}.parquet"
        if not link.exists():
            link.symlink_to((day / "part-0.parquet").resolve())


if __name__ == "__main__":
    main()
