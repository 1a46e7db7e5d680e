"""An explanation as plain text; no id in it can steer a terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from cprtools.errors import four_digits, show_name
from cprtools.mining.explain import Customer, Explanation, ListRow
from cprtools.mining.report import RELATIONS
from cprtools.mining.verdicts import Row
from cprtools.tables import columns as c

CUSTOMERS_SHOWN = 20
ROWS_SHOWN = 20
_EPOCH = datetime(1970, 1, 1)


def explanation_text(found: Explanation) -> str:
    """Rows and verdicts customer by customer, those who count first, then the totals."""
    title = f"{show_name(found.query)} -> {show_name(found.candidate)} in {show_name(found.source)}"
    parts = [[title], *_customer_parts(found), _list_part(found), _reasons(found), _totals(found)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _customer_parts(found: Explanation) -> list[list[str]]:
    ordered = sorted(found.customers, key=lambda one: (-_counted(one), one.is_session, one.name))
    parts = [_customer_part(one) for one in ordered[:CUSTOMERS_SHOWN]]
    if (more := len(ordered) - CUSTOMERS_SHOWN) > 0:
        parts.append([f"and {more:,} more customers with rows of both products"])
    return parts


def _counted(one: Customer) -> int:
    return sum(verdict.counts for verdict in one.verdicts.values())


def _customer_part(one: Customer) -> list[str]:
    kind = "session" if one.is_session else "customer"
    lines = [f"{kind} {show_name(one.name)}"]
    cells = [_cells(row, alone=one.is_session) for row in one.rows[:ROWS_SHOWN]]
    lines += _aligned(cells)
    if len(one.rows) > ROWS_SHOWN:
        lines.append(f"  and {len(one.rows) - ROWS_SHOWN:,} more rows")
    for name, verdict in one.verdicts.items():
        detail = f" ({show_name(verdict.detail)})" if verdict.detail else ""
        lines.append(f"  {'counts' if verdict.counts else 'not'}: {name}, {verdict.reason}{detail}")
    return lines


def _cells(row: Row, *, alone: bool) -> list[str]:
    session = "no session" if row.session is None else f"session {show_name(row.session)}"
    notes = ["a bot's session"] if row.is_bot else []
    notes += [f"{row.times:,} rows alike"] if row.times > 1 else []
    return [
        "purchase" if row.is_purchase else "view",
        "query" if row.is_query else "candidate",
        "no time" if row.time is None else _moment(row.time),
        *([] if alone else [session]),
        ", ".join(notes),
    ]


def _moment(micros: int) -> str:
    try:
        return str(_EPOCH + timedelta(microseconds=micros))
    except OverflowError:
        return f"{micros} us after 1970"


def _list_part(found: Explanation) -> list[str]:
    if not found.lists:
        return []
    cells = [["direction", "relation", "count", "rank"], *(_list_cells(r) for r in found.lists)]
    return ["rows of the lists", *_aligned(cells)]


def _list_cells(row: ListRow) -> list[str]:
    direction = "candidate -> query" if row.is_reverse else "query -> candidate"
    rank = "" if row.rank is None else str(row.rank)
    return [direction, row.relation, f"{row.count:,}", rank]


def _reasons(found: Explanation) -> list[str]:
    if not found.customers:
        return []
    cells = []
    for name in RELATIONS:
        tally = Counter((v.counts, v.reason) for v in (o.verdicts[name] for o in found.customers))
        for (counts, reason), n in sorted(tally.items(), key=lambda x: (-x[0][0], -x[1], x[0][1])):
            cells.append([name, "counts" if counts else "not", f"{n:,}", reason])
    return [f"customers with rows of both products: {len(found.customers):,}", *_aligned(cells)]


def _totals(found: Explanation) -> list[str]:
    cells = [[name, f"{found.counts[name]:,}", _least(found, name)] for name in RELATIONS]
    if not found.lists:
        cells += [
            ["query_count", f"{found.query_count:,}", "customers who bought the query"],
            ["candidate_count", f"{found.candidate_count:,}", "customers who bought the candidate"],
            ["customers with a purchase", f"{found.population:,}", ""],
            ["lift", _number(found.lift), _lift_rule(found)],
            [
                "confidence_low",
                _number(found.confidence_low),
                "co_purchase / query_count, at least",
            ],
        ]
    cells.append(["complement", "yes" if found.complement else "no", _why_complement(found)])
    cells.append(["similar", "yes" if found.similar else "no", _why_similar(found)])
    kept = "as in the pairs table" if found.is_kept else "not in the pairs table"
    return [f"totals, {kept}", *_aligned(cells)]


def _least(found: Explanation, name: str) -> str:
    n, least = found.counts[name], found.minimums[name]
    return f"below the least count of {least:,}: 0 in the pairs table" if 0 < n < least else ""


def _number(value: float | None) -> str:
    return "none" if value is None else four_digits(value)


def _lift_rule(found: Explanation) -> str:
    if found.lift is None:
        return "one of them was never bought"
    bought = found.left[c.CO_PURCHASE]
    return f"{bought} * {found.population} / ({found.query_count} * {found.candidate_count})"


def _why_complement(found: Explanation) -> str:
    if not found.left[c.CO_PURCHASE]:
        return "no co_purchase"
    return f"{' and '.join(found.views_left)}, too" if found.views_left else "co_purchase alone"


def _why_similar(found: Explanation) -> str:
    if found.left[c.CO_PURCHASE]:
        return "co_purchase"
    if not found.views_left:
        return "neither co_view nor purchase_after_view"
    if len(found.views_left) == 2:
        return "co_view and purchase_after_view, no co_purchase"
    one = found.views_left[0]
    other = c.PURCHASE_AFTER_VIEW if one == c.CO_VIEW else c.CO_VIEW
    if found.similar:
        return f"{one}, no co_purchase; {other} occurs nowhere in this source"
    return f"{one} without {other}, which this source has"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
