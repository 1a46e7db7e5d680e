"""A two-stage recommender as the tables of a model folder, and back."""

import contextlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from cprtools.baselines.contract import NotInPlace, Problem, Recommender
from cprtools.baselines.storage import (
    complement_places,
    load_problem,
    place_tables,
    problem_tables,
)
from cprtools.baselines.stored import Held
from cprtools.errors import SchemaError
from cprtools.ranking.calibration import load_calibration
from cprtools.ranking.lines import load_lines
from cprtools.ranking.trees import load_trees
from cprtools.ranking.two_stage import PRIOR, Settings, TwoStage, candidate_pool
from cprtools.retrieval.pool import Pool
from cprtools.tables.folders import Folder


def stage_members(stage: TwoStage) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """The tables of the problem, every source, the ranker and the calibration; and their facts."""
    members = problem_tables(stage.problem)
    for source in stage.sources.values():
        members.update(source.tables())
    if stage.trees is not None:
        members.update(stage.trees.tables())
    if stage.lines is not None:
        members.update(stage.lines.tables())
    if stage.calibration is not None:
        members["calibration"] = stage.calibration.table()
    if stage.retrieval_calibration is not None:
        members["retrieval_calibration"] = stage.retrieval_calibration.table()
    if stage.problem.is_square:
        members.update(complement_places(stage.problem))
    else:
        by_candidate = [n for source in stage.sources.values() for n in source.candidate_members()]
        members.update(place_tables(stage.problem, members, by_candidate))
    facts = {
        "method": stage.model.method,
        "sources": list(stage.sources),
        "num_queries": stage.problem.num_queries,
        "num_types": stage.problem.num_types,
        "is_square": stage.problem.is_square,
        "per_source": stage.settings.per_source,
    }
    return members, facts


def load_stage(
    folder: Folder, registry: Mapping[str, type[Recommender]], *, of_pool: bool = False
) -> TwoStage:
    """The stored recommender; `registry` names the classes a folder may ask for.

    of_pool: its sources know the candidates that may be returned and no others, whose vectors are
    not read: millions of them.
    Raises SchemaError for a method this version does not know and for tables that do not fit.
    """
    facts = folder.manifest["facts"]
    try:
        names = [str(name) for name in facts["sources"]]
        problem = load_problem(
            folder.table,
            frozenset(folder.manifest["members"]),
            int(facts["num_queries"]),
            int(facts["num_types"]),
            bool(facts["is_square"]),
        )
        settings = Settings(per_source=int(facts["per_source"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{folder.name}: its manifest lacks {error}") from error
    check_methods(names, registry, folder.name)
    pool = candidate_pool(problem) if of_pool else Pool.all_of(problem.num_candidates)
    held = Held(folder)
    sources = {name: _source(registry[name], problem, held, pool) for name in names}
    return TwoStage(problem, sources, settings=settings, scored=pool, **load_ranker(folder))


def _source(kind: type[Recommender], problem: Problem, held: Held, pool: Pool) -> Recommender:
    if pool.is_whole:
        return kind.load(problem, held.read)
    if kind.candidate_members():
        # a model of an earlier version has no members of the pool
        with contextlib.suppress(NotInPlace):
            return kind.opened(problem, held)
    return kind.load(problem, held.read).restricted(pool.members)


def check_methods(names: list[str], registry: Mapping[str, Any], place: str) -> None:
    """Raise SchemaError for a method that this version does not know."""
    unknown = [name for name in names if name not in registry]
    if unknown:
        raise SchemaError(f"{place}: method {unknown[0]!r} is unknown; update cprtools")


def load_ranker(folder: Folder) -> dict[str, Any]:
    """The stored trees, lines and calibrations, by the names of TwoStage's fields.

    Raises SchemaError where they are damaged.
    """
    try:
        return _load_ranker(folder)
    except SchemaError as error:
        raise SchemaError(f"{folder.name}: {error}") from error


def _load_ranker(folder: Folder) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: load_calibration(folder.table(name))
        for name in ("calibration", "retrieval_calibration")
        if folder.has(name)
    }
    if folder.has("ranker"):
        found["trees"] = load_trees(folder.table("ranker"), folder.table("ranker_features"))
        if folder.has("ranker_lines"):
            names = found["trees"].names
            found["lines"] = load_lines(folder.table("ranker_lines"), names, PRIOR)
    return found
