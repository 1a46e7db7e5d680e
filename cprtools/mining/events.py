"""Events to counts of directed pairs, on DuckDB: the view `directed` and the table `buyers`."""

from collections.abc import Sequence

from cprtools.errors import SchemaError, quote
from cprtools.mining import counting, merging, nightly, sql
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
    report = _read(work, source, sql.READING_EVENTS, progress)
    totals = counting.count_pairs(work, rules, rules.minimums(FROM_EVENTS), progress)
    work.run(sql.DIRECTED.format(counted="counted"))
    doubts = report.doubts
    doubts.heavy, doubts.heaviest, doubts.events = totals.heavy, totals.heaviest, totals.events
    report.totals = {
        **work.record(sql.TOTALS),
        "customers with a purchase": totals.purchasers,
        "sessions": totals.sessions,
        "sessions dropped as bots": totals.bots,
        "rows dropped as bots": totals.bot_rows,
    }
    report.present = _named(totals.present)
    return report


def begin_state(work: Workspace, source: Source, rules: Rules, progress: Progress) -> MiningReport:
    """Fill a new state from its first log; returns what was read. Raises as `count_events`."""
    report = _read(work, source, sql.READING_EVENTS, progress)
    merging.begin(work, rules, progress)
    return report


def change_state(
    work: Workspace,
    source: Source | None,
    forget: Sequence[str],
    rules: Rules,
    progress: Progress,
) -> MiningReport:
    """Add a log to a state, and take customers out of it; returns what was read.

    Raises as `count_events`, and SchemaError for customers that the state does not hold.
    """
    work.run("CREATE TEMP TABLE forgotten (customer INTEGER)")
    for customer in forget:
        work.values["visitor"] = customer
        if not work.run(nightly.FORGET)[0][0]:
            raise SchemaError(f"--forget: no customer {quote(customer)} in this state")
    if source is None:
        report = MiningReport()
        work.run(nightly.NOTHING_FRESH)
    else:
        report = _read(work, source, nightly.READING, progress)
    changes, added = nightly.change(work, rules)
    merging.settle(work, changes)
    report.added = None if source is None else added
    return report


def read_state(work: Workspace, report: MiningReport, rules: Rules, *, has_forgotten: bool) -> None:
    """Leave `directed`, `products` and `buyers` of the whole state, and say what it holds."""
    if has_forgotten:
        work.run(nightly.DROP_UNSEEN)
    shown = merging.read_out(work, rules.minimums(FROM_EVENTS), merge=has_forgotten)
    work.run(sql.DIRECTED.format(counted="reached"))
    report.totals = work.record(merging.SEEN)
    doubts = report.doubts
    doubts.heavy, doubts.heaviest, doubts.events = merging.heavy_customers(work)
    report.present = _named(shown)


def _named(present: Sequence[bool]) -> frozenset[str]:
    return frozenset(name for name, found in zip(RELATIONS, present, strict=True) if found)


def _read(
    work: Workspace, source: Source, statements: Sequence[str], progress: Progress
) -> MiningReport:
    work.values["neighbours"] = counting.NEIGHBOURS
    with work.reading(source):
        report = read_log(work, source)
        work.run(sql.USABLE_EVENTS)
        for statement in progress(statements, "reading events", len(statements)):
            work.run(statement)
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
