"""A state that grows day by day and forgets customers equals a run over what it holds."""

import random
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from oracle_mining import check_rows, mine_by_loops

from cprtools import mining, tables
from cprtools.errors import DataError, SchemaError, UsageError

SECONDS = [0, 1, 9, 10, 11, 59, 60, 61, 70, 120, 121]
RULES = mining.Rules(window=timedelta(seconds=60), view_window=timedelta(seconds=10), min_count=1)


@pytest.fixture
def keep(tmp_path, events_table):
    """Add rows to a state, or take customers out; returns (rows as dicts, report)."""

    def run(rows=None, rules=RULES, forget=(), state="state"):
        source = None
        if rows is not None:
            pq.write_table(events_table(rows), tmp_path / "day.parquet")
            source = tables.open_table(str(tmp_path / "day.parquet"), tables.EVENTS)
        place = str(tmp_path / state)
        with mining.mine_state(place, source, rules, forget=forget, threads=2) as mined:
            return mined.pairs.read_all().to_pylist(), mined.report

    return run


def draw_rows(draw, at, products):
    return [
        (
            draw.choice([None, *"123456"]),
            draw.choice([None, *"123456"]),
            draw.choice([*products, None]),
            draw.choice(["view", "purchase", "view", "purchase", "cart", None]),
            draw.choice([None, *(at(seconds) for seconds in SECONDS)]),
        )
        for _ in range(draw.randint(1, 40))
    ]


def usable(rows):
    return [r for r in rows if r[2] and r[3] in ("view", "purchase") and (r[0] or r[1])]


def check_totals(report, rows):
    held = usable(rows)
    assert report.totals["products"] == len({r[2] for r in held})
    assert report.totals["customers"] == len({(bool(r[0]), r[0] or r[1]) for r in held})
    assert report.totals["sessions"] == len({(r[0], r[1]) for r in held if r[1]})


@pytest.mark.parametrize("seed", range(12))
def test_days_and_forgotten_customers_equal_the_slow_loops(keep, at, monkeypatch, seed):
    from cprtools.mining import counting, merging, nightly

    draw = random.Random(seed)
    # customers of a run are looked at in several parts, and counts are merged early or late
    monkeypatch.setattr(nightly, "EVENT_BYTES", draw.choice([500, 1 << 50]))
    monkeypatch.setattr(counting, "NEIGHBOURS", 2)
    monkeypatch.setattr(merging, "_MERGE_AT", draw.choice([0, 5, 10**9]))
    rules = mining.Rules(
        window=timedelta(seconds=draw.choice([60, 0])),
        view_window=timedelta(seconds=draw.choice([10, 60])),
        min_count=draw.choice([1, 2]),
        count_buyers=draw.random() < 0.3,
        max_session=draw.choice([500, 2]),
    )
    held = []
    for day in range(4):
        known = sorted({row[0] for row in usable(held) if row[0]})
        if day == 2 and known:
            gone = draw.sample(known, min(2, len(known)))
            held = [row for row in held if row[0] not in gone]
            found, report = keep(rules=rules, forget=gone)
        else:
            # later days bring products whose ids sort between those of the first
            rows = draw_rows(draw, at, ["bd", "bbBa", "aBc", "Aab"][day])
            held += rows
            found, report = keep(rows, rules)
        check_rows(found, mine_by_loops(held, rules))
        check_totals(report, held)


def day_of(customer, *products, at):
    return [(customer, f"s{customer}", p, "purchase", at(i)) for i, p in enumerate(products)]


def test_the_same_day_twice_counts_once(keep, at):
    rows = day_of("1", "a", "b", at=at) + day_of("2", "a", "b", at=at)
    assert keep(rows)[0] == keep(rows)[0] == keep()[0]
    assert keep(rows)[1].added == 0


def test_a_view_counted_one_day_is_taken_back_when_both_are_bought_the_next(keep, at):
    views = [("1", "s", p, "view", at(i)) for i, p in enumerate("ab")]
    assert [row["co_view"] for row in keep(views)[0]] == [1, 1]
    buys = [("1", None, p, "purchase", at(days=200 + 20 * i)) for i, p in enumerate("ab")]
    assert keep(buys)[0] == []


def test_a_visit_that_becomes_a_bots_loses_the_pairs_it_showed(keep, at):
    rules = mining.Rules(min_count=1, max_session=2)
    rows = [("1", "s", p, "purchase", at()) for p in "abc"]
    assert len(keep(rows[:2], rules)[0]) == 2
    assert keep(rows[2:], rules)[0] == []


def test_a_forgotten_customer_leaves_no_trace_in_the_state(keep, at, tmp_path):
    keep(day_of("someone-else", "a", "b", at=at))
    keep(day_of("forget-me-please", "a", "only-this-one", at=at))
    found, report = keep(forget=["forget-me-please"])
    assert [(row["query_id"], row["candidate_id"]) for row in found] == [("a", "b"), ("b", "a")]
    assert report.totals["customers"] == 1
    (kept,) = (tmp_path / "state").iterdir()
    assert b"someone-else" in kept.read_bytes()
    assert b"forget-me-please" not in kept.read_bytes()
    assert b"only-this-one" not in kept.read_bytes()


def test_inputs_of_all_runs_are_told(keep, at, events_table, tmp_path):
    keep(day_of("1", "a", "b", at=at))
    pq.write_table(events_table(day_of("2", "a", "b", at=at)), tmp_path / "second.parquet")
    source = tables.open_table(str(tmp_path / "second.parquet"), tables.EVENTS)
    with mining.mine_state(str(tmp_path / "state"), source, RULES) as mined:
        told = [tables.describe_input(each) for each in mined.inputs]
    assert [(each["name"], each["rows"]) for each in told] == [
        ("day.parquet", 2),
        ("second.parquet", 2),
    ]


def test_an_interrupted_day_changes_nothing(keep, at, tmp_path, events_table):
    before, _ = keep(day_of("1", "a", "b", at=at))
    pq.write_table(events_table(day_of("2", "a", "c", at=at)), tmp_path / "second.parquet")
    source = tables.open_table(str(tmp_path / "second.parquet"), tables.EVENTS)
    with (
        pytest.raises(KeyboardInterrupt),
        mining.mine_state(str(tmp_path / "state"), source, RULES) as mined,
    ):
        assert mined.pairs.read_all().num_rows > len(before)
        raise KeyboardInterrupt
    assert keep()[0] == before


def test_an_interrupted_first_run_leaves_no_folder(tmp_path, at, events_table):
    pq.write_table(events_table(day_of("1", "a", "b", at=at)), tmp_path / "day.parquet")
    source = tables.open_table(str(tmp_path / "day.parquet"), tables.EVENTS)
    place = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt), mining.mine_state(str(place), source, RULES):
        raise KeyboardInterrupt
    assert not place.exists()


def test_other_rules_than_the_states_are_refused_by_name(keep, at):
    keep(day_of("1", "a", "b", at=at))
    for rules, told in [
        (mining.Rules(min_count=1), "made with --view-window 10s"),
        (
            mining.Rules(RULES.window, RULES.view_window, count_buyers=True),
            "made without --count-buyers",
        ),
    ]:
        with pytest.raises(UsageError, match=told):
            keep(day_of("2", "a", "b", at=at), rules)
    # least counts are a question of each reading
    assert keep(rules=mining.Rules(RULES.window, RULES.view_window, min_count=2))[0] == []


def test_customers_not_in_the_state_are_told_and_nobody_is_forgotten(keep, at):
    before, _ = keep(day_of("1", "a", "b", at=at))
    with pytest.raises(SchemaError, match="no customer '9' in this state"):
        keep(forget=["1", "9"])
    assert keep()[0] == before


def test_customers_are_forgotten_in_a_run_without_events(keep, at):
    rows = [("1", None, "x", "purchase", at(0)), ("1", None, "y", "purchase", at(1))]
    before, _ = keep(rows)
    with pytest.raises(UsageError, match="--forget goes without EVENTS"):
        keep(rows, forget=["1"])
    assert keep(forget=["1"])[0] == []
    # met again, the customer counts once
    assert keep(rows)[0] == before


def test_a_state_that_is_not_there_or_not_one_is_refused(keep, at, tmp_path):
    with pytest.raises(UsageError, match="there is no such state yet"):
        keep()
    assert not (tmp_path / "state").exists()
    for damage, told in [(b"no database", "damaged, or not a state"), (None, "not a state")]:
        place = tmp_path / "state" / "state.duckdb"
        place.parent.mkdir(exist_ok=True)
        place.unlink(missing_ok=True)
        if damage is None:
            duckdb.connect(str(place)).close()
        else:
            place.write_bytes(damage)
        with pytest.raises(DataError, match=told):
            keep(day_of("1", "a", "b", at=at))


@pytest.mark.parametrize(
    ("change", "told"), [("version = 99", "a state of version 99"), ("probe = 1", "another DuckDB")]
)
def test_a_state_of_another_version_is_refused(keep, at, tmp_path, change, told):
    keep(day_of("1", "a", "b", at=at))
    with duckdb.connect(str(tmp_path / "state" / "state.duckdb")) as connection:
        connection.execute(f"UPDATE described SET {change}")
    with pytest.raises(SchemaError, match=told):
        keep()


def test_a_state_in_use_is_refused(keep, at, tmp_path):
    import subprocess

    keep(day_of("1", "a", "b", at=at))
    place = tmp_path / "state" / "state.duckdb"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({str(place)!r}); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline()
    try:
        with pytest.raises(DataError, match="another run is using this state"):
            keep()
    finally:
        holder.communicate(b"\n")


def test_a_state_that_another_first_run_makes_is_refused(keep, at, tmp_path, events_table):
    pq.write_table(events_table(day_of("1", "a", "b", at=at)), tmp_path / "first.parquet")
    source = tables.open_table(str(tmp_path / "first.parquet"), tables.EVENTS)
    with mining.mine_state(str(tmp_path / "state"), source, RULES) as mined:
        first = mined.pairs.read_all().to_pylist()
        with pytest.raises(DataError, match="another run is using this state"):
            keep(day_of("2", "a", "c", at=at))
    # the first run's day is kept, and its folder is not taken away by the one refused
    assert keep()[0] == first


def test_nothing_is_added_while_a_state_is_written_anew(keep, at, tmp_path):
    keep([*day_of("1", "a", "b", at=at), *day_of("2", "a", "b", at=at)])
    with mining.mine_state(str(tmp_path / "state"), None, RULES, forget=["1"]) as mined:
        mined.pairs.read_all()
        with pytest.raises(DataError, match="another run is using this state"):
            keep(day_of("3", "a", "c", at=at))


def test_a_state_tells_of_its_customers_with_many_events_as_one_run_would(
    keep, at, mine, events_table
):
    days = [
        [("0", str(n), "a", "view", at(n)) for n in range(start, start + 600)] for start in (0, 600)
    ]
    keep(days[0])
    _, report = keep(days[1])
    _, whole = mine(events_table(days[0] + days[1]))

    assert report.doubts == whole.doubts
    assert report.doubts.heaviest == report.doubts.events == 1_200
    assert report.warnings()[0].startswith("one customer has 1,200 of 1,200 events")
    assert report.warnings()[0] == whole.warnings()[0]
