"""Events to counts of directed pairs, on DuckDB: the view `directed` and the table `buyers`."""

from datetime import timedelta

from cprtools.errors import SchemaError
from cprtools.mining import sql
from cprtools.mining.doubts import EARLIEST, HEAVY, latest
from cprtools.mining.progress import Progress
from cprtools.mining.report import RELATIONS, MiningReport
from cprtools.mining.rules import Rules
from cprtools.mining.workspace import Workspace
from cprtools.tables.source import Source

# pairs of one pass over some of the customers: their groups fit into memory beside the rest
PAIRS_PER_PART = 30_000_000
MOST_PARTS = 256


def count_events(work: Workspace, source: Source, rules: Rules, progress: Progress) -> MiningReport:
    """Fill the workspace with `products`, `buyers` and `directed`; returns what was read.

    Raises SchemaError for values that cannot be read and for a table without rows.
    """
    work.values.update(
        window=_micros(rules.window),
        view_window=_micros(rules.view_window),
        width=max(1, _micros(rules.window)),
        view_width=max(1, _micros(rules.view_window)),
        max_session=rules.max_session,
        count_buyers=rules.count_buyers,
    )
    with work.reading(source):
        report = _read_log(work, source)
        work.run(sql.USABLE_EVENTS)
        for statement in progress(sql.READING_EVENTS, "reading events", len(sql.READING_EVENTS)):
            work.run(statement)
    work.values["heavy"] = HEAVY
    report.doubts.heavy, report.doubts.heaviest = work.run(sql.HEAVY_CUSTOMERS)[0]
    report.totals = work.record(sql.TOTALS)
    _count_pairs(work, progress)
    report.before = dict(zip(RELATIONS, work.run(sql.BEFORE)[0], strict=True))
    report.present = frozenset(name for name, n in report.before.items() if n)
    return report


def _micros(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _read_log(work: Workspace, source: Source) -> MiningReport:
    report = MiningReport()
    work.values.update(earliest=EARLIEST, latest=latest())
    for reason, event, n, early, late in work.run(sql.EVENT_ROWS):
        report.rows += n
        if reason is None:
            report.doubts.early, report.doubts.late = early, late
        else:
            report.skipped[reason] = report.skipped.get(reason, 0) + n
        if reason == sql.OTHER_EVENT:
            report.other_events["null" if event is None else event] = n
    if report.rows == 0:
        raise SchemaError(f"{source.label}: the {source.spec.name} table has no rows")
    return report


def _count_pairs(work: Workspace, progress: Progress) -> None:
    pairs = work.run(sql.PAIRS_TO_COME)[0][0]
    parts = min(MOST_PARTS, 1 + pairs // PAIRS_PER_PART)
    work.run(sql.COUNT_PARTS)
    for part in progress(range(parts), "counting pairs", parts):
        work.values.update(parts=parts, part=part)
        work.run(sql.COUNT_PART)
    work.run(sql.COUNTED)
    work.run(sql.DIRECTED)
