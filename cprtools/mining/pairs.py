"""The pairs table: counts cut at their least values, flags set, rows streamed in order."""

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pyarrow as pa

from cprtools.mining import sql
from cprtools.mining.catalogue import read_catalogue
from cprtools.mining.definition import kept_sql
from cprtools.mining.events import count_events
from cprtools.mining.progress import Progress, silent
from cprtools.mining.relations import count_relations
from cprtools.mining.report import RELATIONS, MiningReport
from cprtools.mining.rules import FROM_EVENTS, FROM_RELATIONS, Rules
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
        report.minimums = dict(zip(RELATIONS, least, strict=True))
        _keep(work, report)
        if catalogue is not None:
            work.connection.register("catalogue", catalogue)
            compare_with_catalogue(report, lambda query: work.run(query)[0])
        # closed here: a reader that was left half-read would keep the database until the very end
        with contextlib.closing(_batches(work)) as batches:
            yield Mined(pa.RecordBatchReader.from_batches(PAIRS.schema, batches), report)


def _keep(work: Workspace, report: MiningReport) -> None:
    least = [report.minimums[name] for name in RELATIONS]
    kept = kept_sql(least, needs_both=report.single_relation is None)
    work.run(sql.IN_ORDER)
    work.run(sql.KEPT.format(kept_sql=kept))
    summarise(report, lambda query: work.run(query)[0])


def _batches(work: Workspace) -> Generator[pa.RecordBatch]:
    # blocks depend on the rows alone, so the file's bytes do not depend on the threads
    for first, last in work.run(sql.BLOCKS):
        work.values.update(first=first, last=last)
        block = work.table(sql.PAIRS).cast(PAIRS.schema).combine_chunks()
        yield from block.to_batches()
