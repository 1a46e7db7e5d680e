"""Batch answers against the bare matrix product of the same size, both in turn in this one run.

Usage: python examples/bench_batch.py [--sellers 4096] [--products 100000] [--dim 128] [--k 100]
       [--model FOLDER --queries 256]

Retrieval is that of `recommend --all --no-rank`: blocks of sellers, products they list taken out,
the k best with the total order, from vectors drawn at random with 30 listings a seller. A part of
300,000 sellers is measured and the whole of them told in proportion. With --model the ranker of a
trained model is timed too, beside the retrieval by all of its sources.
"""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from one_line import run
from scipy.sparse import csr_matrix

from cprtools import answers
from cprtools.baselines import Factorisation, Problem
from cprtools.ranking import TwoStage, candidate_pool, query_blocks
from cprtools.ranking.two_stage import known_mask, retrieve
from cprtools.training.reuse import reusing_memory

TURNS, LISTED, ALL = 5, 30, 300_000


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, size in (("sellers", 4096), ("products", 100_000), ("dim", 128), ("k", 100)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--model")
    parser.add_argument("--queries", type=int, default=256)
    args = parser.parse_args()
    model = answers.open_model(args.model) if args.model else None
    write_row(["batch", "seconds", "against", "seconds", "ratio", "of all, minutes"])
    write_row(["---"] * 6)
    # as `recommend --all` does
    with reusing_memory():
        against_product(args.sellers, args.products, args.dim, args.k)
        if model is not None:
            against_retrieval(model, args.queries, args.k)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    sys.stdout.write(f"\npeak memory {peak:.2f} GB\n")


def against_product(sellers: int, products: int, dim: int, k: int) -> None:
    """Retrieval of random vectors, and the product alone into memory that is there already."""
    random = np.random.default_rng(0)
    rows, columns = (random.standard_normal((n, dim), np.float32) for n in (sellers, products))
    listed = np.sort(random.integers(0, products, sellers * LISTED).reshape(sellers, LISTED))
    ends = np.arange(0, listed.size + 1, LISTED)
    matrix = csr_matrix((np.ones(listed.size, np.float32), listed.ravel(), ends))
    matrix.resize((sellers, products))
    types = np.zeros(products, dtype=np.int64)
    stage = TwoStage(Problem(matrix, types, 1), {"mf": Factorisation(rows, columns, {})})
    blocks = list(query_blocks(np.arange(sellers), products, 1))
    out = np.empty((len(blocks[0]), products), dtype=np.float32)

    def bare() -> None:
        for block in blocks:
            np.matmul(rows[block], columns.T, out=out[: len(block)])

    def ours() -> None:
        for block in blocks:
            stage.lists(block, known_mask(stage.problem, block, stage.pool), k)

    name = f"retrieval, {sellers:,} sellers x {products:,} products x {dim}, top {k}"
    compare(name, ours, "the matrix product", bare, ALL / sellers)


def against_retrieval(model: answers.Model, queries: int, k: int) -> None:
    """Evidence and trees of a trained seller model, and the retrieval by its sources."""
    stage = model.stage.restricted(candidate_pool(model.stage.problem))
    if stage.trees is None:
        raise SystemExit(f"{model.folder.name} has no ranker")
    size, number = len(stage.pool.members), stage.problem.num_queries
    asked = np.linspace(0, number - 1, min(queries, number)).astype(np.int64)
    blocks = list(query_blocks(asked, size, len(stage.sources)))
    masks = [known_mask(stage.problem, block, stage.pool) for block in blocks]

    def retrieval() -> None:
        for block, allowed in zip(blocks, masks, strict=True):
            scores = {name: source.score(block) for name, source in stage.sources.items()}
            retrieve(scores, allowed, stage.settings.per_source)

    def both() -> None:
        for block, allowed in zip(blocks, masks, strict=True):
            stage.lists(block, allowed, k)

    name = f"retrieval and ranker, {len(asked):,} of {number:,} queries, {size:,} candidates"
    compare(name, both, "retrieval by its sources", retrieval, number / len(asked))


def compare(
    name: str, ours: Callable[[], None], other: str, theirs: Callable[[], None], scale: float
) -> None:
    """One line: median seconds of the processor of both sides, run in turn, and of their ratio."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(TURNS + 1)][1:]
    first, second = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    row = [name, f"{first:.2f}", other, f"{second:.2f}", f"{ratio:.2f}"]
    write_row([*row, f"{first * scale / 60:.1f}"])


def seconds(act: Callable[[], None]) -> float:
    """Of all threads of the processor: other work on the machine counts less."""
    start = time.process_time()
    act()
    return time.process_time() - start


def write_row(cells: list[str]) -> None:
    """One line of the table, at once."""
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
