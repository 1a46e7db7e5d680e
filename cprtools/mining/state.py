"""What a nightly run keeps of the runs before it: a database that each run changes as a whole.

It holds the distinct events as integers and the counts of all pairs, without least counts: a pair
that is rare today may be frequent tomorrow.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cprtools.errors import DataError, SchemaError, UsageError, reason
from cprtools.mining.rules import Rules, micros, spell_duration
from cprtools.mining.workspace import Workspace, open_workspace
from cprtools.tables import describe_input
from cprtools.tables.leftovers import claimed, locked
from cprtools.tables.source import Source

FILE = "state.duckdb"
VERSION = 1
# what the kept numbers depend on, besides the events
_KEPT_RULES = ("window", "view_window", "count_buyers", "max_session")


@contextlib.contextmanager
def open_state(
    folder: str, rules: Rules, memory_limit: str, threads: int | None, *, purge: bool = False
) -> Iterator[tuple[Workspace, bool]]:
    """A workspace on the folder's database, and whether it is new.

    What the block does becomes part of the state only if the block ends well; a new state then
    takes its place. purge: write the database anew, so that nothing deleted is left in its file.
    Raises DataError for a folder that cannot be used or that another run uses, SchemaError for one
    made by another version, UsageError for one made by other rules.
    """
    place = Path(folder) / FILE
    with _part(folder, place) as part:
        if not place.exists():
            with _opened(folder, part, memory_limit, threads) as work:
                _describe(work, rules)
                yield work, True
            os.replace(part, place)
            return
        with _opened(folder, place, memory_limit, threads) as work:
            _check(folder, work, rules)
            work.run("BEGIN")
            yield work, False
            work.run("COMMIT")
            if purge:
                work.connection.execute(f"ATTACH {_quoted(part)} AS purged")
                (name,) = work.run("SELECT current_database()")[0]
                work.run(f'COPY FROM DATABASE "{name}" TO purged')
                work.run("DETACH purged")
        if purge:
            os.replace(part, place)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


@contextlib.contextmanager
def _opened(
    folder: str, place: Path, memory_limit: str, threads: int | None
) -> Iterator[Workspace]:
    import duckdb

    try:
        with open_workspace(memory_limit, threads, place) as work:
            yield work
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise _in_use(folder) from error
        raise DataError(f"{folder}: {FILE} is damaged, or not a state of mine-pairs") from error


@contextlib.contextmanager
def _part(folder: str, place: Path) -> Iterator[Path]:
    """A name beside the place for a database under construction; nothing of it is left over."""
    made = _make(folder)
    with contextlib.ExitStack() as held:
        try:
            # DuckDB locks its file, but a first run and one that forgets put a new one there
            held.enter_context(locked(Path(folder)))
        except BlockingIOError as error:
            raise _in_use(folder) from error
        if made:
            held.callback(_remove_empty, folder)
        # a folder, since DuckDB makes its file itself, and another beside it
        yield held.enter_context(claimed(place, folder=True)) / FILE


def _remove_empty(folder: str) -> None:
    with contextlib.suppress(OSError):  # not empty: the state is in place
        Path(folder).rmdir()


def _make(folder: str) -> bool:
    """Whether the folder was not there."""
    try:
        Path(folder).mkdir()
    except OSError as error:
        if Path(folder).is_dir():
            return False
        raise DataError(f"{folder}: {reason(error)}") from error
    return True


def _in_use(folder: str) -> DataError:
    return DataError(f"{folder}: another run is using this state")


def _described(rules: Rules) -> dict[str, Any]:
    values = asdict(rules)
    kept = {name: values[name] for name in _KEPT_RULES}
    return {k: micros(v) if hasattr(v, "days") else v for k, v in kept.items()}


def _describe(work: Workspace, rules: Rules) -> None:
    work.values.update(version=VERSION, rules=json.dumps(_described(rules), sort_keys=True))
    work.run(
        "CREATE TABLE described AS SELECT $version::INTEGER AS version, $rules::VARCHAR AS rules, "
        "hash('cprtools') AS probe"
    )


def _check(folder: str, work: Workspace, rules: Rules) -> None:
    import duckdb

    try:
        version, kept, same_hash = work.run(
            "SELECT version, rules, probe = hash('cprtools') FROM described"
        )[0]
    except (duckdb.Error, IndexError) as error:
        raise DataError(f"{folder}: {FILE} is not a state of mine-pairs") from error
    if version != VERSION:
        raise SchemaError(f"{folder}: a state of version {version}, not {VERSION}; make it anew")
    if not same_hash:
        # sessions are kept as hashes, and a later DuckDB may hash them otherwise
        raise SchemaError(
            f"{folder}: made with another DuckDB, which hashes otherwise; make it anew"
        )
    wanted = _described(rules)
    for name, value in json.loads(kept).items():
        if wanted[name] != value:
            raise UsageError(f"{folder}: this state was made {_spelled(name, value)}; keep to it")


def _spelled(name: str, value: int | bool) -> str:
    option = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return f"{'with' if value else 'without'} {option}"
    if "window" not in name:
        return f"with {option} {value}"
    spelled = spell_duration(timedelta(microseconds=value))
    # to be typed again: an option takes one unit
    return f"with {option} {f'{value / 1_000_000:g}s' if ' ' in spelled else spelled}"


@dataclass(frozen=True)
class Described:
    """An input of an earlier run, as that run described it."""

    facts: Mapping[str, Any]

    def describe(self) -> Mapping[str, Any]:
        """Name, rows and digest."""
        return self.facts


def all_inputs(work: Workspace, source: Source | None) -> list[Described]:
    """What the state was made from, this run's log included; remembers that log."""
    work.run("CREATE TABLE IF NOT EXISTS inputs (facts VARCHAR)")
    if source is not None:
        work.values["facts"] = json.dumps(describe_input(source), sort_keys=True)
        work.run("INSERT INTO inputs SELECT $facts")
    return [Described(json.loads(facts)) for (facts,) in work.run("SELECT facts FROM inputs")]
