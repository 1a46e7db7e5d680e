"""Ready-made lists (also bought, also viewed, ...) to the same directed pairs as from events."""

from cprtools.errors import SchemaError, list_names, quote
from cprtools.mining import sql
from cprtools.mining.engine import Engine
from cprtools.mining.progress import Progress
from cprtools.mining.report import MiningReport
from cprtools.mining.workspace import Workspace
from cprtools.tables import columns as c
from cprtools.tables.source import Source

KINDS = {
    "co_purchase": c.CO_PURCHASE,
    "also_bought": c.CO_PURCHASE,
    "also_buy": c.CO_PURCHASE,
    "bought_together": c.CO_PURCHASE,
    "co_view": c.CO_VIEW,
    "also_viewed": c.CO_VIEW,
    "also_view": c.CO_VIEW,
    "purchase_after_view": c.PURCHASE_AFTER_VIEW,
    "buy_after_viewing": c.PURCHASE_AFTER_VIEW,
}


def count_relations(work: Workspace, source: Source, progress: Progress) -> MiningReport:
    """Fill the workspace with `products`, `buyers` and `directed`; returns what was read.

    Raises SchemaError for unknown relations, negative counts and a table without rows.
    """
    with work.reading(source):
        report = read_lists(work, source)
        work.run(sql.USABLE_RELATIONS)
        work.connection.execute("CREATE TABLE kinds (relation VARCHAR, kind VARCHAR)")
        work.connection.executemany("INSERT INTO kinds VALUES ($1, $2)", list(KINDS.items()))
        for statement in progress(sql.READING_RELATIONS, "reading", len(sql.READING_RELATIONS)):
            work.run(statement)
    report.totals = work.record("SELECT count(*) AS products FROM products")
    return report


def read_lists(work: Engine, source: Source) -> MiningReport:
    """What the view `log` holds, checked; for use inside `work.reading`. Raises as above."""
    report = MiningReport()
    kinds, skipped = set(), {"no query_id or candidate_id": 0, "a product paired with itself": 0}
    for relation, rows, least, without_id, itself in work.run(sql.RELATION_ROWS):
        if relation not in KINDS:
            raise SchemaError(
                f"{source.label}: {rows} rows have the relation "
                f"{'null' if relation is None else quote(relation)}; "
                f"allowed are {list_names(list(KINDS))}"
            )
        if least < 0:
            raise SchemaError(f"{source.label}: a count is {least}; counts must not be negative")
        kinds.add(KINDS[relation])
        report.rows += rows
        skipped["no query_id or candidate_id"] += without_id
        skipped["a product paired with itself"] += itself
    if report.rows == 0:
        raise SchemaError(f"{source.label}: the {source.spec.name} table has no rows")
    report.skipped = {reason: n for reason, n in skipped.items() if n}
    report.present = frozenset(kinds)
    return report
