"""Seconds per epoch of train-cpr against the number of complement pairs, as a table and a plot.

Usage: python examples/scale/training_curve.py FOLDER PLOT.png [--pairs 200000,1000000,5000000]
       [--runs 1]

The retrieval model alone (`--no-ranker`). Seconds per epoch are the difference between whole
commands of three epochs and of one, divided by two: reading, preparing and writing fall out of it.
An epoch may have fewer steps than it takes to see every query once (`max_steps` of the model's
settings), so beside it stand the seconds of a pass over all queries: seconds per epoch, times
queries, divided by the queries of an epoch. What an epoch does once, such as measuring Hit@10 on
the validation part, is in both. FOLDER keeps the tables, so that another run finds them.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pyarrow.compute as pc
import pyarrow.parquet as pq

matplotlib.use("Agg")
from matplotlib import pyplot

sys.path.insert(0, str(Path(__file__).parent))
from processes import run_command, write_row

PAIRS = "200000,1000000,5000000"
EPOCHS = (1, 3)
# a small catalogue is gone through several times in one epoch
LEAST_STEPS = 20
HEADS = ["pairs", "products", "queries", "steps an epoch", "queries an epoch"]
HEADS += ["seconds an epoch", "seconds a pass", "a pass, seconds per million pairs"]
HEADS += ["whole command of 3 epochs, seconds", "peak memory, GB"]


class Timing(NamedTuple):
    """What training on tables of one size took."""

    pairs: int
    products: int
    queries: int
    steps: int
    batch: int
    epoch: float
    whole: float
    peak_gigabytes: float

    @property
    def seconds_per_pass(self) -> float:
        """Seconds to see every query once, at the pace of the epoch."""
        return self.epoch * self.queries / (self.steps * self.batch)


def main() -> None:
    """Train on tables of growing size and show what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("plot")
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--runs", type=int, default=1, help="the median of so many is shown")
    args = parser.parse_args()
    write_row(HEADS)
    write_row(["---"] * len(HEADS))
    timings = []
    for size in args.pairs.split(","):
        timing = measure(keep_tables(args.folder, int(size)), args.runs)
        timings.append(timing)
        counts = [timing.pairs, timing.products, timing.queries, timing.steps]
        counts.append(timing.steps * timing.batch)
        a_pass = timing.seconds_per_pass
        times = [timing.epoch, a_pass, a_pass / timing.pairs * 1e6, timing.whole]
        cells = [f"{count:,}" for count in counts] + [f"{seconds:.1f}" for seconds in times]
        write_row([*cells, f"{timing.peak_gigabytes:.2f}"])
    draw(timings, args.plot)


def keep_tables(folder: Path, pairs: int) -> Path:
    """The tables of that size in the folder, made by complements.py if they are not there."""
    place = folder / f"complements-{pairs}"
    if not (place / "products.parquet").exists():
        generator = str(Path(__file__).with_name("complements.py"))
        run_command([sys.executable, generator, str(place), "--pairs", str(pairs)])
    return place


def measure(place: Path, runs: int) -> Timing:
    """Time both numbers of epochs, in turn, and look at what was trained."""
    costs = [[train(place, epochs) for epochs in EPOCHS] for _ in range(runs)]
    settings = [read_settings(place, epochs) for epochs in EPOCHS]
    more = settings[1]["epochs_run"] - settings[0]["epochs_run"]
    seconds = statistics.median((many.seconds - few.seconds) / more for few, many in costs)
    pairs = pq.read_table(place / "pairs.parquet", columns=["query_id", "complement"])
    complements = pairs.filter(pairs.column("complement"))
    queries = pc.count_distinct(complements.column("query_id")).as_py()
    batch = settings[1]["batch_size"]
    once = -(-queries // batch)
    return Timing(
        pairs=complements.num_rows,
        products=pq.read_metadata(place / "products.parquet").num_rows,
        queries=queries,
        steps=min(max(once, LEAST_STEPS), settings[1].get("max_steps") or once),
        batch=batch,
        epoch=seconds,
        whole=statistics.median(many.seconds for _, many in costs),
        peak_gigabytes=max(many.peak_gigabytes for _, many in costs),
    )


def train(place: Path, epochs: int) -> Any:
    """What the command took."""
    words = [sys.executable, "-m", "cprtools", "train-cpr", str(place / "pairs.parquet")]
    words += ["--products", str(place / "products.parquet"), "--no-ranker", "-q"]
    return run_command([*words, "--epochs", str(epochs), "-o", str(model_of(place, epochs))])


def model_of(place: Path, epochs: int) -> Path:
    """Where the model of so many epochs goes."""
    return place / f"{epochs}.model"


def read_settings(place: Path, epochs: int) -> dict[str, Any]:
    """The settings that a model was trained with, and how many epochs it ran."""
    table = pq.read_table(model_of(place, epochs) / "p_companion_settings.parquet")
    return dict(table.to_pylist()[0])


def draw(timings: list[Timing], target: str) -> None:
    """Seconds against pairs, both logarithmic, beside a line of seconds in proportion to pairs."""
    figure, panel = pyplot.subplots(figsize=(5.5, 4), layout="constrained")
    pairs = [timing.pairs for timing in timings]
    passes = [timing.seconds_per_pass for timing in timings]
    panel.loglog(pairs, passes, marker="o", label="a pass over all queries")
    panel.loglog(pairs, [timing.epoch for timing in timings], marker="s", label="an epoch")
    line = [passes[0] * count / pairs[0] for count in pairs]
    panel.loglog(pairs, line, linestyle=":", color="grey", label="in proportion to pairs")
    panel.set(title="train-cpr --no-ranker", xlabel="complement pairs", ylabel="seconds")
    panel.set_xticks(pairs, [f"{count:,}" for count in pairs])
    panel.set_xticks([], minor=True)
    panel.grid(visible=True, alpha=0.3)
    panel.legend()
    figure.savefig(target, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
