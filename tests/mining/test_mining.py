"""Cases worked by hand, and what must not change the answer."""

import random
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import mining, tables
from cprtools.errors import SchemaError, UsageError
from cprtools.mining.rules import spell_duration


def row_of(rows, query, candidate):
    found = [r for r in rows if (r["query_id"], r["candidate_id"]) == (query, candidate)]
    return found[0] if found else None


def test_co_purchase_follows_time_and_lift_is_a_fraction_of_customers(mine, events_table, at):
    # phone then case within the week for two customers; case then phone for none of them
    rows = [
        ("1", "s1", "phone", "purchase", at()),
        ("1", "s2", "case", "purchase", at(days=7)),
        ("2", "s3", "phone", "purchase", at()),
        ("2", "s4", "case", "purchase", at(days=1)),
        ("3", "s5", "phone", "purchase", at()),
        ("3", "s6", "case", "purchase", at(days=7, seconds=1)),
        ("4", "s7", "tea", "purchase", at()),
        ("5", "s8", "tea", "view", at()),
    ]
    found, report = mine(events_table(rows), min_count=1)
    assert found == [
        {
            "query_id": "phone",
            "candidate_id": "case",
            "co_purchase": 2,
            "co_view": 0,
            "purchase_after_view": 0,
            "query_count": 3,
            "candidate_count": 3,
            # 2 of 3 x 3 buyers, 4 customers with a purchase (the fifth only viewed)
            "lift": 2 * 4 / (3 * 3),
            # Wilson's lower end for 2 of 3 buyers of a phone
            "confidence_low": pytest.approx(
                (2 + 1.96**2 / 2 - 1.96 * (2 * 1 / 3 + 1.96**2 / 4) ** 0.5) / (3 + 1.96**2),
                abs=1e-4,
            ),
            "complement": True,
            "similar": False,
        }
    ]
    assert report.totals["customers with a purchase"] == 4


@pytest.mark.parametrize("n", [2, 200])
def test_two_of_two_buyers_are_less_certain_than_200_of_200(mine, events_table, at, n):
    rows = [(str(i), "s", p, "purchase", at()) for i in range(n) for p in "ab"]
    found, _ = mine(events_table(rows))
    # n of n: n / (n + z^2), which is 0.342 of 2 and 0.981 of 200
    assert row_of(found, "a", "b")["confidence_low"] == pytest.approx(n / (n + 1.96**2), abs=1e-4)
    assert row_of(found, "a", "b")["lift"] == 1


def test_a_pair_never_bought_together_has_a_bound_of_zero_or_none(mine, events_table, at):
    rows = [("1", "s", "a", "view", at()), ("1", "s", "b", "view", at(1))]
    rows += [(str(i), "s", "a", "purchase", at()) for i in range(2, 5)]
    found, _ = mine(events_table(rows), min_count=1)
    # 0 of 3 buyers of a, and b was never bought
    assert row_of(found, "a", "b")["confidence_low"] == 0
    assert row_of(found, "b", "a")["confidence_low"] is None
    assert (row_of(found, "a", "b")["lift"], row_of(found, "b", "a")["lift"]) == (None, None)


def test_one_session_counts_both_directions_whatever_the_times(mine, events_table, at):
    rows = [("1", "s", "a", "purchase", at()), ("1", "s", "b", "purchase", at(days=30))]
    found, _ = mine(events_table(rows), min_count=1)
    assert [r["co_purchase"] for r in found] == [1, 1]


def test_a_session_id_shared_by_two_customers_is_two_sessions(mine, events_table, at):
    rows = [("1", "s", "a", "purchase", None), ("2", "s", "b", "purchase", None)]
    assert mine(events_table(rows), min_count=1)[0] == []


def test_customer_five_and_session_five_are_two_people(mine, events_table, at):
    rows = [
        ("5", None, "a", "purchase", at()),
        (None, "5", "b", "purchase", at(1)),
        ("5", None, "c", "purchase", at(2)),
    ]
    found, report = mine(events_table(rows), min_count=1)
    assert [(r["query_id"], r["candidate_id"]) for r in found] == [("a", "c")]
    assert report.totals["customers"] == 2


def test_rows_without_session_of_one_customer_are_no_session(mine, events_table):
    rows = [("1", None, "a", "purchase", None), ("1", None, "b", "purchase", None)]
    assert mine(events_table(rows), min_count=1)[0] == []


def test_views_on_the_way_to_buying_both_are_no_comparison(mine, events_table, at):
    views = [("1", "s", p, "view", at(i)) for i, p in enumerate("ab")]
    buys = [("1", None, p, "purchase", at(days=200 + 20 * i)) for i, p in enumerate("ab")]
    assert mine(events_table(views + buys), min_count=1)[0] == []
    one_bought, _ = mine(events_table(views + buys[:1]), min_count=1)
    assert [r["co_view"] for r in one_bought] == [1, 1]
    everybody, _ = mine(events_table(views + buys), min_count=1, count_buyers=True)
    assert row_of(everybody, "a", "b")["co_view"] == 1


def test_views_of_one_visit_are_no_comparison_either_of_who_bought_both(mine, events_table, at):
    # of visits that time does not join: without times, or longer than the window
    rows = [
        (customer, "s", product, "view", at(days=days) if days else None)
        for customer, days in (("1", 0), ("2", 1), ("3", 0))
        for product, days in (("a", days), ("b", 9 * days))
    ]
    bought = [
        (customer, None, product, "purchase", None)
        for customer, product in ("1a", "1b", "2a", "2b", "3a")
    ]
    found, _ = mine(events_table(rows + bought), min_count=1)
    # the third customer bought one of them
    assert {(r["query_id"], r["co_view"]) for r in found} == {("a", 1), ("b", 1)}
    found, _ = mine(events_table(rows + bought), min_count=1, count_buyers=True)
    assert {(r["query_id"], r["co_view"]) for r in found} == {("a", 3), ("b", 3)}


def test_purchase_after_view_leaves_out_who_bought_the_viewed_product_too(mine, events_table, at):
    rows = [
        ("1", "s", "a", "view", at()),
        ("1", "s", "b", "purchase", at(5)),
        ("2", "s", "a", "view", at()),
        ("2", "s", "b", "purchase", at(5)),
        ("2", "t", "a", "purchase", at(days=100)),
    ]
    found, _ = mine(events_table(rows), min_count=1)
    assert row_of(found, "a", "b")["purchase_after_view"] == 1
    found, _ = mine(events_table(rows), min_count=1, count_buyers=True)
    assert row_of(found, "a", "b")["purchase_after_view"] == 2


def cleaning_log(at):
    """a-b bought together and b bought after viewing a; a-c bought together and nothing else."""
    rows = []
    for customer in ("1", "2"):
        rows += [(customer, "s", "a", "purchase", at()), (customer, "s", "b", "purchase", at(1))]
        rows += [(customer, "s", "c", "purchase", at(2))]
    for customer in ("3", "4"):
        rows += [(customer, "s", "a", "view", at()), (customer, "s", "b", "purchase", at(1))]
    for customer in ("5", "6"):
        rows += [(customer, "s", "d", "view", at()), (customer, "s", "e", "view", at(1))]
        rows += [(customer, "s", "e", "purchase", at(2))]
    return rows


def test_complements_lose_purchases_after_views_as_well_as_co_views(mine, events_table, at):
    found, report = mine(events_table(cleaning_log(at)))
    assert row_of(found, "a", "b")["co_view"] == 0
    assert not row_of(found, "a", "b")["complement"]
    assert row_of(found, "b", "a")["complement"]
    assert row_of(found, "a", "c")["complement"]
    assert row_of(found, "d", "e")["similar"]
    assert not row_of(found, "e", "d")["similar"]
    assert report.overlaps["co_purchase", "purchase_after_view"] == 1
    assert report.single_relation is None


def test_planted_complements_and_substitutes_are_told_apart(mine, events_table, at):
    # shoppers compare two phones, buy one, and its case with it; noise is one shopper each
    draw = random.Random(3)
    rows = []
    for customer in range(60):
        phone, other = draw.sample(["p1", "p2"], 2)
        steps = [(phone, "view"), (other, "view"), (phone, "purchase"), ("case", "purchase")]
        steps.append((f"noise{customer}", "purchase"))
        rows += [(str(customer), "s", p, e, at(i)) for i, (p, e) in enumerate(steps)]
    found, _ = mine(events_table(rows), min_count=5, min_purchase_after_view=40)
    assert {(r["query_id"], r["candidate_id"]) for r in found if r["complement"]} == {
        (x, y) for p in ("p1", "p2") for x, y in [(p, "case"), ("case", p)]
    }
    found, _ = mine(events_table(rows), min_count=5)
    assert {(r["query_id"], r["candidate_id"]) for r in found if r["similar"]} == {
        ("p1", "p2"),
        ("p2", "p1"),
    }


def test_views_without_times_decide_similar_alone_and_the_report_says_so(mine, events_table):
    rows = [(c, "s", p, "view", None) for c in "12" for p in "ab"]
    found, report = mine(events_table(rows))
    assert [r["similar"] for r in found] == [True, True]
    assert [r["lift"] for r in found] == [None, None]
    assert report.single_relation == "co_view"
    assert "co_view without co_purchase" in report.similar_rule()


def test_a_log_whose_views_make_no_pair_is_not_said_to_have_none(mine, events_table):
    rows = [(c, "s", p, "purchase", None) for c in "12" for p in "ab"]
    _, report = mine(events_table([*rows, ("3", "t", "a", "view", None)]))
    assert (
        report.similar_rule()
        == "nothing: no pair was viewed, and every co-purchase is a complement"
    )


def test_sessions_of_bots_are_dropped_from_everything_and_counted(mine, events_table, at):
    bot = [("9", "bot", f"p{i}", "purchase", at()) for i in range(4)]
    people = [(c, "s", p, "purchase", at()) for c in "12" for p in ("p0", "p1")]
    found, report = mine(events_table(bot + people), max_session=3, min_count=1)
    assert [(r["query_id"], r["co_purchase"], r["query_count"]) for r in found] == [
        ("p0", 2, 2),
        ("p1", 2, 2),
    ]
    assert report.totals["sessions dropped as bots"] == 1
    assert report.totals["customers with a purchase"] == 2


def test_smaller_counts_become_zero_and_flags_are_set_on_what_is_left(mine, events_table, at):
    found, report = mine(events_table(cleaning_log(at)), min_purchase_after_view=3)
    assert row_of(found, "a", "b")["purchase_after_view"] == 0
    assert row_of(found, "a", "b")["complement"]
    assert "purchase_after_view" in report.present
    assert report.after["purchase_after_view"] == 0


def test_mining_ignores_row_order_and_repeated_rows(mine, events_table, at):
    rows = cleaning_log(at)
    shuffled = rows * 2
    random.Random(0).shuffle(shuffled)
    assert mine(events_table(rows))[0] == mine(events_table(shuffled))[0]


def test_mining_commutes_with_new_names(mine, events_table, at):
    names = {"a": "9", "b": "10", "c": "Ä", "d": "z", "e": "0"}
    rows = cleaning_log(at)
    renamed = [("c" + c, "s" + s, names[p], e, ts) for c, s, p, e, ts in rows]
    expected = [
        {**r, "query_id": names[r["query_id"]], "candidate_id": names[r["candidate_id"]]}
        for r in mine(events_table(rows))[0]
    ]
    expected.sort(key=lambda r: (r["query_id"], r["candidate_id"]))
    assert mine(events_table(renamed))[0] == expected


@pytest.mark.parametrize(
    "kind", [pa.int32(), pa.int64(), pa.float64(), pa.dictionary(pa.int32(), pa.string())]
)
def test_ids_of_any_usual_type_and_epoch_seconds_are_read(mine, kind):
    ids = pa.array(["1", "1", None, None])
    ids = ids.dictionary_encode() if pa.types.is_dictionary(kind) else ids.cast(kind)
    table = pa.table(
        {
            "customer_id": ids,
            "product_id": pa.array([10, 9, 9, 10], pa.int64()),
            "event": ["purchase"] * 4,
            "ts": pa.array([1_700_000_000, 1_700_000_060, 1, 2], pa.int32()),
        }
    )
    found, report = mine(table, min_count=1)
    assert [(r["query_id"], r["candidate_id"]) for r in found] == [("10", "9")]
    assert report.skipped == {"neither customer_id nor session_id": 2}


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("ts", ["2024-01-01", "soon"], "column 'ts' must hold times.*'soon'"),
        ("ts", [1.5, float("inf")], "column 'ts' must hold times"),
        ("product_id", [1.0, 2.5], "column 'product_id' must hold strings.*'2.5'"),
        ("customer_id", [1.5, 2.0], "column 'customer_id' must hold strings"),
    ],
)
def test_values_that_are_no_times_or_ids_are_refused_by_name(mine, column, values, told):
    good = {"customer_id": ["1", "1"], "product_id": ["a", "b"], "event": ["purchase"] * 2}
    with pytest.raises(SchemaError, match=told):
        mine(pa.table({**good, column: values}))


def test_an_empty_log_is_refused(mine, events_table):
    with pytest.raises(SchemaError, match="no rows"):
        mine(events_table([]))


def test_temporary_tables_are_gone_after_the_block(mine, events_table, at, monkeypatch, tmp_path):
    import tempfile

    place = tmp_path / "spill"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    mine(events_table(cleaning_log(at)))
    assert list(place.iterdir()) == []
    with pytest.raises(SchemaError):
        mine(events_table([]))
    assert list(place.iterdir()) == []


def test_a_memory_limit_without_room_is_a_usage_error(tmp_path, events_table, at):
    rows = [(str(c), "s", f"p{p}", "purchase", at(p)) for c in range(40) for p in range(400)]
    path = tmp_path / "log.parquet"
    pq.write_table(events_table(rows), path)
    source = tables.open_table(str(path), tables.EVENTS)
    with (
        pytest.raises(UsageError, match="--memory-limit 1MB is too small"),
        mining.mine_pairs(source, memory_limit="1MB", threads=1) as mined,
    ):
        mined.pairs.read_all()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("12h", 43200), ("7d", 604800), ("2w", 1209600), ("90", 90), ("1.5h", 5400)],
)
def test_durations_are_read_in_their_units(text, seconds):
    assert mining.parse_duration(text, "--window") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "0s"),
        ({"days": 7}, "7d"),
        ({"days": 1, "hours": 2, "seconds": 3}, "1d 2h 3s"),
        ({"minutes": 61}, "1h 1m"),
        ({"milliseconds": 1500}, "1.5s"),
        ({"microseconds": 1}, "0.000001s"),
    ],
)
def test_durations_are_told_in_their_units(parts, text):
    assert spell_duration(timedelta(**parts)) == text


@pytest.mark.parametrize("text", ["", "7x", "-1d", "d", "1e3", "99999999d", "\u0667d"])
def test_what_is_no_duration_is_refused_with_the_option(text):
    with pytest.raises(UsageError, match="--window"):
        mining.parse_duration(text, "--window")


def test_sizes_are_amounts_of_memory():
    assert mining.parse_size("1.5 GiB", "--memory-limit") == "1.5GiB"
    assert mining.rules.size_bytes("1.5GiB") == 3 * 2**29 and mining.rules.size_bytes("2kB") == 2000
    for text in ("2", "0GB", "80%", "lots"):
        with pytest.raises(UsageError, match="--memory-limit"):
            mining.parse_size(text, "--memory-limit")
