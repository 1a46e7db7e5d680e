"""The seller article's ablation: one row per part of the graph model, Recall@100 and what it costs.

Usage: python examples/ablation_sellers.py GRAPH --train TRAIN --truth TRUTH [--vectors VECTORS]...
           [--demand N] [--seed 0] [--epochs 12] [--every-neighbour] [--count-only]
           [--purchases-at-sellers]

GRAPH holds everything: additional nodes and co-purchases are taken out of it for the rows without
them. `--demand N`: the N most listed products of TRAIN are the ones in high demand. Candidates and
held-out listings are of products in high demand only. Rows up to the ranker are the graph model
alone, trained once with a tenth of the listings held out to stop by. The whole recipe is measured
with either way of sampling: what stratified sampling costs a user is the difference of these two.

Compute is counted per epoch: root edges (those that are predicted) and sampled edges (those along
which messages pass, over all layers), the same on any machine, and seconds of the processor.
"uniform" takes its roots from every listing and bought-with pair of the graph, "stratified" from
the listings of products in high demand and of each seller's three most viewed; an epoch takes as
many roots as there are, but no more than 200 batches.
Both draw at most `fanout` neighbours per node and layer over all relations together. The last rows
are counted on a few batches of the whole graph, for every root once: also with `fanout` neighbours
of each relation, and with every neighbour in every layer, which `--every-neighbour` trains, too.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import torch
from one_line import run
from scipy.sparse import csr_matrix, diags
from torch import Tensor

from cprtools import tables
from cprtools.baselines import Factorisation, Popularity, Problem
from cprtools.evaluation import evaluate_sellers
from cprtools.graph.homogeneous import LISTS, HomogeneousGraph, make_graph, supervision_edges
from cprtools.graph.sampling import TensorSampler, draw_distinct
from cprtools.linkpred import recipe
from cprtools.linkpred.batches import BatchMaker
from cprtools.linkpred.model import Effort, GraphModel
from cprtools.linkpred.options import TrainingOptions
from cprtools.linkpred.problem import BuiltProblem, build_problem
from cprtools.ranking import query_blocks
from cprtools.tables import columns as c

K = 100
COUNTED_BATCHES = 3
HEADS = ["", "Recall@100", "epochs", "root edges an epoch", "sampled edges an epoch"]
HEADS += ["CPU seconds an epoch", "sampled edges of uniform", "time of uniform"]
Lists = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]


class EveryNeighbour(TensorSampler):
    """Messages along every edge into a node that is not excluded."""

    def _choose_edges(self, nodes: Tensor, fanout: int) -> tuple[Tensor, Tensor]:
        size = self.degree[nodes]
        target = torch.arange(len(nodes)).repeat_interleave(size)
        place = torch.arange(len(target)) - (torch.cumsum(size, 0) - size)[target]
        return target, self.slots[self.indptr[nodes[target]] + place]


class PerRelation(TensorSampler):
    """At most `fanout` edges of each relation, as DGL's loaders count: only to be counted.

    Predicted edges are not left out, which makes next to no difference to how many are drawn.
    """

    def __init__(self, graph: HomogeneousGraph, fanout: Sequence[int], seed: int = 0) -> None:
        super().__init__(graph, fanout, seed)
        # edges into a node are sorted by their source, and sellers come before products
        ahead = graph.destinations[graph.relations == LISTS]
        self.listed = torch.from_numpy(np.bincount(ahead, minlength=graph.num_nodes))

    def _choose_edges(self, nodes: Tensor, fanout: int) -> tuple[Tensor, Tensor]:
        listed, every = self.listed[nodes], self.degree[nodes]
        parts = []
        for start, size in ((torch.zeros_like(listed), listed), (listed, every - listed)):
            chosen = draw_distinct(size, fanout, self.generator)
            target, column = (chosen >= 0).nonzero(as_tuple=True)
            first = self.indptr[nodes[target]] + start[target]
            parts.append((target, first + chosen[target, column]))
        return torch.cat([parts[0][0], parts[1][0]]), torch.cat([parts[0][1], parts[1][1]])


@dataclass(frozen=True)
class Setting:
    """What all rows share."""

    built: BuiltProblem
    train: pa.Table
    truth: pa.Table
    epochs: int
    seed: int
    purchases_at_sellers: bool = False

    def recall(self, lists: Lists) -> str:
        """Recall@100 with its interval, of the lists of sellers with held-out listings."""
        problem, ids = self.built.problem, self.built.catalogue.ids
        names = self.built.sellers.column(c.SELLER_ID).combine_chunks()
        demand = np.flatnonzero(candidates(problem))
        sellers = np.flatnonzero(np.isin(names.to_pylist(), self.truth[c.SELLER_ID].to_pylist()))
        parts = []
        for block in query_blocks(sellers, problem.num_candidates, 4):
            allowed = np.tile(candidates(problem), (len(block), 1))
            allowed[problem.matrix[block].nonzero()] = False
            for seller, best in zip(block, lists(block, allowed), strict=True):
                parts.append((np.full(len(best), seller), best, np.arange(1, len(best) + 1)))
        seller, product, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
        recs = pa.table(
            {
                c.SELLER_ID: names.take(pa.array(seller)),
                c.RANK: rank,
                c.PRODUCT_ID: ids.take(pa.array(product)),
            }
        )
        found = evaluate_sellers(
            recs,
            self.truth,
            train=self.train,
            high_demand=pa.table({c.PRODUCT_ID: ids.take(pa.array(demand))}),
            ks=(K,),
        )
        rows = [
            row
            for row in found.metrics.to_pylist()
            if (row[c.METRIC], row[c.SEGMENT]) == ("Recall", "all")
        ]
        value = rows[0]
        return f"{value[c.VALUE]:.3f} [{value[c.CI_LOW]:.3f}, {value[c.CI_HIGH]:.3f}]"

    def graph_model(self, problem: Problem, **options: Any) -> GraphModel:
        """The graph model of a problem, page views known for its own listings only."""
        views = self.built.views.multiply(problem.matrix > 0).tocsr()
        return GraphModel.fit(problem, seed=self.seed, views=views, epochs=self.epochs, **options)


def candidates(problem: Problem) -> np.ndarray:
    """(products,) bool: may be recommended."""
    if problem.is_candidate is None:
        return np.ones(problem.num_candidates, dtype=bool)
    return problem.is_candidate


def without_additional(problem: Problem) -> Problem:
    """Listings of products in high demand alone, and no co-purchases."""
    kept = (problem.matrix @ diags(candidates(problem).astype(np.float32))).tocsr()
    kept.eliminate_zeros()
    return replace(problem, matrix=csr_matrix(kept, dtype=np.float32), co_purchases=None)


def best_of(model: Any) -> Lists:
    """The K best allowed products by a model's scores."""

    def lists(block: np.ndarray, allowed: np.ndarray) -> list[np.ndarray]:
        scores = np.where(allowed, model.score(block), -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        return [row[np.isfinite(scores[i, row])] for i, row in enumerate(order)]

    return lists


def effort_cells(effort: Effort, uniform: Effort) -> list[str]:
    """Compute per epoch, and as a share of that of uniform sampling on the whole graph."""
    return [
        str(effort.epochs),
        f"{effort.root_edges:,.0f}",
        f"{effort.sampled_edges:,.0f}",
        f"{effort.seconds:.1f}",
        f"{effort.sampled_edges / uniform.sampled_edges:.2f}",
        f"{effort.seconds / uniform.seconds:.2f}",
    ]


def count(setting: Setting, sampling: str, kind: type[TensorSampler]) -> Effort:
    """What all root edges once cost on the whole graph, from a few batches; nothing is learned."""
    problem = setting.built.problem
    graph = make_graph(problem.matrix, problem.co_purchases, setting.built.views)
    options = TrainingOptions.checked({"sampling": sampling})
    edges = supervision_edges(graph, problem.is_candidate, sampling)
    rng = np.random.default_rng(setting.seed)
    batches = BatchMaker(graph, edges, problem.is_candidate, options, rng)
    sampler = kind(graph, options.fanouts(), setting.seed)
    for _ in range(COUNTED_BATCHES):
        batch = batches.draw()
        sampler.sample(batch.roots, batch.edges)
    # an epoch has a limit of steps, which on a large graph do not see every root edge
    share = len(edges) / sampler.num_roots
    return Effort(0, len(edges), share * sampler.num_sampled, 0.0)


def counted_rows(setting: Setting) -> Iterator[list[str]]:
    """Compute of each way to sample, counted and not trained."""
    uniform = count(setting, "uniform", TensorSampler)
    for label, sampling, kind in (
        ("uniform sampling", "uniform", TensorSampler),
        ("uniform sampling, fanout per relation", "uniform", PerRelation),
        ("uniform sampling, every neighbour", "uniform", EveryNeighbour),
        ("stratified sampling", "stratified", TensorSampler),
    ):
        found = count(setting, sampling, kind)
        roots, sampled = f"{found.root_edges:,.0f}", f"{found.sampled_edges:,.0f}"
        share = f"{found.sampled_edges / uniform.sampled_edges:.3f}"
        yield [f"counted: {label}", "", "", roots, sampled, "", share, ""]


def graph_rows(problem: Problem) -> dict[str, tuple[Problem, dict[str, str]]]:
    """Rows of the graph model, each with one part more, as far as the data have it."""
    small = without_additional(problem)
    same = small.matrix.nnz == problem.matrix.nnz and problem.co_purchases is None
    plain = {"init": "random", "sampling": "uniform"}
    rows = {"gnn, random initial vectors, uniform sampling": (small, plain)}
    if not same:
        rows["+ additional nodes and co-purchases"] = (problem, plain)
    if problem.vectors is not None:
        rows["+ features"] = (problem, {"sampling": "uniform"})
    init = {} if problem.vectors is not None else {"init": "random"}
    rows["+ stratified sampling"] = (problem, init)
    return rows


def rows_of(setting: Setting, every_neighbour: bool) -> Iterator[list[str]]:
    """Every row of the table, as cells; what uniform sampling costs is known after its row."""
    problem = setting.built.problem
    popular = setting.recall(best_of(Popularity.fit(problem)))
    yield [Popularity.method, popular, "", "", "", "", "", ""]
    small = without_additional(problem)
    variants = {"mf": problem}
    if small.matrix.nnz < problem.matrix.nnz:
        variants = {"mf, listings in high demand alone": small, "mf": problem}
    for label, variant in variants.items():
        settings = Factorisation.settings_for(variant, seed=setting.seed)
        settings.pop("validation", None)
        started = time.process_time()
        model = Factorisation.fit(variant, seed=setting.seed, **settings)
        seconds = f"{time.process_time() - started:.1f} in all"
        yield [label, setting.recall(best_of(model)), "", "", "", seconds, "", ""]
    found: list[tuple[str, str, Effort]] = []
    for label, (variant, options) in graph_rows(problem).items():
        graph_model = setting.graph_model(variant, **options)
        assert graph_model.effort is not None
        found.append((label, setting.recall(best_of(graph_model)), graph_model.effort))
    uniform = found[-2][2]
    for label, recall, effort in found:
        yield [label, recall, *effort_cells(effort, uniform)]
    yield ["+ ranker (the default)", ranked(setting), "", "", "", "", "", ""]
    yield ["the same with uniform sampling", ranked(setting, "uniform"), "", "", "", "", "", ""]
    if every_neighbour:
        yield unlimited(setting, uniform)


def ranked(setting: Setting, sampling: str = "stratified") -> str:
    """Recall@100 of the whole recipe."""
    options = {"epochs": setting.epochs, "sampling": sampling}
    stage = recipe.train(
        setting.built,
        GraphModel.method,
        options=options,
        purchases_at_sellers=setting.purchases_at_sellers,
        seed=setting.seed,
    )

    def lists(block: np.ndarray, allowed: np.ndarray) -> list[np.ndarray]:
        return [cols[:K] for cols, _ in stage.lists(block, allowed, K)]

    return setting.recall(lists)


def unlimited(setting: Setting, uniform: Effort) -> list[str]:
    """The row of uniform roots and every neighbour, trained like the others."""
    every = mock.Mock(side_effect=lambda graph, fanout, **given: EveryNeighbour(graph, fanout))
    with mock.patch("cprtools.linkpred.training.make_sampler", every):
        model = setting.graph_model(setting.built.problem, sampling="uniform")
    assert model.effort is not None
    label = "uniform sampling, every neighbour"
    return [label, setting.recall(best_of(model)), *effort_cells(model.effort, uniform)]


def main() -> None:
    """Read the tables, print one row after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("graph")
    parser.add_argument("--train", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--vectors", action="append", default=[])
    parser.add_argument("--demand", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=TrainingOptions.epochs)
    parser.add_argument("--every-neighbour", action="store_true")
    parser.add_argument("--purchases-at-sellers", action="store_true", help="for the ranker")
    parser.add_argument("--count-only", action="store_true", help="sample a little, learn nothing")
    options = parser.parse_args()
    graph = tables.open_folder(options.graph, ("graph",))
    built = build_problem(graph, [tables.open_table(v, tables.VECTORS) for v in options.vectors])
    if options.demand:
        # products are numbered by falling number of listings
        in_demand = np.arange(built.problem.num_candidates) < options.demand
        built = replace(built, problem=replace(built.problem, is_candidate=in_demand))
    train, truth = (
        tables.read(tables.open_table(name, tables.LISTINGS))
        for name in (options.train, options.truth)
    )
    at_sellers = options.purchases_at_sellers
    setting = Setting(built, train, truth, options.epochs, options.seed, at_sellers)
    write_line(HEADS)
    write_line(["---"] * len(HEADS))
    if not options.count_only:
        for cells in rows_of(setting, options.every_neighbour):
            write_line(cells)
    for cells in counted_rows(setting):
        write_line(cells)


def write_line(cells: list[str]) -> None:
    """One row of the table, at once."""
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
