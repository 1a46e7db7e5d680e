"""Pair mining on Apache Spark: the same rows and the same report as on DuckDB."""

import contextlib
import re
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from cprtools.mining import spark_sql as sql
from cprtools.mining import spark_tasks as tasks
from cprtools.mining.catalogue import read_catalogue
from cprtools.mining.counting import Reach
from cprtools.mining.definition import CONFIDENCE_LOW, LIFT, kept_sql
from cprtools.mining.events import read_log
from cprtools.mining.observing import Join
from cprtools.mining.pairs import Mined
from cprtools.mining.progress import Progress, silent
from cprtools.mining.relations import KINDS, read_lists
from cprtools.mining.report import RELATIONS, MiningReport
from cprtools.mining.rules import FROM_EVENTS, FROM_RELATIONS, Rules
from cprtools.mining.spark_session import SparkCluster, open_session
from cprtools.mining.sql import BLOCK_ROWS
from cprtools.mining.summary import compare_with_catalogue, summarise
from cprtools.tables import PAIRS
from cprtools.tables import RELATIONS as RELATIONS_TABLE
from cprtools.tables.source import Source
from cprtools.tables.spark import scan_spark

# a customer of fewer rows is looked at with the others
HEAVY_ROWS = 50_000


@contextlib.contextmanager
def mine_pairs_on_spark(
    source: Source,
    rules: Rules | None = None,
    *,
    products: Source | None = None,
    cluster: SparkCluster | None = None,
    progress: Progress = silent,
) -> Iterator[Mined]:
    """What `mine_pairs` yields, counted by Spark: equal rows in the same order, an equal report.

    Spark reads the source's files itself, so its executors must see them under the same paths.
    Raises as `mine_pairs` does, and as `open_session` does where Spark does not run.
    """
    rules, cluster = rules or Rules(), cluster or SparkCluster()
    # first, since a wrong table is better refused before the hours that a log may take
    catalogue = None if products is None else read_catalogue(products)
    is_log = source.spec != RELATIONS_TABLE
    least = rules.minimums(FROM_EVENTS if is_log else FROM_RELATIONS)
    with open_session(cluster, source) as session, _work(session) as work:
        work.view("log", scan_spark(source, session))
        report = _count_events(work, source, rules) if is_log else _count_relations(work, source)
        report.minimums = dict(zip(RELATIONS, least, strict=True))
        kept = kept_sql(least, needs_both=report.single_relation is None)
        pairs = sql.PAIRS.format(kept=kept, lift=LIFT, confidence_low=CONFIDENCE_LOW)
        # near each other as they are read later
        work.keep("kept", work.session.sql(pairs).repartitionByRange("query"))
        summarise(report, work.ask)
        if catalogue is not None:
            work.view("catalogue", session.createDataFrame(catalogue))
            compare_with_catalogue(report, work.ask)
        with contextlib.closing(_batches(work, progress)) as batches:
            reader = pa.RecordBatchReader.from_batches(PAIRS.schema, batches)
            yield Mined(reader, report, [source])


class SparkWork:
    """A session, what is kept in it, and what `$name` stands for in its statements."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.kept: list[Any] = []
        self.values: dict[str, Any] = {}

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query of few."""
        query = re.sub(r"\$(\w+)", lambda found: _literal(self.values[found[1]]), statement)
        return [tuple(row) for row in self.session.sql(query).collect()]

    def ask(self, query: str) -> tuple[Any, ...]:
        """The one row of a query."""
        return self.run(query)[0]

    def table(self, query: str) -> pa.Table:
        """The rows of a query as an Arrow table."""
        return self.session.sql(query).toArrow()

    def view(self, name: str, query: str | Any) -> None:
        """Let statements read a query or frame under this name, computed whenever they do."""
        frame = self.session.sql(query) if isinstance(query, str) else query
        frame.createOrReplaceTempView(name)

    def keep(self, name: str, query: str | Any) -> None:
        """The same, computed once; what does not fit into memory goes to disk."""
        from pyspark import StorageLevel

        frame = self.session.sql(query) if isinstance(query, str) else query
        self.kept.append(frame.persist(StorageLevel.MEMORY_AND_DISK))
        self.view(name, frame)


def _literal(value: Any) -> str:
    return f"TIMESTAMP '{value}'" if isinstance(value, datetime) else str(value)


@contextlib.contextmanager
def _work(session: Any) -> Iterator[SparkWork]:
    from py4j.protocol import Py4JError

    work = SparkWork(session)
    try:
        yield work
    finally:
        # the memory of a session that goes on; after a failure Java itself may be gone
        with contextlib.suppress(Py4JError, OSError):
            for frame in reversed(work.kept):
                frame.unpersist()


def _count_events(work: SparkWork, source: Source, rules: Rules) -> MiningReport:
    report = read_log(work, source)
    least = rules.minimums(FROM_EVENTS)
    work.view("usable", sql.USABLE_EVENTS)
    work.keep("products", sql.PRODUCTS_OF_EVENTS)
    reach = _reach(work, least)
    _add_up(work, rules, reach, report.rows)
    numbers = work.run(sql.NUMBERS.format(buyers=tasks.BUYERS))
    # without a usable row there may be no task
    of_kind = {tasks.TOTALS: [0] * 5, tasks.SIGNS: [0] * 5}
    of_kind |= {kind: counts for kind, _, *counts in numbers}
    customers, purchasers, sessions, bots, bot_rows = of_kind[tasks.TOTALS]
    heavy = [row[1:4] for row in numbers if row[0] == tasks.HEAVY]
    report.doubts.heavy = sum(n for _, n, _ in heavy)
    report.doubts.heaviest = max((most for most, *_ in heavy), default=0)
    report.doubts.events = sum(events for *_, events in heavy)
    work.view("buyers", sql.BUYERS.format(kind=tasks.BUYERS))
    work.view("population", sql.POPULATION.format(customers=purchasers))
    work.view("directed", sql.DIRECTED.format(pair=tasks.PAIR))
    report.totals = {
        "products": len(reach.viewed),
        "customers": customers,
        "customers with a purchase": purchasers,
        "sessions": sessions,
        "sessions dropped as bots": bots,
        "rows dropped as bots": bot_rows,
    }
    up, down, viewed, after_up, after_down = of_kind[tasks.SIGNS]
    present = (up or down, viewed, after_up or after_down)
    report.present = frozenset(n for n, found in zip(RELATIONS, present, strict=True) if found)
    return report


def _reach(work: SparkWork, least: Sequence[int]) -> Reach:
    bought, seen, after = least
    query = sql.REACH.format(purchases=min(bought, after), views=min(seen, after))
    product, purchased, viewed = (c.to_numpy() for c in work.table(query).columns)
    order = np.argsort(product)
    return Reach(least, purchased[order], viewed[order])


def _add_up(work: SparkWork, rules: Rules, reach: Reach, rows: int) -> None:
    """Keep `added_up`: what tasks count of their customers, each being known to one task."""
    events = work.session.sql(sql.EVENTS)
    heaviest = _heaviest(work, reach, rows)
    if not heaviest:
        work.view("looked", _looked(work, rules, reach, events))
    else:
        theirs = events.where(events.customer.isin(heaviest)).toArrow().sort_by("customer")
        task = tasks.Task(rules, reach)
        totals = task.nothing()
        found = pa.Table.from_batches(task.count(theirs.to_batches(), totals), tasks.ARROW_SCHEMA)
        others = events.where(~events.customer.isin(heaviest))
        looked = _looked(work, rules, reach, others).unionAll(work.session.createDataFrame(found))
        if totals.aside:
            work.view("looked", looked)
            work.keep("added_up", sql.ADDED_UP)
            pairs = work.session.sql(sql.PAIRS_OF_OTHERS.format(pair=tasks.PAIR))
            looked = work.session.table("added_up").unionAll(_checked(pairs, totals.aside))
        work.view("looked", looked)
    work.keep("added_up", sql.REACHED.format(pair=tasks.PAIR, least=reach.minimums))


def _heaviest(work: SparkWork, reach: Reach, rows: int) -> list[str]:
    most = min(reach.minimums) - 1
    if most == 0 or rows <= HEAVY_ROWS:
        return []
    return [name for (name,) in work.run(sql.HEAVIEST.format(rows=HEAVY_ROWS, most=most))]


def _looked(work: SparkWork, rules: Rules, reach: Reach, events: Any) -> Any:
    # tasks put nobody aside: they do not know of each other
    task = tasks.Task(rules, Reach((1, 1, 1), reach.purchased, reach.viewed))
    partitions = int(work.session.conf.get("spark.sql.shuffle.partitions"))
    # sorted, so that a task takes a few customers after the other and not all at once
    ordered = events.repartition(partitions, "customer").sortWithinPartitions("customer")
    return ordered.mapInArrow(lambda batches: task(batches), tasks.SCHEMA)


def _checked(pairs: Any, customers: Sequence[Sequence[Join]]) -> Any:
    check = tasks.Check(customers)
    return pairs.mapInArrow(lambda batches: check(batches), tasks.SCHEMA)


def _count_relations(work: SparkWork, source: Source) -> MiningReport:
    report = read_lists(work, source)
    listed = ", ".join(f"('{relation}', '{kind}')" for relation, kind in KINDS.items())
    work.view("kinds", f"SELECT * FROM VALUES {listed} AS kinds(relation, kind)")
    work.view("usable", sql.USABLE_RELATIONS)
    work.keep("products", sql.PRODUCTS_OF_RELATIONS)
    work.keep("directed", sql.DIRECTED_RELATIONS)
    work.view("buyers", sql.NO_BUYERS)
    work.view("population", sql.POPULATION.format(customers=0))
    report.totals = {"products": work.run("SELECT COUNT(*) FROM products")[0][0]}
    return report


def _batches(work: SparkWork, progress: Progress) -> Generator[pa.RecordBatch]:
    blocks = work.run(sql.BLOCKS.format(rows=BLOCK_ROWS))
    for first, last in progress(blocks, "writing pairs", len(blocks)):
        rows = work.table(f"SELECT * FROM kept WHERE query BETWEEN {first} AND {last}")
        rows = rows.sort_by([("query", "ascending"), ("candidate", "ascending")])
        block = rows.select(PAIRS.schema.names).cast(PAIRS.schema).combine_chunks()
        yield from block.to_batches()
