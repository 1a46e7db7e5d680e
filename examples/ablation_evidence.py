"""What each ingredient of the default seller model is worth: one row without each.

Usage: python examples/ablation_evidence.py GRAPH [--vectors VECTORS]... [--repeats 3] [--seed 0]

No test data are read: 20% of the listings of each seller with 5 or more are held out inside the
graph, and the model is put together without them as in training: sources fitted, a ranker fitted on
listings held out a second time, sources fitted again. A row leaves columns of the evidence out, and
what only a left-out source retrieves, and fits its ranker anew. Each repeat holds out others.
Differences are paired over the sellers of all repeats, with 95% bootstrap intervals.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ablation_complements import places
from one_line import run
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from cprtools import tables
from cprtools.linkpred.model import GraphModel
from cprtools.linkpred.problem import BuiltProblem, build_problem
from cprtools.linkpred.recipe import SourceFitter
from cprtools.ranking import (
    Collected,
    TwoStage,
    collect_evidence,
    hold_out_listings,
    ranker_fitter,
)

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]

KS = (100, 20)
RESAMPLES = 2000
# evidence that is left out together, by how its columns' names start; the number of listings is
# where the trees begin, and cannot be
EVIDENCE = {
    "nearest listed vectors": ("text_",),
    "words": ("words_",),
    "vectors and words": ("text_", "words_"),
    "brand": ("listed_brand", "share_brand", "range_brand"),
    "category": ("listed_category", "share_category", "range_category"),
    "type": ("listed_type", "share_type", "range_type"),
    "brand, category and type": ("listed_", "share_", "range_"),
    "bought with listed": ("bought_with_listed",),
    "popularity": ("popularity",),
    "price": ("price",),
}


@dataclass(frozen=True)
class World:
    """Evidence that the rankers are fitted on, and evidence about later held-out listings."""

    stage: TwoStage
    """Without either held-out part."""
    fitted: Collected
    judged: Collected
    held_out: FloatArray
    """(sellers,) listings to find."""
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of the evidence."""
        return self.stage.feature_names()

    def without(self, dropped: Callable[[str], bool]) -> FloatArray:
        """Scores of the judged candidates by a ranker that does not see these columns."""
        kept = [i for i, name in enumerate(self.names) if not dropped(name)]
        names = tuple(self.names[i] for i in kept)
        sources = [name for name in self.stage.sources if name in names]
        columns, counts = self.fitted.features[:, kept], self.fitted.counts
        fit = ranker_fitter(self.stage, columns, counts, names, False, self.seed)
        trees = fit(self.retrieved(self.fitted, sources))
        scores = trees.predict(self.judged.features[:, kept])
        return np.where(self.retrieved(self.judged, sources), scores, -np.inf)

    def retrieved(self, found: Collected, sources: list[str]) -> BoolArray:
        """What these sources find, each its own best candidates of a seller."""
        rows = np.zeros(len(found.groups), dtype=np.bool_)
        for source in sources:
            score = found.features[:, self.names.index(source)]
            rows |= places(found.groups, score) < self.stage.settings.per_source
        return rows

    def logistic(self) -> FloatArray:
        """Scores by a logistic regression over all columns, brought to one scale."""
        mean, spread = self.fitted.features.mean(axis=0), self.fitted.features.std(axis=0) + 1e-6
        known = np.clip((self.fitted.features - mean) / spread, -5, 5).astype(np.float64)
        label = np.where(self.fitted.counts > 0, 1.0, -1.0)

        def loss(weights: FloatArray) -> tuple[float, FloatArray]:
            margin = label * (known @ weights[1:] + weights[0])
            slope = -label / (1 + np.exp(margin))
            gradient = np.concatenate([[slope.sum()], known.T @ slope + weights[1:]])
            return np.logaddexp(0, -margin).sum() + (weights[1:] ** 2).sum() / 2, gradient

        found = minimize(loss, np.zeros(known.shape[1] + 1), jac=True, method="L-BFGS-B")
        judged = np.clip((self.judged.features - mean) / spread, -5, 5)
        scores: FloatArray = judged @ found.x[1:]
        return scores

    def recalls(self, scores: FloatArray) -> FloatArray:
        """(sellers, len(KS)) Recall@k of the sellers with something to find."""
        place = places(self.judged.groups, scores)
        true = (self.judged.counts > 0) & np.isfinite(scores)
        sellers = np.flatnonzero(self.held_out)
        columns = []
        for k in KS:
            groups = self.judged.groups[true & (place < k)]
            hits = np.bincount(groups, minlength=len(self.held_out))[sellers]
            columns.append(hits / np.minimum(k, self.held_out[sellers]))
        return np.stack(columns, axis=1)


def make_world(built: BuiltProblem, seed: int) -> World:
    """Hold out twice, fit the sources on what is left each time."""
    fitter = SourceFitter(
        GraphModel.method, {}, built.views, seed, with_support=True, say=lambda _: None
    )
    # another draw than the recipe's own, which is made of what this one leaves
    outer, truth = hold_out_listings(built.problem, seed=seed + 100)
    inner, positives = hold_out_listings(outer, seed=seed)
    stage = TwoStage(inner, fitter(inner))
    whole = TwoStage(outer, fitter(outer))
    return World(
        stage,
        collect_evidence(stage, csr_matrix(positives), seed=seed),
        collect_evidence(whole, csr_matrix(truth), seed=seed),
        np.asarray(truth.sum(axis=1)).ravel(),
        seed,
    )


def left_out(world: World) -> dict[str, Callable[[str], bool]]:
    """Rows by name: whether a column is left out."""
    sources = set(world.stage.sources)
    rows: dict[str, Callable[[str], bool]] = {"everything": lambda name: False}
    for source in world.stage.sources:
        rows[f"without {source}"] = {source, f"{source}_relative"}.__contains__
    for label, starts in EVIDENCE.items():
        names = {name for name in world.names if name.startswith(starts)} - sources
        # text-knn is a source and no column of this kind
        names -= {f"{source}_relative" for source in sources}
        if names:
            rows[f"without {label}"] = names.__contains__
    rows["without scores against the best one"] = lambda name: name.endswith("_relative")
    return rows


def cells(label: str, recalls: FloatArray, whole: FloatArray, rng: np.random.Generator) -> str:
    """One row: means, and differences to the whole model with their intervals."""
    result = [label]
    for column in range(len(KS)):
        result.append(f"{recalls[:, column].mean():.4f}")
        difference = recalls[:, column] - whole[:, column]
        draws = rng.integers(0, len(difference), (RESAMPLES, len(difference)))
        low, high = np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
        result.append(f"{difference.mean():+.4f} [{low:+.4f}, {high:+.4f}]")
    return "| " + " | ".join(result) + " |\n"


def main() -> None:
    """Read the graph, print one row after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("graph")
    parser.add_argument("--vectors", action="append", default=[])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    built = build_problem(
        tables.open_folder(options.graph, ("graph",)),
        [tables.open_table(name, tables.VECTORS) for name in options.vectors],
    )
    worlds = [make_world(built, options.seed + number) for number in range(options.repeats)]
    rows: dict[str, Callable[[World], FloatArray]] = {
        label: lambda world, dropped=dropped: world.without(dropped)  # type: ignore[misc]
        for label, dropped in left_out(worlds[0]).items()
    }
    rows["without the ranker"] = lambda w: w.judged.features[:, 0].astype(np.float64)
    rows["a logistic ranker"] = World.logistic
    heads = ["", *(head for k in KS for head in (f"Recall@{k}", "difference"))]
    sys.stdout.write("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|\n")
    whole = None
    for label, score in rows.items():
        recalls = np.concatenate([world.recalls(score(world)) for world in worlds])
        whole = recalls if whole is None else whole
        sys.stdout.write(cells(label, recalls, whole, np.random.default_rng(options.seed)))
        sys.stdout.flush()


if __name__ == "__main__":
    run(main)
