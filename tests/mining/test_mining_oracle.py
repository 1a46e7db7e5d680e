"""Every row of generated logs against the slow loops of oracle_mining.py."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from oracle_mining import check_rows, mine_by_loops

WINDOW = 60
VIEW_WINDOW = 10
# times a second beside each border of both windows, and ties
SECONDS = [0, 1, 9, 10, 11, 59, 60, 61, 70, 120, 121]
FIXTURES = settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def logs(at):
    row = st.tuples(
        st.sampled_from([None, *"123456"]),
        st.sampled_from([None, *"123456"]),
        st.sampled_from([*"abcdB", None]),
        st.sampled_from(["view", "purchase", "view", "purchase", "cart", None]),
        st.one_of(st.none(), st.sampled_from(SECONDS).map(at)),
    )
    # few but long logs: a run costs the same for one row and for a hundred
    return st.lists(row, min_size=20, max_size=120)


def check(mine, events_table, rows, **rules):
    rules = {
        "window": timedelta(seconds=WINDOW),
        "view_window": timedelta(seconds=VIEW_WINDOW),
        **rules,
    }
    found, report = mine(events_table(rows), **rules)
    from cprtools.mining import Rules

    check_rows(found, mine_by_loops(rows, Rules(**rules)))
    used = [r for r in rows if r[3] in ("view", "purchase") and r[2] and (r[0] or r[1])]
    assert report.rows == len(rows)
    assert report.rows - sum(report.skipped.values()) == len(used)
    assert report.pairs == len(found)
    assert report.similar == sum(row["similar"] for row in found)
    return found


@pytest.mark.parametrize("count_buyers", [False, True])
def test_every_row_of_a_messy_log_equals_the_slow_loops(mine, events_table, at, count_buyers):
    seen = []

    @FIXTURES
    @given(logs(at))
    def compare(rows):
        seen.extend(check(mine, events_table, rows, min_count=1, count_buyers=count_buyers))

    compare()
    # the generated logs reach all three relations and both flags
    assert all(
        any(row[name] for row in seen)
        for name in ("co_purchase", "co_view", "purchase_after_view", "complement", "similar")
    )


def test_thresholds_and_bots_equal_the_slow_loops(mine, events_table, at):
    @settings(FIXTURES, max_examples=15)
    @given(logs(at), st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3))
    def compare(rows, purchases, views, after, max_session):
        check(
            mine,
            events_table,
            rows,
            min_co_purchase=purchases,
            min_co_view=views,
            min_purchase_after_view=after,
            max_session=max_session,
        )

    compare()


def test_customers_counted_in_many_parts_equal_the_slow_loops(mine, events_table, at, monkeypatch):
    from cprtools.mining import counting, records

    # a part for each neighbourhood of two customers, blocks of a few pairs, runs of a few records
    monkeypatch.setattr(counting, "NEIGHBOURS", 2)
    monkeypatch.setattr(counting, "EVENT_BYTES", 1 << 50)
    monkeypatch.setattr(counting, "_RECORD_BYTES", 1 << 40)
    monkeypatch.setattr(records, "BLOCK", 3)

    @settings(FIXTURES, max_examples=8)
    @given(logs(at))
    def compare(rows):
        check(mine, events_table, rows, min_count=1)

    compare()


def test_customers_put_aside_are_asked_for_the_pairs_of_others_alone(
    mine, events_table, at, monkeypatch
):
    from cprtools.mining import checking, counting

    monkeypatch.setattr(counting, "MOST_MEETINGS", 0)
    monkeypatch.setattr(checking, "BLOCK", 3)
    asked = []
    original = counting.check_pairs

    def check_pairs(joins, pairs):
        asked.append(len(pairs))
        return original(joins, pairs)

    monkeypatch.setattr(counting, "check_pairs", check_pairs)

    @settings(FIXTURES, max_examples=20)
    @given(logs(at), st.integers(2, 4), st.integers(1, 4), st.booleans())
    def compare(rows, least, seen, count_buyers):
        options = {"min_count": least, "min_co_view": seen, "count_buyers": count_buyers}
        check(mine, events_table, rows, **options)

    compare()
    assert sum(asked) > 0


def test_a_customer_is_put_aside_by_the_least_count_of_what_it_shows(
    mine, events_table, at, monkeypatch
):
    from cprtools.mining import counting

    monkeypatch.setattr(counting, "MOST_MEETINGS", 5)
    kept = []
    original = counting.Totals.put_aside

    def put_aside(totals, joins, most):
        kept.append(original(totals, joins, most))
        return kept[-1]

    monkeypatch.setattr(counting.Totals, "put_aside", put_aside)
    bot = [("bot", None, product, "view", at(0)) for product in "abcde"]
    others = [(str(n), None, product, "view", at(0)) for n in range(2) for product in "ab"]
    bought = [("2", None, product, "purchase", at(0)) for product in "xy"]
    check(mine, events_table, bot + others + bought, min_count=1, min_co_view=2)
    assert kept == [True]


def test_a_window_of_no_length_keeps_ties_alone(mine, events_table, at):
    rows = [
        ("1", None, product, "purchase", at(s)) for product, s in [("a", 0), ("b", 0), ("c", 1)]
    ]
    found = check(mine, events_table, rows, window=timedelta(0), min_count=1)
    assert [(r["query_id"], r["candidate_id"]) for r in found] == [("a", "b"), ("b", "a")]


def test_of_windows_of_no_length_the_last_of_one_customer_is_not_the_first_of_the_next(
    mine, events_table, at
):
    # so many customers and such short windows that only the moments that occur are numbered
    rows = [
        (str(n), None, product, event, at(s))
        for n in range(12)
        for product, s in (("a", 0), ("b", 0), ("c", 50), ("d", 99))
        for event in ("view", "purchase")[n % 2 :]
    ]
    nothing = timedelta(0)
    found = check(mine, events_table, rows, window=nothing, view_window=nothing, min_count=1)
    assert [(r["query_id"], r["candidate_id"]) for r in found] == [("a", "b"), ("b", "a")]


def test_times_on_both_sides_of_1970_meet(mine, events_table, at):
    from datetime import datetime

    epoch = datetime(1970, 1, 1)
    rows = [
        ("1", None, "a", "purchase", epoch - timedelta(seconds=WINDOW - 1)),
        ("1", None, "b", "purchase", epoch + timedelta(seconds=1)),
        ("1", None, "c", "purchase", epoch + timedelta(seconds=2)),
        ("1", None, "d", "purchase", epoch - timedelta(seconds=2 * WINDOW - 1)),
    ]
    found = check(mine, events_table, rows, min_count=1)
    pairs = {(r["query_id"], r["candidate_id"]) for r in found}
    assert pairs == {("a", "b"), ("b", "c"), ("d", "a")}
