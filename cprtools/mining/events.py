"""Events to counts of directed pairs, on DuckDB: the view `directed` and the table `buyers`."""

from cprtools.errors import SchemaError
from cprtools.mining import counting, sql
from cprtools.mining.doubts import EARLIEST, latest
from cprtools.mining.engine import Engine
from cprtools.mining.progress import Progress
from cprtools.mining.report import RELATIONS, MiningReport
from cprtools.mining.rules import FROM_EVENTS, Rules
from cprtools.mining.workspace import Workspace
from cprtools.tables.source import Source


def count_events(work: Workspace, source: Source, rules: Rules, progress: Progress) -> MiningReport:
    """Fill the workspace with `products`, `buyers` and `directed`; returns what was read.

    Raises SchemaError for values that cannot be read and for a table without rows.
    """
    work.values["neighbours"] = counting.NEIGHBOURS
    with work.reading(source):
        report = read_log(work, source)
        work.run(sql.USABLE_EVENTS)
        for statement in progress(sql.READING_EVENTS, "reading events", len(sql.READING_EVENTS)):
            work.run(statement)
    totals = counting.count_pairs(work, rules, rules.minimums(FROM_EVENTS), progress)
    work.run(sql.DIRECTED)
    report.doubts.heavy, report.doubts.heaviest = totals.heavy, totals.heaviest
    report.totals = {
        **work.record(sql.TOTALS),
        "customers with a purchase": totals.purchasers,
        "sessions": totals.sessions,
        "sessions dropped as bots": totals.bots,
        "rows dropped as bots": totals.bot_rows,
    }
    report.present = frozenset(
        name for name, found in zip(RELATIONS, totals.present, strict=True) if found
    )
    return report


def read_log(work: Engine, source: Source) -> MiningReport:
    """What the view `log` holds. Raises SchemaError where that is no row."""
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
