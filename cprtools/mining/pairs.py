"""The pairs table: counts cut at their least values, flags set, rows streamed in order."""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cprtools.errors import UsageError
from cprtools.mining import sql
from cprtools.mining.catalogue import read_catalogue
from cprtools.mining.definition import kept_sql
from cprtools.mining.events import begin_state, change_state, count_events, read_state
from cprtools.mining.parallel import in_order
from cprtools.mining.progress import Progress, silent
from cprtools.mining.relations import count_relations
from cprtools.mining.report import RELATIONS, MiningReport
from cprtools.mining.rules import FROM_EVENTS, FROM_RELATIONS, Rules
from cprtools.mining.state import all_inputs, open_state
from cprtools.mining.summary import compare_with_catalogue, summarise
from cprtools.mining.workspace import Workspace, open_workspace
from cprtools.tables import PAIRS
from cprtools.tables import RELATIONS as RELATIONS_TABLE
from cprtools.tables.source import Source


@dataclass(frozen=True)
class Mined:
    """The result: `pairs` is read once, inside the block of `mine_pairs`, sorted by both ids."""

    pairs: pa.RecordBatchReader
    report: MiningReport
    inputs: Sequence[Any]
    """What the pairs were made from, for a footer."""


@contextlib.contextmanager
def mine_pairs(
    source: Source,
    rules: Rules | None = None,
    *,
    products: Source | None = None,
    memory_limit: str = "2GB",
    threads: int | None = None,
    progress: Progress = silent,
) -> Iterator[Mined]:
    """Count which products are viewed and bought together, from an events or relations source.

    The pairs have the schema `tables.PAIRS.schema` and stay readable inside the block only; what
    does not fit into `memory_limit` goes to a temporary folder that is removed after it. A products
    table serves the report alone: its ids and types are held in memory, and change no pair.
    Raises SchemaError for values, events or relations that cannot be read, UsageError for a memory
    limit that is too small. Definition: DESIGN.md 3, after Hao et al., CIKM 2020, section 3.
    """
    rules = rules or Rules()
    # first, since a wrong table is better refused before the hours that a log may take
    catalogue = None if products is None else read_catalogue(products)
    with open_workspace(memory_limit, threads) as work:
        if source.spec == RELATIONS_TABLE:
            report = count_relations(work, source, progress)
            least = rules.minimums(FROM_RELATIONS)
        else:
            report = count_events(work, source, rules, progress)
            least = rules.minimums(FROM_EVENTS)
        _keep(work, report, least)
        with _finished(work, report, catalogue, [source]) as mined:
            yield mined


@contextlib.contextmanager
def mine_state(
    state: str,
    source: Source | None,
    rules: Rules | None = None,
    *,
    forget: Sequence[str] = (),
    products: Source | None = None,
    memory_limit: str = "2GB",
    threads: int | None = None,
    progress: Progress = silent,
) -> Iterator[Mined]:
    """As `mine_pairs`, of all events that a kept state and this source hold together.

    state: a folder, made if it is not there; it holds the source's events, too, once the block has
    ended well. source: new events, repeated ones count once; None: what the state holds. forget:
    customers whose events are taken out, as if they had never been seen; in a run of its own.
    Raises as `mine_pairs` and `state.open_state`, SchemaError for customers not in the state, and
    UsageError for customers to forget beside new events, which may be theirs.
    """
    if forget and source is not None:
        raise UsageError("--forget goes without EVENTS; add them in a run of their own")
    rules = rules or Rules()
    catalogue = None if products is None else read_catalogue(products)
    with open_state(state, rules, memory_limit, threads, purge=bool(forget)) as (work, is_new):
        if is_new:
            if source is None:
                raise UsageError(f"{state}: there is no such state yet; name EVENTS to make it")
            report = begin_state(work, source, rules, progress)
        else:
            report = change_state(work, source, forget, rules, progress)
        inputs = all_inputs(work, source)
        read_state(work, report, rules, has_forgotten=bool(forget))
        _keep(work, report, rules.minimums(FROM_EVENTS), kind="TEMP ")
        with _finished(work, report, catalogue, inputs) as mined:
            yield mined


@contextlib.contextmanager
def _finished(
    work: Workspace, report: MiningReport, catalogue: pa.Table | None, inputs: Sequence[Any]
) -> Iterator[Mined]:
    if catalogue is not None:
        work.connection.register("catalogue", catalogue)
        compare_with_catalogue(report, lambda query: work.run(query)[0])
    # closed here: a reader that was left half-read would keep the database until the very end
    with contextlib.closing(_batches(work)) as batches:
        yield Mined(pa.RecordBatchReader.from_batches(PAIRS.schema, batches), report, inputs)


def _keep(work: Workspace, report: MiningReport, least: Sequence[int], kind: str = "") -> None:
    report.minimums = dict(zip(RELATIONS, least, strict=True))
    kept = kept_sql(least, needs_both=report.single_relation is None)
    work.run(sql.IN_ORDER)
    work.run(sql.KEPT.format(kind=kind, kept_sql=kept))
    summarise(report, lambda query: work.run(query)[0])


def _batches(work: Workspace) -> Generator[pa.RecordBatch]:
    ids = work.table(sql.IDS).column("product_id").combine_chunks()

    def read(block: tuple[int, int]) -> pa.RecordBatch:
        work.values.update(first=block[0], last=block[1])
        found = work.table(sql.PAIRS).combine_chunks()
        columns = [
            ids.take(column) if place < 2 else column for place, column in enumerate(found.columns)
        ]
        table = pa.table([column.combine_chunks() for column in columns], found.column_names)
        (batch,) = table.cast(PAIRS.schema).to_batches()
        return batch

    # one block is read while the one before is written; blocks depend on the rows alone, so the
    # file's bytes do not depend on the threads
    with ThreadPoolExecutor(1) as pool:
        yield from in_order(pool, read, work.run(sql.BLOCKS), ahead=2)
