"""Why a customer counts for a relation of one pair, or does not: the definition in plain Python.

A second opinion on the SQL of the engines, with which it shares no code (DESIGN.md 3).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cprtools.mining.rules import Rules, micros, spell_duration
from cprtools.tables import columns as c


@dataclass(frozen=True)
class Row:
    """A customer's rows of one of the two products that are alike in everything."""

    is_query: bool
    is_purchase: bool
    session: str | None
    time: int | None
    """Microseconds since 1970, UTC."""
    is_bot: bool = False
    """Of a session that is dropped."""
    times: int = 1


@dataclass(frozen=True)
class Verdict:
    """Whether a customer counts, why in words that many customers share, and by how much."""

    counts: bool
    reason: str
    detail: str = ""


def judge(rows: Sequence[Row], rules: Rules) -> Mapping[str, Verdict]:
    """The verdict of each relation on one customer's rows of the query and the candidate."""
    bought, viewed = ([r for r in rows if r.is_purchase is kind] for kind in (True, False))
    buys_query, buys_candidate = _sides(bought)
    views_query, views_candidate = _sides(viewed)
    has_query = bool(_used(buys_query)) and not rules.count_buyers
    has_both = has_query and bool(_used(buys_candidate))
    return {
        c.CO_PURCHASE: _missing(
            ("query not bought", buys_query), ("candidate not bought", buys_candidate)
        )
        or _meeting(buys_query, buys_candidate, rules.window, "later"),
        c.CO_VIEW: _missing(
            ("query not viewed", views_query), ("candidate not viewed", views_candidate)
        )
        or (Verdict(False, "bought both") if has_both else None)
        or _meeting(views_query, views_candidate, rules.view_window, "apart"),
        c.PURCHASE_AFTER_VIEW: _missing(
            ("query not viewed", views_query), ("candidate not bought", buys_candidate)
        )
        or (Verdict(False, "bought the query, too") if has_query else None)
        or _following(views_query, buys_candidate, rules.window, "no times to compare"),
    }


def _sides(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    return [r for r in rows if r.is_query], [r for r in rows if not r.is_query]


def _used(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not row.is_bot]


def _missing(*sides: tuple[str, Sequence[Row]]) -> Verdict | None:
    reasons = [
        f"{reason} outside a bot's session" if rows else reason
        for reason, rows in sides
        if not _used(rows)
    ]
    return Verdict(False, ", ".join(reasons)) if reasons else None


def _meeting(query: list[Row], candidate: list[Row], window: timedelta, word: str) -> Verdict:
    sessions = {row.session for row in _used(query)} & {row.session for row in _used(candidate)}
    if shared := sorted(session for session in sessions if session is not None):
        return Verdict(True, "in one session", shared[0])
    return _following(query, candidate, window, "no session in common, no times to compare", word)


def _following(
    query: list[Row], candidate: list[Row], window: timedelta, no_times: str, word: str = "later"
) -> Verdict:
    first = sorted(row.time for row in _used(query) if row.time is not None)
    second = sorted(row.time for row in _used(candidate) if row.time is not None)
    if not first or not second:
        return Verdict(False, no_times)
    gap, behind = _least_gap(first, second), _least_gap(second, first)
    if word == "apart":
        gap = min(each for each in (gap, behind) if each is not None)
    if gap is None:
        return Verdict(False, "candidate came first", f"{_spell(behind or 0)} before the query")
    if gap <= micros(window):
        return Verdict(True, "within the window", f"{_spell(gap)} {word}")
    over = _spell(gap - micros(window))
    detail = f"{_spell(gap)} {word}, {over} over {spell_duration(window)}"
    return Verdict(False, "outside the window", detail)


def _least_gap(first: list[int], second: list[int]) -> int | None:
    # both sorted: a customer with a million events takes no million squared
    places = ((time, bisect_left(second, time)) for time in first)
    return min((second[i] - time for time, i in places if i < len(second)), default=None)


def _spell(duration: int) -> str:
    return spell_duration(timedelta(microseconds=duration))
