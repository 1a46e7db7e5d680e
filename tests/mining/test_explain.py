"""What `--explain` says of a pair, against cases by hand and the slow loops."""

import re
import sys
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cprtools import mining, tables
from cprtools.errors import SchemaError, UsageError

sys.path.insert(0, str(Path(__file__).parent))
from oracle_mining import RELATIONS, mine_by_loops

TOLD = """\
a -> b in log.parquet

customer ann
  view      query      2024-01-01 00:00:00  session s
  purchase  query      2024-01-01 00:00:05  session s
  purchase  candidate  2024-01-01 00:01:00  session t
  counts: co_purchase, within the window (55s later)
  not: co_view, candidate not viewed
  not: purchase_after_view, bought the query, too

customer ben
  view      query      2024-01-01 00:00:00  session u
  view      candidate  2024-01-01 00:00:01  session u
  purchase  candidate  2024-01-01 00:01:01  session v
  not: co_purchase, query not bought
  counts: co_view, in one session (u)
  not: purchase_after_view, outside the window (1m 1s later, 1s over 1m)

customers with rows of both products: 2
  co_purchase          counts  1  within the window
  co_purchase          not     1  query not bought
  co_view              counts  1  in one session
  co_view              not     1  candidate not viewed
  purchase_after_view  not     1  bought the query, too
  purchase_after_view  not     1  outside the window

totals, as in the pairs table
  co_purchase                1
  co_view                    1
  purchase_after_view        0
  query_count                2        customers who bought the query
  candidate_count            2        customers who bought the candidate
  customers with a purchase  3
  lift                       0.75     1 * 3 / (2 * 2)
  confidence_low             0.09453  co_purchase / query_count, at least
  complement                 no       co_view, too
  similar                    no       co_purchase
"""
RULES = {"window": timedelta(seconds=60), "view_window": timedelta(seconds=10)}


@pytest.fixture
def explain(tmp_path):
    """Explain a pair of an Arrow table; the text comes with it."""

    def run(table, query, candidate, spec=tables.EVENTS, **rules):
        path = tmp_path / "log.parquet"
        pq.write_table(table, path)
        source = tables.open_table(str(path), spec)
        found = mining.explain_pair(source, query, candidate, mining.Rules(**rules), threads=1)
        return found, mining.explanation_text(found)

    return run


@pytest.fixture
def verdicts(explain, events_table):
    """{relation: (counts, reason, detail)} of the only customer with rows of both a and b."""

    def run(rows, query="a", candidate="b", **rules):
        found, _ = explain(events_table(rows), query, candidate, **{**RULES, **rules})
        (one,) = found.customers
        return {name: (v.counts, v.reason, v.detail) for name, v in one.verdicts.items()}

    return run


def test_each_customer_counts_or_does_not_for_a_reason(explain, events_table, at):
    rows = [
        ("ann", "s", "a", "view", at()),
        ("ann", "s", "a", "purchase", at(5)),
        ("ann", "t", "b", "purchase", at(60)),
        ("ben", "u", "a", "view", at()),
        ("ben", "u", "b", "view", at(1)),
        ("ben", "v", "b", "purchase", at(61)),
        ("cy", "w", "a", "purchase", at()),
    ]
    found, text = explain(events_table(rows), "a", "b", min_count=1, **RULES)
    assert found.counts == {"co_purchase": 1, "co_view": 1, "purchase_after_view": 0}
    # ann and cy bought a, ann and ben bought b; all three bought something
    assert (found.query_count, found.candidate_count, found.population) == (2, 2, 3)
    assert found.lift == 1 * 3 / (2 * 2)
    # 1 of 2
    bound = (1 + 1.96**2 / 2 - 1.96 * (1 * 1 / 2 + 1.96**2 / 4) ** 0.5) / (2 + 1.96**2)
    assert found.confidence_low == pytest.approx(bound, abs=1e-4)
    assert text == TOLD


def test_buying_both_anywhere_is_why_views_do_not_count(verdicts, at):
    rows = [("1", "s", p, "view", at(i)) for i, p in enumerate("ab")]
    rows += [("1", None, p, "purchase", at(days=200 + 20 * i)) for i, p in enumerate("ab")]
    found = verdicts(rows)
    assert found["co_purchase"][:2] == (False, "outside the window")
    assert found["co_purchase"][2] == "20d later, 19d 23h 59m over 1m"
    assert found["co_view"] == (False, "bought both", "")
    assert found["purchase_after_view"] == (False, "bought the query, too", "")
    assert verdicts(rows, count_buyers=True)["co_view"] == (True, "in one session", "s")


def test_the_borders_of_both_windows_and_the_order_are_told_to_the_second(verdicts, at):
    bought = [("1", None, "a", "purchase", at()), ("1", None, "b", "purchase", at(60))]
    assert verdicts(bought)["co_purchase"] == (True, "within the window", "1m later")
    assert verdicts(bought, "b", "a")["co_purchase"] == (
        False,
        "candidate came first",
        "1m before the query",
    )
    viewed = [("1", None, "a", "view", at(10)), ("1", None, "b", "view", at())]
    assert verdicts(viewed)["co_view"] == (True, "within the window", "10s apart")
    late = [*viewed[:1], ("1", None, "b", "view", at(21))]
    assert verdicts(late)["co_view"] == (False, "outside the window", "11s apart, 1s over 10s")
    # the nearest two views count, whichever came first
    again = [*viewed, ("1", None, "a", "view", at(-90)), ("1", None, "b", "view", at(-50))]
    assert verdicts(again)["co_view"] == (True, "within the window", "10s apart")


def test_without_times_only_one_session_can_count(verdicts):
    apart = [("1", "s", "a", "purchase", None), ("1", "t", "b", "purchase", None)]
    reason = "no session in common, no times to compare"
    assert verdicts(apart)["co_purchase"] == (False, reason, "")
    after = [("1", "s", "a", "view", None), ("1", "s", "b", "purchase", None)]
    assert verdicts(after)["purchase_after_view"] == (False, "no times to compare", "")


def test_rows_of_a_bot_are_shown_and_count_nowhere(explain, events_table, at):
    bot = [("1", "bot", p, "purchase", at()) for p in "abcd"]
    rows = [*bot, ("1", "s", "a", "purchase", at(1)), ("2", "s", "d", "purchase", at())]
    found, text = explain(events_table(rows), "a", "b", max_session=3, min_count=1)
    assert (found.query_count, found.candidate_count, found.population) == (1, 0, 2)
    assert found.counts["co_purchase"] == 0
    assert "session bot  a bot's session" in text
    assert "not: co_purchase, candidate not bought outside a bot's session" in text
    assert "totals, not in the pairs table" in text
    assert (found.lift, found.confidence_low) == (None, 0)


def test_counts_below_the_least_count_are_told_apart_from_none(explain, events_table, at):
    rows = [("1", "s", p, "purchase", at()) for p in "ab"]
    found, text = explain(events_table(rows), "a", "b")
    assert found.counts["co_purchase"] == 1
    assert (found.left["co_purchase"], found.is_kept, found.complement) == (0, False, False)
    assert "below the least count of 2: 0 in the pairs table" in text


def test_one_view_relation_decides_similar_only_where_the_log_has_no_other(
    explain, events_table, at
):
    views = [(c, "s", p, "view", at()) for c in "12" for p in "ab"]
    found, text = explain(events_table(views), "a", "b")
    assert found.similar
    assert "co_view, no co_purchase; purchase_after_view occurs nowhere" in text
    # one shopper elsewhere, below every least count
    elsewhere = [("3", None, "c", "view", at()), ("3", None, "d", "purchase", at(1))]
    found, text = explain(events_table(views + elsewhere), "a", "b")
    assert not found.similar
    assert "co_view without purchase_after_view, which this source has" in text


def test_many_customers_and_rows_are_cut_and_the_rest_counted(explain, events_table, at):
    rows = [(f"{i:03}", "s", p, "purchase", at()) for i in range(30) for p in "ab"]
    rows += [("999", None, p, "purchase", at(days=20 * i)) for i in range(25) for p in "ab"] * 2
    found, text = explain(events_table(rows), "a", "b", **RULES)
    assert found.counts["co_purchase"] == 31
    assert text.count("\ncustomer ") == 20
    assert "and 11 more customers with rows of both products" in text
    _, text = explain(events_table(rows[:42]), "a", "b", **RULES)
    assert "and 1 more customers" in text
    _, text = explain(events_table(rows[60:]), "a", "b", **RULES)
    assert "and 30 more rows" in text
    assert text.count("2 rows alike") == 20


def test_no_id_can_steer_the_terminal(explain, events_table, at):
    product, session = "a\x1b[2J", "s\n\u202e"
    rows = [("\x1b]0;x\x07", session, p, "purchase", at()) for p in (product, "b")]
    _, text = explain(events_table(rows), product, "b")
    assert "\\x1b[2J" in text
    assert all(ch.isprintable() or ch == "\n" for ch in text)
    assert len([line for line in text.splitlines() if "counts: co_purchase" in line]) == 1


def test_anonymous_sessions_stand_for_customers_and_are_named_so(explain, events_table, at):
    rows = [(None, "5", "a", "purchase", at()), (None, "5", "b", "purchase", at(1))]
    rows += [("5", None, "a", "purchase", at())]
    found, text = explain(events_table(rows), "a", "b", min_count=1)
    assert (found.query_count, found.counts["co_purchase"]) == (2, 1)
    assert "\nsession 5\n  purchase  query      2024-01-01 00:00:00\n" in text


@pytest.mark.parametrize(
    ("query", "candidate", "told"),
    [
        ("camra", "card", "no row of a product 'camra'; did you mean camera, card?"),
        ("camera", "CARD", "no row of a product 'CARD'; did you mean card, camera?"),
        ("camera", "zz", "no row of a product 'zz'; there are camera, card, ..."),
    ],
)
def test_unknown_products_are_refused_with_the_nearest(
    explain, events_table, at, query, candidate, told
):
    rows = [("1", "s", "camera", "view", at()), ("1", "s", "card", "purchase", at())]
    with pytest.raises(SchemaError, match=re.escape(told)):
        explain(events_table(rows), query, candidate)


def test_a_product_with_itself_is_no_pair(explain, events_table, at):
    with pytest.raises(UsageError, match="two products, got 'a' twice"):
        explain(events_table([("1", "s", "a", "view", at())]), "a", "a")


def test_every_total_equals_the_slow_loops_in_both_directions(explain, events_table, at):
    row = st.tuples(
        st.sampled_from([*"12345", None]),
        st.sampled_from([*"123", None]),
        st.sampled_from([*"abcB", None]),
        st.sampled_from(["view", "purchase", "view", "purchase", "cart"]),
        st.one_of(st.none(), st.sampled_from([0, 1, 9, 10, 11, 59, 60, 61, 70]).map(at)),
    )
    reached = dict.fromkeys([*RELATIONS, "complement", "similar"], 0)

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=15,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        st.lists(row, min_size=30, max_size=90), st.integers(1, 2), st.booleans(), st.integers(2, 4)
    )
    def compare(rows, least, count_buyers, max_session):
        rules = {**RULES, "count_buyers": count_buyers, "max_session": max_session}
        table = events_table(rows)
        raw = _by_pair(mine_by_loops(rows, mining.Rules(**rules, min_count=1)))
        kept = _by_pair(mine_by_loops(rows, mining.Rules(**rules, min_count=least)))
        usable = {r[2] for r in rows if r[2] and r[3] in ("view", "purchase") and (r[0] or r[1])}
        for pair in permutations(sorted(usable), 2):
            found, _ = explain(table, *pair, **rules, min_count=least)
            none = dict.fromkeys(RELATIONS, 0)
            assert found.counts == {n: raw.get(pair, none)[n] for n in RELATIONS}
            assert found.is_kept == (pair in kept)
            if pair in kept:
                _same(found, kept[pair])
                for name in reached:
                    reached[name] += bool(kept[pair][name])

    compare()
    assert all(reached.values()), reached


def _by_pair(rows):
    return {(row["query_id"], row["candidate_id"]): row for row in rows}


def _same(found, row):
    assert found.left == {name: row[name] for name in RELATIONS}
    assert (found.query_count, found.candidate_count) == (
        row["query_count"],
        row["candidate_count"],
    )
    assert found.lift == row["lift"]
    assert found.confidence_low == pytest.approx(row["confidence_low"], abs=1e-12)
    assert (found.complement, found.similar) == (row["complement"], row["similar"])


def test_lists_show_the_rows_of_both_directions_and_add_up_as_mining_does(explain, mine):
    rows = [
        ("q", "c", "also_bought", 1, 2),
        ("q", "c", "also_bought", 2, None),
        ("q", "c", "bought_together", 1, 1),
        ("q", "c", "also_viewed", 3, 1),
        ("c", "q", "bought_together", 1, 4),
        ("q", "d", "buy_after_viewing", 1, 1),
    ]
    names = ["query_id", "candidate_id", "relation", "rank", "count"]
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    found, text = explain(table, "q", "c", tables.RELATIONS)
    # also_bought 2 + 1 against bought_together 1
    assert found.counts == {"co_purchase": 3, "co_view": 1, "purchase_after_view": 0}
    assert text.splitlines()[2:9] == [
        "rows of the lists",
        "  direction           relation         count  rank",
        "  query -> candidate  also_bought      2      1",
        "  query -> candidate  also_bought      1      2",
        "  query -> candidate  also_viewed      1      3",
        "  query -> candidate  bought_together  1      1",
        "  candidate -> query  bought_together  4      1",
    ]
    mined, _ = mine(table, spec=tables.RELATIONS)
    for row in mined:
        found, _ = explain(table, row["query_id"], row["candidate_id"], tables.RELATIONS)
        assert found.left == {name: row[name] for name in RELATIONS}
        assert (found.complement, found.similar) == (row["complement"], row["similar"])


def test_lists_without_the_pair_say_which_product_is_unknown(explain):
    names = ["query_id", "candidate_id", "relation"]
    table = pa.table(dict(zip(names, [["q", "c"], ["c", "d"], ["also_buy"] * 2], strict=True)))
    found, text = explain(table, "q", "d", tables.RELATIONS)
    assert not found.is_kept
    assert "totals, not in the pairs table" in text
    with pytest.raises(SchemaError, match="no row of a product 'e'; there are c, d, q"):
        explain(table, "q", "e", tables.RELATIONS)


@pytest.mark.parametrize("name", ["rees46/events", "amazon-digital-music/relations"])
def test_pairs_of_real_shops_are_counted_alike(real_data, name):
    spec = tables.EVENTS if name.endswith("events") else tables.RELATIONS
    source = tables.open_table(real_data(f"{name}.parquet"), spec)
    with mining.mine_pairs(source, threads=1) as mined:
        pairs = mined.pairs.read_all()
    for row in pairs.take(list(range(0, len(pairs), len(pairs) // 5))).to_pylist():
        found = mining.explain_pair(source, row["query_id"], row["candidate_id"], threads=1)
        assert found.left == {n: row[n] for n in RELATIONS}
        assert (found.lift, found.query_count) == (row["lift"], row["query_count"])
        assert (found.complement, found.similar) == (row["complement"], row["similar"])
