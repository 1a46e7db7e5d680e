"""The whole road of the seller system on a simulated marketplace: time, memory, Recall@100.

Usage: python examples/scale/sellers_road.py FOLDER [--sellers 300000] [--methods gnn,mf]
       [--shards 2] [--gnn-options="--epochs 4"]

FOLDER gets the marketplace (`market`), made if it is not there, and what every command writes.
Vectors are static ones; every seller is answered with 100 products, by as many processes as there
are shards. Recall@100 is that of held-out listings; the oracle knows the true tastes.
"""

import argparse
import sys
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from processes import Cost, run_command, run_together

TEXT_DIM = "128"


def main() -> None:
    """Go the road and write a table row for each step as it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sellers", type=int, default=300_000)
    parser.add_argument("--methods", default="gnn,mf")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--gnn-options", default="--epochs 4")
    args = parser.parse_args()
    road = Road(args.folder, args.shards)
    say("| step | seconds | CPU seconds | peak memory, GB |\n|---|---|---|---|")
    road.prepare(args.sellers)
    recalls = {}
    for method in args.methods.split(","):
        road.answer(method, args.gnn_options.split() if method == "gnn" else [])
        recalls[method] = [road.recall(f"{method}-*.parquet", chosen) for chosen in (False, True)]
    recalls["oracle"] = ["", road.recall("market/oracle.parquet", True)]
    say("\n| method | Recall@100, all sellers | of the oracle's sellers |\n|---|---|---|")
    for method, found in recalls.items():
        say(f"| {method} | {' | '.join(found)} |")


class Road:
    """The folder and its commands."""

    def __init__(self, folder: Path, shards: int) -> None:
        self.folder, self.shards = folder, shards
        folder.mkdir(parents=True, exist_ok=True)
        self.market = folder / "market"

    def prepare(self, sellers: int) -> None:
        """The marketplace, its graph and the vectors of its products."""
        if not (self.market / "oracle.parquet").exists():
            maker = str(Path(__file__).with_name("simulate_marketplace.py"))
            words = [sys.executable, maker, str(self.market), "--sellers", str(sellers)]
            show("simulate", run_command(words))
        inputs = {"listings": "listings", "pairs": "pairs", "products": "products"}
        inputs |= {"high-demand": "high_demand", "views": "page_views"}
        named = [f"--{name}={self.market / table}.parquet" for name, table in inputs.items()]
        show("build-graph", self._run("build-graph", *named, "-o", self._at("graph")))
        vectors = ["--method", "static", "--dim", TEXT_DIM, "-o", self._at("text.parquet")]
        products = str(self.market / "products.parquet")
        show("embed-text", self._run("embed-text", products, *vectors))

    def answer(self, method: str, options: list[str]) -> None:
        """Train the method, and answer every seller."""
        model, vectors = self._at(f"{method}.model"), self._at("text.parquet")
        words = [self._at("graph"), "--vectors", vectors, "--method", method, *options]
        show(f"train-linkpred, {method}", self._run("train-linkpred", *words, "-o", model))
        asked = ["--all", "--category", "all", "--threshold", "0", "-k", "100"]
        shards = []
        for i in range(1, self.shards + 1):
            part = ["--shard", f"{i}/{self.shards}", "-o", self._at(f"{method}-{i}.parquet")]
            shards.append(command("recommend", "--model", model, *asked, *part))
        show(f"recommend, {method}, {self.shards} processes together", run_together(shards))

    def recall(self, answers: str, chosen: bool) -> str:
        """Recall@100 with its interval of the files that the pattern names.

        chosen: of the sellers that the oracle answers alone.
        """
        metrics = self._at("metrics.parquet")
        named = {"truth": "truth", "train": "listings", "high-demand": "high_demand"}
        named |= {"sellers": "oracle"} if chosen else {}
        tables = [f"--{kind}={self.market / table}.parquet" for kind, table in named.items()]
        self._run("evaluate", self._at(answers), *tables, "-o", metrics)
        for row in pq.read_table(metrics).to_pylist():
            if (row["metric"], row["k"], row["segment"]) == ("Recall", 100, "all"):
                return f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
        raise ValueError(f"{metrics}: no Recall@100")

    def _run(self, *words: str) -> Cost:
        return run_command(command(*words))

    def _at(self, name: str) -> str:
        return str(self.folder / name)


def command(*words: str) -> list[str]:
    """A command of cprtools that says nothing but what is wrong."""
    return [sys.executable, "-m", "cprtools", *words, "-q"]


def show(step: str, cost: Cost) -> None:
    """A row of the table."""
    figures = f"{cost.seconds:,.0f} | {cost.cpu_seconds:,.0f} | {cost.peak_gigabytes:.1f}"
    say(f"| {step} | {figures} |")


def say(line: str) -> None:
    """A line at once, since steps take minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
