"""What is told of a log beside its counts."""

from datetime import UTC, datetime, timedelta

from cprtools.mining import doubts

NOW = datetime.now(UTC).replace(tzinfo=None)


def log(*times):
    return [(f"c{n}", None, "a", "purchase", ts) for n, ts in enumerate(times)]


def told(report):
    return list(report.as_dict()["doubts"].values())


def test_rows_are_doubted_on_the_far_sides_of_1990_and_of_tomorrow_alone(mine, events_table):
    first = datetime(1990, 1, 1)
    early = [first - timedelta(microseconds=1), datetime(1970, 1, 1), datetime(1, 1, 1)]
    late = [NOW + timedelta(days=2), datetime(9999, 12, 31)]
    fine = [first, NOW, NOW + timedelta(hours=23), None]

    _, report = mine(events_table(log(*early, *late, *fine)))

    assert told(report)[:2] == [3, 2]
    assert report.rows == 9
    warnings = report.warnings()
    assert warnings[0].startswith("3 rows are dated before 1990")
    assert warnings[1].startswith("2 rows are dated more than a day in the future")
    assert told(mine(events_table(log(*fine)))[1])[:2] == [0, 0]


def test_a_doubted_row_counts_as_any_other(mine, events_table):
    long_ago = datetime(1950, 1, 1)
    rows = [("c", None, p, "purchase", long_ago) for p in "ab"]
    found, _ = mine(events_table(rows), min_count=1)

    assert [(row["query_id"], row["co_purchase"]) for row in found] == [("a", 1), ("b", 1)]


def test_customers_with_more_events_than_a_shopper_makes_are_counted(
    mine, events_table, monkeypatch
):
    from cprtools.mining import counting

    monkeypatch.setattr(counting, "HEAVY", 3)
    monkeypatch.setattr(doubts, "HEAVY", 3)
    start = datetime(2024, 1, 1)
    rows = [
        (customer, None, "a", "view", start + timedelta(days=day))
        for customer, events in (("three", 3), ("four", 4), ("five", 5))
        for day in range(events)
    ]

    _, report = mine(events_table(rows))

    assert told(report)[2:] == [2, 5]
    assert report.warnings()[0].startswith("2 customers have more than 3 events, the largest 5:")


def guests(n, name="0"):
    start = datetime(2024, 1, 1)
    return [(name, f"s{i}", "a", "view", start + timedelta(hours=i)) for i in range(n)]


def test_one_customer_with_much_of_the_log_is_told(mine, events_table):
    others = [(f"c{n}", None, "a", "view", None) for n in range(3_000)]

    _, report = mine(events_table(guests(1_001) + others))
    assert report.warnings()[0].startswith("one customer has 1,001 of 4,001 events: if it stands")
    assert "guests" not in " ".join(mine(events_table(guests(1_000) + others))[1].warnings())


def test_a_busy_customer_of_a_long_log_is_not_told():
    assert doubts.Doubts(heaviest=2_000, events=40_000).warnings() == []
    assert len(doubts.Doubts(heaviest=2_001, events=40_000).warnings()) == 1
    # very many events are told in one line
    assert len(doubts.Doubts(heavy=1, heaviest=200_000, events=300_000).warnings()) == 1
