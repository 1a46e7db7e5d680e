"""What a pass over the edges to predict costs, over the size of the graph, by how they are drawn.

Usage: python examples/scale/sampling_curve.py FOLDER PLOT.png [--sellers 1000,3000,10000,30000]

Of simulated marketplaces of growing size. `uniform` takes every listing and bought-with pair as a
root once, `stratified` (the default of `train-linkpred`) the listings of products in high demand
and of each seller's three most viewed; both draw as many neighbours. Sampled edges are those
along which messages pass, over all layers. Both are measured over a few steps of training, with
random vectors in place of texts, and multiplied up to a pass: an epoch of `train-linkpred` has
200 steps at most.
FOLDER keeps the marketplaces, so that another run finds them.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot

from cprtools import tables
from cprtools.graph.homogeneous import HomogeneousGraph, make_graph
from cprtools.linkpred.options import TrainingOptions
from cprtools.linkpred.problem import BuiltProblem, build_problem
from cprtools.linkpred.training import Trainer

sys.path.insert(0, str(Path(__file__).parent))
from processes import run_command, write_row

SELLERS = "1000,3000,10000,30000"
SAMPLINGS = ("uniform", "stratified")
STEPS = 5
DIM = 128
HEADS = ["sellers", "nodes", "edges", "sampling", "root edges", "sampled edges", "CPU seconds"]


class PassCost(NamedTuple):
    """What it takes to predict every root edge once."""

    roots: int
    sampled: float
    seconds: float
    """Of the processor, one thread."""


def main() -> None:
    """Measure marketplaces of growing size and show what each takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("plot")
    parser.add_argument("--sellers", default=SELLERS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    write_row(HEADS)
    write_row(["---"] * len(HEADS))
    edges, costs = [], []
    for size in args.sellers.split(","):
        built = read_market(args.folder / f"market-{size}", int(size))
        graph = make_graph(built.problem.matrix, built.problem.co_purchases, built.views)
        found = {sampling: measure(graph, built, sampling) for sampling in SAMPLINGS}
        for sampling, cost in found.items():
            cells = [f"{int(size):,}", f"{graph.num_nodes:,}", f"{graph.num_edges:,}", sampling]
            write_row([*cells, f"{cost.roots:,}", f"{cost.sampled:,.0f}", f"{cost.seconds:.1f}"])
        edges.append(graph.num_edges)
        costs.append(found)
    draw(edges, costs, args.plot)


def read_market(place: Path, sellers: int) -> BuiltProblem:
    """The problem of a marketplace of that size, made if it is not there."""
    if not (place / "truth.parquet").exists():
        generator = str(Path(__file__).with_name("simulate_marketplace.py"))
        run_command([sys.executable, generator, str(place), "--sellers", str(sellers)])
    if not (place / "graph").exists():
        words = [sys.executable, "-m", "cprtools", "build-graph", "-q"]
        for option, name in (
            ("--listings", "listings"),
            ("--pairs", "pairs"),
            ("--products", "products"),
            ("--high-demand", "high_demand"),
            ("--views", "page_views"),
        ):
            words += [option, str(place / f"{name}.parquet")]
        run_command([*words, "-o", str(place / "graph")])
    return build_problem(tables.open_folder(str(place / "graph"), ("graph",)), [])


def measure(graph: HomogeneousGraph, built: BuiltProblem, sampling: str) -> PassCost:
    """Train a few steps, count and time them, and multiply up to all root edges."""
    vectors = np.random.default_rng(0).normal(size=(graph.num_products, DIM)).astype(np.float32)
    options = TrainingOptions.checked({"sampling": sampling})
    torch.manual_seed(0)
    trainer = Trainer(graph, vectors, built.problem.is_candidate, options, 0)
    # the first step pays for what later ones find ready
    trainer.step(trainer.batches.draw())
    sampler = trainer.sampler
    roots, sampled, started = sampler.num_roots, sampler.num_sampled, time.process_time()
    for _ in range(STEPS):
        trainer.step(trainer.batches.draw())
    seconds = time.process_time() - started
    every = len(trainer.batches.edges)
    times = every / (sampler.num_roots - roots)
    return PassCost(every, times * (sampler.num_sampled - sampled), times * seconds)


def draw(edges: list[int], costs: list[dict[str, PassCost]], target: str) -> None:
    """Sampled edges and seconds of a pass against the graph's edges, all logarithmic."""
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for panel, field, title in (
        (panels[0], "sampled", "sampled edges of a pass"),
        (panels[1], "seconds", "seconds of the processor, a pass"),
    ):
        for sampling, marker in zip(SAMPLINGS, "os", strict=True):
            values = [getattr(found[sampling], field) for found in costs]
            panel.loglog(edges, values, marker=marker, label=sampling)
        panel.set(xlabel="directed edges of the graph", title=title)
        panel.grid(visible=True, alpha=0.3)
        panel.legend()
    figure.savefig(target, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
