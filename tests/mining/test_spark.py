"""Pair mining on Spark: equal to DuckDB and to the slow loops, row by row and in the report."""

import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cprtools import mining, tables
from cprtools.mining import counting, spark

sys.path.insert(0, str(Path(__file__).parent))
from oracle_mining import check_rows, mine_by_loops

pytestmark = [pytest.mark.spark, pytest.mark.slow]

WINDOW, VIEW_WINDOW = timedelta(seconds=60), timedelta(seconds=10)
# times a second beside each border of both windows, and ties
SECONDS = [0, 1, 9, 10, 11, 59, 60, 61, 70, 120, 121]
LOGS_TOGETHER = 10
FEW = settings(
    deadline=None,
    derandomize=True,
    # the first is the simplest log there is, the others are what is meant
    max_examples=4,
    # a smaller log that fails, too, would take minutes to find
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def one_log(at):
    row = st.tuples(
        st.sampled_from([None, *"12345"]),
        st.sampled_from([None, *"12345"]),
        st.sampled_from([*"abcdB", None]),
        st.sampled_from(["view", "purchase", "view", "purchase", "cart", None]),
        st.one_of(st.none(), st.sampled_from(SECONDS).map(at)),
    )
    return st.lists(row, min_size=20, max_size=80)


def logs(at):
    """Several logs as one: their customers, sessions and products carry its number."""

    def named(number, value):
        return None if value is None else f"{number}{value}"

    def united(parts):
        return [
            (named(n, customer), named(n, session), named(n, product), event, ts)
            for n, rows in enumerate(parts)
            for customer, session, product, event, ts in rows
        ]

    return st.lists(one_log(at), min_size=LOGS_TOGETHER, max_size=LOGS_TOGETHER).map(united)


def check(mine, mine_with_spark, events_table, rows, **rules):
    rules = {"window": WINDOW, "view_window": VIEW_WINDOW, **rules}
    found, report = mine_with_spark(events_table(rows), **rules)
    by_duckdb, same_report = mine(events_table(rows), **rules)
    assert found == by_duckdb
    check_rows(found, mine_by_loops(rows, mining.Rules(**rules)))
    assert report == same_report
    return found


@pytest.mark.parametrize("count_buyers", [False, True])
def test_messy_logs_give_the_rows_of_the_loops_and_of_duckdb(
    mine, mine_with_spark, events_table, at, count_buyers
):
    seen = []

    @FEW
    @given(logs(at))
    def compare(rows):
        options = {"min_count": 1, "count_buyers": count_buyers}
        seen.extend(check(mine, mine_with_spark, events_table, rows, **options))

    compare()
    # the generated logs reach all three relations and both flags
    assert all(
        any(row[name] for row in seen)
        for name in ("co_purchase", "co_view", "purchase_after_view", "complement", "similar")
    )


def test_thresholds_and_bots_give_the_rows_of_the_loops_and_of_duckdb(
    mine, mine_with_spark, events_table, at
):
    @FEW
    @given(logs(at), st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3))
    def compare(rows, purchases, views, after, max_session):
        check(
            mine,
            mine_with_spark,
            events_table,
            rows,
            min_co_purchase=purchases,
            min_co_view=views,
            min_purchase_after_view=after,
            max_session=max_session,
        )

    compare()


def test_buyers_who_viewed_first_ties_and_both_borders_are_counted_alike(
    mine, mine_with_spark, events_table, at
):
    rows = []
    for customer, gap in enumerate([0, 59, 60, 61]):
        who = str(customer)
        rows += [(who, None, "a", "view", at()), (who, None, "b", "purchase", at(gap))]
        rows += [(who, None, "c", "view", at()), (who, None, "d", "view", at(gap / 6))]
        rows += [(who, None, "e", "purchase", at()), (who, None, "f", "purchase", at(gap))]
    rows += [("0", None, "a", "purchase", at(days=300)), *rows[:4]]
    found = check(mine, mine_with_spark, events_table, rows, min_count=1)
    counts = {(r["query_id"], r["candidate_id"]): r for r in found}
    # gaps of 0, 59 and 60 seconds are within the window; customer 0 bought a, too
    assert counts["e", "f"]["co_purchase"] == 3
    assert counts["f", "e"]["co_purchase"] == 1
    assert counts["c", "d"]["co_view"] == 3
    assert counts["a", "b"]["purchase_after_view"] == 2


def test_a_window_of_no_length_and_times_before_1970_are_counted_alike(
    mine, mine_with_spark, events_table, at
):
    early = at() - timedelta(days=20_000)
    rows = [(c, None, p, "purchase", early + timedelta(seconds=s)) for c in "12" for p, s in
            [("a", 0), ("b", 0), ("c", 1)]]  # fmt: skip
    found = check(mine, mine_with_spark, events_table, rows, window=timedelta(0))
    assert [(r["query_id"], r["candidate_id"]) for r in found] == [("a", "b"), ("b", "a")]


def test_blocks_and_small_tasks_change_nothing(
    mine, mine_with_spark, events_table, at, monkeypatch
):
    # ids whose order by bytes is neither that of letters nor of lengths
    ids = [*"zaB9Ä", "10", "é", "\U0001f600", "\uffee"]
    rows = [
        (str(c), "s", product, "purchase", at(c))
        for c in range(9)
        for n, product in enumerate(ids)
        if (c + n) % 3
    ]
    monkeypatch.setattr(spark, "BLOCK_ROWS", 5)
    found = check(mine, mine_with_spark, events_table, rows, min_count=1)
    assert len(found) > 20
    assert [r["query_id"].encode() for r in found] == sorted(r["query_id"].encode() for r in found)


def test_large_customers_are_asked_for_the_pairs_of_others_and_nothing_changes(
    mine, mine_with_spark, events_table, at, monkeypatch
):
    asked = []
    checked = spark._checked
    monkeypatch.setattr(spark, "HEAVY_ROWS", 20)
    monkeypatch.setattr(counting, "MOST_MEETINGS", 10)
    monkeypatch.setattr(spark, "_checked", lambda *given: asked.append(given) or checked(*given))
    # a crawler sees and buys everything, one shopper half of it, and others a little
    rows = []
    for customer, products, step in (("1", 12, 1), ("2", 12, 2), ("3", 5, 1), ("4", 6, 3)):
        for n in range(0, products, step):
            rows += [(customer, "s", f"p{n:02}", "view", at(5 * n))]
            rows += [(customer, "t", f"p{n:02}", "purchase", at(5 * n + 300))]
            rows += [(customer, None, f"p{n:02}", "view", at(5 * n + 1))]
    found = check(mine, mine_with_spark, events_table, rows, min_count=2)
    assert len(asked) == 1
    assert {row["co_purchase"] for row in found} >= {2, 3}


def both(source, **options):
    """The rows and the report of either engine."""
    found = []
    for run in (mining.mine_pairs, mining.mine_pairs_on_spark):
        with run(source, **options) as mined:
            found.append((mined.pairs.read_all(), mined.report))
    return found


@pytest.mark.usefixtures("spark_session")
def test_a_catalogue_is_compared_alike(events_table, at, tmp_path):
    log = [(c, "s", p, e, at()) for c in "12" for p in "abcd" for e in ("view", "purchase")]
    log += [(c, "s", p, "view", at()) for c in "34" for p in "aeb"]
    pq.write_table(events_table(log), tmp_path / "log.parquet")
    products = {"product_id": [*"abcdx"], "product_type": ["t", "t", "u", None, "u"]}
    pq.write_table(pa.table(products), tmp_path / "products.parquet")
    source = tables.open_table(str(tmp_path / "log.parquet"), tables.EVENTS)
    catalogue = tables.open_table(str(tmp_path / "products.parquet"), tables.PRODUCTS)
    (rows, report), (by_spark, same_report) = both(source, products=catalogue)
    assert by_spark.equals(rows)
    assert same_report == report
    # x has no row here, and the catalogue lacks e
    assert (report.catalogue.unseen, report.catalogue.foreign) == (1, 1)


@pytest.mark.usefixtures("spark_session")
def test_a_log_without_a_usable_row_is_empty_alike(tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"session_id": ["s"], "product_id": ["a"], "event": ["cart"]}), path)
    (rows, report), (by_spark, same_report) = both(tables.open_table(str(path), tables.EVENTS))
    assert by_spark.equals(rows)
    assert rows.num_rows == 0
    assert same_report == report


@pytest.mark.usefixtures("spark_session")
def test_a_real_log_gives_the_same_rows(real_data):
    source = tables.open_table(real_data("rees46/events.parquet"), tables.EVENTS)
    (rows, report), (by_spark, same_report) = both(source, rules=mining.Rules(min_count=1))
    assert by_spark.equals(rows)
    assert same_report == report
    assert rows.num_rows > 1000
