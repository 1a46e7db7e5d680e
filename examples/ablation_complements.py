"""What each ingredient of the default complement model is worth: one row without each.

Usage: python examples/ablation_complements.py TRAIN --products PRODUCTS [--vectors VECTORS]...
           [--earlier EARLIER --later LATER [--recent RECENT]] [--queries 5000] [--seed 0]
           [--ranker-only]

No test data are read. As in training, pairs are held out inside TRAIN (with EARLIER and LATER: the
later orders' counts), the sources are fitted without them, and the evidence about the candidates
of a sample of queries is collected. The ranker is then fitted on one half of these queries and
measured on the other, both ways. Hit@k is weighted by count.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from one_line import run

from cprtools import tables
from cprtools.baselines import Problem, Recommender
from cprtools.cpr.model import PCompanion
from cprtools.cpr.problem import build_problem
from cprtools.cpr.recipe import SourceFitter
from cprtools.ranking import (
    Collected,
    Settings,
    TwoStage,
    collect_evidence,
    hold_out_later,
    hold_out_pairs,
    ranker_fitter,
)

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

KS = (1, 3, 10)
# evidence that is left out together, by how its columns' names start
EVIDENCE = {
    "reverse pairs": ("reverse",),
    "same type, brand, attributes": ("same_",),
    "type transition": ("type_transition",),
    "products alike": ("alike_",),
    "similar queries": ("similar_queries",),
    "siblings": ("siblings",),
    "co-viewed": ("co_viewed",),
    "popularity": ("popularity",),
    "number of pairs of the query": ("query_degree",),
    "price": ("price",),
    "words and text": ("words", "text"),
}
NETWORK: dict[str, dict[str, Any]] = {
    "network without identities": {"identity_dropout": 1.0},
    "network without history": {"history_dropout": 1.0},
    "network never sees new products": {"identity_dropout": 0.0},
    "network without the loss of similar pairs": {"similar_weight": 0.0},
    "network without the type transition": {"type_weight": 0.0},
}


@dataclass(frozen=True)
class Setting:
    """What all rows share."""

    problem: Problem
    """Without the pairs held out."""
    positives: Any
    keep_known: bool
    settings: Settings
    seed: int

    def collect(self, sources: Mapping[str, Recommender]) -> "Evidence":
        """The evidence that these sources give."""
        stage = TwoStage(self.problem, sources, settings=self.settings)
        found = collect_evidence(stage, self.positives, keep_known=self.keep_known, seed=self.seed)
        return Evidence(self, stage, stage.feature_names(), found)


@dataclass(frozen=True)
class Evidence:
    """Candidates with their evidence, and how any part of it ranks them."""

    setting: Setting
    stage: TwoStage
    names: tuple[str, ...]
    found: Collected

    def without(self, dropped: Callable[[str], bool]) -> FloatArray:
        """Scores by a ranker that sees neither these columns nor what only their source found."""
        kept = [i for i, name in enumerate(self.names) if not dropped(name)]
        names = tuple(self.names[i] for i in kept)
        rows = self._retrieved(names)
        scores = np.full(len(rows), -np.inf)
        fold = (
            np.random.default_rng(self.setting.seed + 1).permutation(
                int(self.found.groups.max()) + 1
            )[self.found.groups]
            % 2
        )
        columns = self.found.features[:, kept]
        fit = ranker_fitter(
            self.stage,
            columns,
            self.found.counts,
            names,
            self.setting.keep_known,
            self.setting.seed,
        )
        for half in (0, 1):
            judged = rows & (fold != half)
            scores[judged] = fit(rows & (fold == half)).predict(columns[judged])
        return scores

    def alone(self, source: str) -> FloatArray:
        """The scores of one source."""
        return self.found.features[:, self.names.index(source)].astype(np.float64)

    def _retrieved(self, names: tuple[str, ...]) -> BoolArray:
        """What is found without the rest: the best candidates of each source, and known pairs."""
        known = [self.names.index(name) for name in ("bought", "reverse") if name in names]
        rows: BoolArray = np.any(self.found.features[:, known] > 0, axis=1)
        for source in self.stage.sources:
            if source in names:
                best = places(self.found.groups, self.alone(source))
                rows |= best < self.setting.settings.per_source
        return rows

    def hits(self, scores: FloatArray) -> dict[str, list[float]]:
        """Hit@k of the queries of each kind."""
        place = places(self.found.groups, scores)
        queries = np.unique(self.found.groups)
        kinds = kinds_of(self.setting.problem, queries)
        held_out = np.asarray(self.setting.positives[queries].sum(axis=1)).ravel()
        result = {}
        for kind in ("all", *sorted(set(kinds))):
            chosen = np.isin(self.found.groups, queries[(kinds == kind) | (kind == "all")])
            total = held_out[(kinds == kind) | (kind == "all")].sum()
            result[kind] = [
                float(self.found.counts[chosen & (place < k)].sum() / total) for k in KS
            ]
        return result


def places(groups: IntArray, scores: FloatArray) -> IntArray:
    """Place of each row in the list of its query, the best one 0. groups ascend."""
    order = np.lexsort((-scores, groups))
    first = np.searchsorted(groups[order], groups[order])
    result = np.empty(len(groups), dtype=np.int64)
    result[order] = np.arange(len(groups)) - first
    return result


def kinds_of(problem: Problem, queries: IntArray) -> npt.NDArray[np.str_]:
    """What is known of each query."""
    own = np.diff(problem.matrix.indptr)[queries] > 0
    arrivals = problem.matrix.getnnz(axis=0)[queries] > 0
    return np.where(own, "warm", np.where(arrivals, "no pairs of its own", "new"))


def rows_of(
    setting: Setting, networks: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Every row of the table, the whole model first."""
    sources = SourceFitter({}, setting.seed)(setting.problem)
    full = setting.collect(sources)
    yield "everything", full.hits(full.without(_nothing))
    left_out: dict[str, Callable[[str], bool]] = {
        source: {source, f"{source}_relative"}.__contains__ for source in sources
    }
    for label, starts in EVIDENCE.items():
        names = {name for name in full.names if name.startswith(starts)} - set(sources)
        if names:
            left_out[label] = names.__contains__
    relative = {name for name in full.names if name.endswith("_relative")}
    left_out["scores against the best one"] = relative.__contains__
    for label, dropped in left_out.items():
        yield f"without {label}", full.hits(full.without(dropped))
    for source in sources:
        yield f"{source} alone", full.hits(full.alone(source))
    for label, options in networks.items():
        changed = PCompanion.fit(setting.problem, seed=setting.seed, **options)
        other = setting.collect({**sources, PCompanion.method: changed})
        yield label, other.hits(other.without(_nothing))
        yield f"{label}, alone", other.hits(other.alone(PCompanion.method))


def _nothing(name: str) -> bool:
    return False


def main() -> None:
    """Read the tables, print one row after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs")
    parser.add_argument("--products", required=True)
    parser.add_argument("--vectors", action="append", default=[])
    parser.add_argument("--earlier")
    parser.add_argument("--later")
    parser.add_argument("--recent")
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranker-only", action="store_true", help="leave the network as it is")
    options = parser.parse_args()

    def read(name: str, schema: Any) -> Any:
        return tables.read(tables.open_table(name, schema))

    given = (options.earlier, options.later, options.recent) if options.later else ()
    parts = [read(name, tables.PAIRS) for name in given if name]
    problem = build_problem(
        read(options.pairs, tables.PAIRS),
        read(options.products, tables.PRODUCTS),
        [tables.open_table(name, tables.VECTORS) for name in options.vectors],
        parts=parts,
    ).problem
    inner, positives = (
        hold_out_later(problem) if parts else hold_out_pairs(problem, seed=options.seed)
    )
    settings = Settings(max_queries=options.queries)
    setting = Setting(inner, positives, bool(parts), settings, options.seed)
    networks = {} if options.ranker_only else NETWORK
    for number, (label, hits) in enumerate(rows_of(setting, networks)):
        if not number:
            _write_line(["", *(f"{kind} Hit@1 / 3 / 10" for kind in hits)])
            _write_line(["---"] * (len(hits) + 1))
        cells = (" / ".join(f"{value:.4f}" for value in values) for values in hits.values())
        _write_line([label, *cells])


def _write_line(cells: list[str]) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
