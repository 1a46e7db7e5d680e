"""Root edges per second of DGL's own heterograph loader with GraphSAGE layers, and of ours.

Usage: python examples/bench_training.py [--graph FOLDER --vectors TABLE] [--seconds 60]
       [--threads 1] [--batch-size 1024] [--fanout 3] [--negatives 4]

Without --graph a marketplace is made: sellers and products have specialities, products inside one
have a power law of popularity, sellers list from one or two of them, and what is bought together
is mostly of one. A twentieth of the listings of each seller with ten or more is held out.

A root edge is a listing that is predicted. Equal are: embedding dimension, layers, neighbours
drawn per node and layer (over all relations together), root edges per batch, negatives, optimiser
and its learning rate, initial vectors, threads. `sampled edges a root edge` is measured: edges of
all blocks, divided by root edges. DGL draws its negatives per root edge. Ours draws as many
products per batch, but tells every root edge from all of them and from the other root edges'
products; the rows `shared` have the default number of drawn products, and `bfloat16` is the
default precision where the processor multiplies such numbers; DGL's sides are in float32. Ours keep
what memory a step has freed, as `train-linkpred` does; DGL's do once as it comes, and once as ours.
The sides but the first train in turn, so that what else the machine does slows all alike, each
until it has had its seconds of training; then Recall@100 on the held-out listings is measured.
"""

import argparse
import sys
import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from dgl_sellers import DglSide
from one_line import run
from scipy.sparse import coo_matrix, csr_matrix

from cprtools.baselines import Problem
from cprtools.graph.homogeneous import HomogeneousGraph, make_graph
from cprtools.linkpred.features import NodeFeatures
from cprtools.linkpred.options import TrainingOptions
from cprtools.linkpred.training import Trainer
from cprtools.retrieval import top_k
from cprtools.training.reuse import reusing_memory

HEADS = ["side", "root edges a second", "over DGL", "sampled edges a root edge"]
HEADS += ["sampled edges a second", "negatives a root edge", "root edges trained", "Recall@100"]
K = 100
MOST_QUERIES = 1000
PER_SPECIALITY = 1000
"""Products of one speciality: a hundred of them are no easy guess."""


class Data(NamedTuple):
    """What to learn from, and what to find."""

    problem: Problem
    held_out: csr_matrix


class OurSide:
    """One training run of cprtools.linkpred that can be continued; counts what it went through."""

    def __init__(
        self, graph: HomogeneousGraph, vectors: Any, options: TrainingOptions, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.trainer = Trainer(graph, vectors, None, options, seed)
        self.num_negatives = self.trainer.batches.num_negatives
        self.roots = self.edges = self.negatives = self.steps = 0
        self.seconds = 0.0
        draw = self.trainer.sampler.sample

        def counted(roots: Any, supervision: Any) -> Any:
            blocks = draw(roots, supervision)
            self.edges += sum(len(block.edge) for block in blocks)
            return blocks

        self.trainer.sampler.sample = counted  # type: ignore[method-assign]

    def train(self, seconds: float) -> None:
        """Go on for so many seconds."""
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            batch = self.trainer.batches.draw()
            self.trainer.step(batch)
            self.steps += 1
            self.roots += len(batch.edges)
            self.negatives += self.num_negatives
        self.seconds += time.perf_counter() - start

    def embed(self) -> Any:
        """Vectors of all nodes from all their neighbours, sellers first."""
        return self.trainer.embed()


def main() -> None:
    """Train the sides in turn and show what they reached."""
    args = read_arguments()
    data = read_graph(args.graph, args.vectors) if args.graph else make_market(args)
    problem = data.problem
    graph = make_graph(problem.matrix, problem.co_purchases)
    say(
        f"{graph.num_sellers:,} sellers, {graph.num_products:,} products, "
        f"{problem.matrix.nnz:,} listings to learn from, {data.held_out.nnz:,} held out, "
        f"{graph.num_edges - 2 * problem.matrix.nnz:,} bought-with edges; {args.threads} thread(s)"
    )
    torch.set_num_threads(args.threads)
    show(train_sides(args, problem, graph), data)


def train_sides(
    args: argparse.Namespace, problem: Problem, graph: HomogeneousGraph
) -> dict[str, Any]:
    """All sides by name, trained; DGL's as it comes by itself, the others in turn."""
    options = {"batch_size": args.batch_size, "fanout": args.fanout, "threads": args.threads}
    shared = TrainingOptions(**options)
    equal = replace(shared, num_negatives=args.negatives * args.batch_size)
    short, equal_short = (replace(one, precision="bfloat16") for one in (shared, equal))
    with torch.no_grad():
        initial = NodeFeatures(graph, problem.vectors, 0)().numpy().copy()
    as_it_comes, keeping = (
        DglSide(graph, initial, equal, args.negatives, args.seed) for _ in range(2)
    )
    sides: dict[str, Any] = {
        "dgl, memory kept": keeping,
        "ours": OurSide(graph, problem.vectors, equal, args.seed),
        "ours, bfloat16": OurSide(graph, problem.vectors, equal_short, args.seed),
        "ours, shared": OurSide(graph, problem.vectors, shared, args.seed),
        "ours, shared, bfloat16": OurSide(graph, problem.vectors, short, args.seed),
    }
    as_it_comes.train(args.seconds)
    with reusing_memory():
        for _ in range(args.turns):
            for side in sides.values():
                side.train(args.seconds / args.turns)
    return {"dgl": as_it_comes, **sides}


def read_arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", help="graph folder of build-graph in place of a made one")
    parser.add_argument("--vectors", help="its product vectors")
    parser.add_argument("--sellers", type=int, default=30_000)
    parser.add_argument("--products", type=int, default=210_000)
    parser.add_argument("--listings", type=int, default=1_300_000)
    parser.add_argument("--bought", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--fanout", type=int, default=3)
    parser.add_argument("--negatives", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.graph and not args.vectors:
        parser.error("--graph needs --vectors")
    return args


def read_graph(graph: str, vectors: str) -> Data:
    """The problem of a graph folder, with listings held out."""
    from cprtools import tables
    from cprtools.linkpred.problem import build_problem

    folder = tables.open_folder(graph, ("graph",))
    built = build_problem(folder, [tables.open_table(vectors, tables.VECTORS, {})])
    return hold_out(built.problem, np.random.default_rng(0))


def make_market(args: argparse.Namespace) -> Data:
    """A marketplace with specialities, of the size asked for."""
    rng = np.random.default_rng(args.seed)
    groups = max(2, args.products // PER_SPECIALITY)
    members = np.array_split(rng.permutation(args.products), groups)
    speciality = np.empty(args.products, dtype=np.int64)
    for group, products in enumerate(members):
        speciality[products] = group
    own = rng.integers(groups, size=(args.sellers, 2))
    size = rng.pareto(1.5, args.sellers) + 0.3
    seller = np.searchsorted(np.cumsum(size / size.sum()), rng.random(args.listings))
    seller = np.minimum(seller, args.sellers - 1)
    group = own[seller, (rng.random(args.listings) < 0.2).astype(int)]
    product = draw_popular(rng, members, group, args.products)
    listings = matrix(seller, product, (args.sellers, args.products))
    one = rng.integers(args.products, size=args.bought)
    other = draw_popular(rng, members, speciality[one], args.products)
    bought = matrix(one, other, (args.products, args.products))
    centres = rng.standard_normal((groups, args.dim))
    noise = 2 * rng.standard_normal((args.products, args.dim))
    problem = Problem(
        listings,
        np.zeros(args.products, dtype=np.int64),
        1,
        vectors=(centres[speciality] + noise).astype(np.float32),
        co_purchases=bought.maximum(bought.T).tocsr(),
    )
    return hold_out(problem, rng)


def draw_popular(rng: Any, members: list[Any], group: Any, products: int) -> Any:
    """A product of each group, by a power law; one in ten of any group."""
    sizes = np.array([len(part) for part in members])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = (sizes[group] * rng.random(len(group)) ** 3).astype(np.int64)
    chosen = np.concatenate(members)[starts[group] + place]
    anything = rng.random(len(group)) < 0.1
    return np.where(anything, rng.integers(products, size=len(group)), chosen)


def matrix(rows: Any, columns: Any, shape: tuple[int, int]) -> csr_matrix:
    """Ones at the places given, each counted once."""
    found = coo_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape).tocsr()
    found.data[:] = 1
    return found


def hold_out(problem: Problem, rng: Any) -> Data:
    """A twentieth of the listings of sellers with ten or more, at random."""
    listings = problem.matrix.tocoo()
    size = np.bincount(listings.row, minlength=problem.num_queries)
    hidden = (rng.random(listings.nnz) < 1 / 20) & (size[listings.row] >= 10)
    parts = [
        matrix(listings.row[chosen], listings.col[chosen], listings.shape)
        for chosen in (~hidden, hidden)
    ]
    train = Problem(
        parts[0],
        problem.types,
        problem.num_types,
        vectors=problem.vectors,
        co_purchases=problem.co_purchases,
    )
    return Data(train, parts[1])


def recall(nodes: Any, data: Data) -> float:
    """Recall@100 over all products not listed in training, averaged over sellers."""
    train, held_out = data.problem.matrix, data.held_out
    sellers = np.flatnonzero(np.diff(held_out.indptr))[:MOST_QUERIES]
    products = nodes[train.shape[0] :]
    found = []
    for seller in sellers:
        scores = (products @ nodes[seller])[None, :]
        scores[:, train[seller].indices] = -np.inf
        best, _ = top_k(scores, min(K, len(products)))
        truth = held_out[seller].indices
        found.append(np.isin(truth, best).sum() / min(K, len(truth)))
    return float(np.mean(found))


def show(sides: dict[str, Any], data: Data) -> None:
    """The table."""
    say("| " + " | ".join(HEADS) + " |")
    say("| " + " | ".join(["---"] * len(HEADS)) + " |")
    base = sides["dgl"].roots / sides["dgl"].seconds
    for name, side in sides.items():
        pace = side.roots / side.seconds
        cells = [name, f"{pace:,.0f}", f"{pace / base:.2f}", f"{side.edges / side.roots:.0f}"]
        cells += [f"{side.edges / side.seconds:,.0f}", f"{side.negatives / side.roots:.2f}"]
        cells += [f"{side.roots:,}", f"{recall(side.embed(), data):.3f}"]
        say("| " + " | ".join(cells) + " |")


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
