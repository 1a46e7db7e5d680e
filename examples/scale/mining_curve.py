"""Seconds and peak memory of mine-pairs against the number of events, as a table and a plot.

Usage: python examples/scale/mining_curve.py FOLDER PLOT.png [--memory-limit 2GB]
       [--events 1000000,3000000,10000000,30000000,100000000]

FOLDER keeps the logs (1.3 GB for 100 million events), so that another run finds them.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

sys.path.insert(0, str(Path(__file__).parent))
from processes import Cost, keep_log, run_command

EVENTS = "1000000,3000000,10000000,30000000,100000000"


def main() -> None:
    """Mine logs of growing size and show what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("plot")
    parser.add_argument("--memory-limit", default="2GB")
    parser.add_argument("--events", default=EVENTS)
    args = parser.parse_args()
    sizes = [int(size) for size in args.events.split(",")]
    sys.stdout.write(
        "| events | seconds | events a second | peak memory, GB |\n|---|---|---|---|\n"
    )
    costs = []
    for size in sizes:
        cost = mine(args.folder, size, args.memory_limit)
        costs.append(cost)
        sys.stdout.write(
            f"| {size:,} | {cost.seconds:.1f} | {size / cost.seconds:,.0f} "
            f"| {cost.peak_gigabytes:.2f} |\n"
        )
        sys.stdout.flush()
    draw(sizes, costs, args.memory_limit, args.plot)


def mine(folder: Path, events: int, memory_limit: str) -> Cost:
    """What the command took on the log of that size, which is made first if it is not there."""
    log = keep_log(folder, events)
    output = str(folder / "pairs.parquet")
    words = [sys.executable, "-m", "cprtools", "mine-pairs", str(log), "-q", "-o", output]
    return run_command([*words, "--memory-limit", memory_limit])


def draw(sizes: list[int], costs: list[Cost], memory_limit: str, target: str) -> None:
    """Two panels over a logarithmic number of events: seconds, gigabytes."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.loglog(sizes, [cost.seconds for cost in costs], marker="o")
    left.set(title="Time", xlabel="events", ylabel="seconds")
    right.semilogx(sizes, [cost.peak_gigabytes for cost in costs], marker="o")
    right.set(title=f"Peak resident memory, --memory-limit {memory_limit}", xlabel="events")
    right.set(ylabel="GB", ylim=(0, None))
    for panel in (left, right):
        panel.grid(visible=True, alpha=0.3)
    figure.savefig(target, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
