"""Splits: what goes to test, worked by hand, against a slow loop, and as properties."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools.errors import SchemaError, UsageError
from cprtools.evaluation.splits import (
    one_way,
    split_by_fraction,
    split_by_pair,
    split_by_time,
    split_cold,
)

IDS = st.sampled_from(["a", "b", "c", "d", "é", "", None])
ROWS = st.lists(st.tuples(IDS, IDS, st.integers(0, 3)), min_size=1, max_size=40)
FRACTIONS = st.sampled_from([0.1, 0.2, 0.29, 0.3, 0.5, 0.7, 0.9])
PROPERTY = settings(deadline=None, max_examples=60, derandomize=True)

WAYS = {
    "fraction": lambda t, f, s: split_by_fraction(t, ["x"], f, min_rows=2, seed=s),
    "pair": lambda t, f, s: split_by_pair(t, ["x", "y"], f, seed=s),
    "cold": lambda t, f, s: split_cold(t, ["x"], f, seed=s),
    "cold, two columns": lambda t, f, s: split_cold(t, ["x", "y"], f, seed=s),
}


def table_of(rows):
    x, y, n = zip(*rows, strict=True)
    return pa.table({"x": pa.array(x, pa.string()), "y": pa.array(y, pa.string()), "n": n})


def rows_of(table):
    return list(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))


@pytest.mark.parametrize("way", WAYS)
@PROPERTY
@given(rows=ROWS, fraction=FRACTIONS, seed=st.integers(0, 3))
def test_a_split_parts_the_rows_and_keeps_their_order_columns_and_types(way, rows, fraction, seed):
    table = table_of(rows)

    train, test = WAYS[way](table, fraction, seed)

    assert Counter(rows_of(train)) + Counter(rows_of(test)) == Counter(rows)
    assert train.schema == test.schema == table.schema
    for part in (train, test):
        left = iter(rows)
        assert all(row in left for row in rows_of(part)), "rows are out of order"


@pytest.mark.parametrize("way", WAYS)
@PROPERTY
@given(rows=ROWS, fraction=FRACTIONS, data=st.data())
def test_the_order_of_the_rows_plays_no_part(way, rows, fraction, data):
    shuffled = data.draw(st.permutations(rows))

    parts = WAYS[way](table_of(rows), fraction, 0)
    again = WAYS[way](table_of(shuffled), fraction, 0)

    for one, other in zip(parts, again, strict=True):
        assert Counter(rows_of(one)) == Counter(rows_of(other))


@pytest.mark.parametrize("way", WAYS)
def test_the_seed_decides_and_the_order_of_columns_and_chunks_does_not(way):
    table = table_of([(f"x{i % 20}", f"y{i % 9}", i) for i in range(200)])
    pieces = pa.concat_tables([table.slice(0, 70), table.slice(70)]).select(["n", "y", "x"])

    test = WAYS[way](table, 0.3, 1)[1]

    assert test.equals(WAYS[way](table, 0.3, 1)[1])
    assert test.equals(WAYS[way](pieces, 0.3, 1)[1].select(["x", "y", "n"]))
    assert not test.equals(WAYS[way](table, 0.3, 2)[1])


@PROPERTY
@given(rows=ROWS, fraction=FRACTIONS, min_rows=st.integers(1, 6))
def test_each_group_gives_its_share_rounded_down_and_small_groups_none(rows, fraction, min_rows):
    _, test = split_by_fraction(table_of(rows), ["x"], fraction, min_rows=min_rows)

    sizes = Counter(row[0] for row in rows)
    given_away = Counter(row[0] for row in rows_of(test))
    for value, size in sizes.items():
        share = int(size * Fraction(str(fraction))) if size >= min_rows else 0
        assert given_away[value] == share


def test_a_fifth_of_ten_and_of_nine_listings_is_two_and_one():
    sellers = ["ten"] * 10 + ["nine"] * 9 + ["four"] * 4
    table = pa.table({"seller_id": sellers, "product_id": list(range(23))})

    _, test = split_by_fraction(table, ["seller_id"], 0.2)

    # floor(10/5), floor(9/5); four rows are fewer than --min-rows 5
    assert Counter(test.column("seller_id").to_pylist()) == {"ten": 2, "nine": 1}


def test_groups_of_less_than_five_stay_whole_unless_it_is_said():
    table = pa.table({"g": ["five"] * 5 + ["four"] * 4, "n": list(range(9))})

    assert split_by_fraction(table, ["g"], 0.5)[1]["g"].to_pylist() == ["five"] * 2


def test_the_item_is_the_product_or_else_the_candidate_and_no_column_of_the_groups():
    pairs = [(f"p{i % 2}", f"c{i % 5}") for i in range(20)]
    products, candidates = map(list, zip(*pairs, strict=True))
    table = pa.table({"g": ["a"] * 20, "candidate_id": candidates, "product_id": products})

    # of two products one, with its ten rows; of product by product two candidates of five
    assert split_by_fraction(table, ["g"], 0.5, min_rows=2)[1].num_rows == 10
    test = split_by_fraction(table, ["product_id"], 0.5, min_rows=2)[1]
    assert Counter(test["product_id"].to_pylist()) == {"p0": 4, "p1": 4}


def test_the_share_is_that_of_the_decimal_number_written():
    table = pa.table({"g": ["a"] * 100, "n": list(range(100))})

    # as a binary float 0.29 * 100 is a little less than 29
    assert split_by_fraction(table, ["g"], 0.29)[1].num_rows == 29


def test_groups_may_be_named_by_several_columns():
    table = pa.table({"s": ["a", "a", "b", "b"] * 5, "m": [1, 2, 1, 2] * 5, "n": list(range(20))})

    _, test = split_by_fraction(table, ["s", "m"], 0.2)

    assert Counter(zip(test["s"].to_pylist(), test["m"].to_pylist(), strict=True)) == {
        (s, m): 1 for s in "ab" for m in (1, 2)
    }


REPEATED = st.lists(st.tuples(IDS, IDS, st.integers(0, 3)), min_size=1, max_size=60)


@pytest.mark.parametrize("item", ["product_id", "candidate_id"])
@PROPERTY
@given(rows=REPEATED, fraction=FRACTIONS, seed=st.integers(0, 3))
def test_rows_of_one_product_in_a_group_go_together_and_count_once(item, rows, fraction, seed):
    table = table_of(rows).rename_columns(["x", item, "n"])

    train, test = split_by_fraction(table, ["x"], fraction, min_rows=3, seed=seed)

    kept, held = ([row[:2] for row in rows_of(part)] for part in (train, test))
    named = {pair for pair in held if pair[1] is not None}
    assert not named & set(kept)
    for value in {row[0] for row in rows}:
        # a row without a product is one of its own
        units = {row[1] for row in rows if row[0] == value and row[1] is not None}
        bare = sum(row[:2] == (value, None) for row in rows)
        size = len(units) + bare
        share = int(size * Fraction(str(fraction))) if size >= 3 else 0
        assert len([p for p in named if p[0] == value]) + held.count((value, None)) == share


def test_without_repeated_products_rows_are_chosen_one_by_one_as_ever():
    rows = [(f"s{i % 7}", f"p{i}" if i % 5 else None, i) for i in range(200)]
    table = table_of(rows).rename_columns(["x", "product_id", "n"])

    # no column is the item, which is how rows were chosen before items went together
    for seed in range(3):
        by_row = split_by_fraction(table, ["x"], 0.3, items=(), seed=seed)
        assert split_by_fraction(table, ["x"], 0.3, seed=seed)[1].equals(by_row[1])
    numbers = split_by_fraction(table, ["x"], 0.1)[1]["n"].to_pylist()
    # what the first version chose
    assert numbers == [2, 28, 35, 36, 67, 75, 90, 101, 109, 118, 176, 180, 185, 198]
    # an item that the groups are named by is none
    assert split_by_fraction(table, ["product_id"], 0.5)[1].num_rows == 40 // 2


def test_which_products_of_a_group_go_does_not_depend_on_the_order_of_their_rows():
    rows = [("s", f"p{i % 10}", i) for i in range(40)]
    for seed in range(3):
        parts = [
            split_by_fraction(
                table_of(order).rename_columns(["x", "product_id", "n"]), ["x"], 0.3, seed=seed
            )
            for order in (rows, rows[::-1], rows[20:] + rows[:20])
        ]
        chosen = {frozenset(test["product_id"].to_pylist()) for _, test in parts}
        assert len(chosen) == 1
        assert [test.num_rows for _, test in parts] == [3 * 4] * 3


def test_a_groups_choice_does_not_depend_on_other_groups():
    rows = [(g, str(i), i) for g in "ab" for i in range(10)]
    both = split_by_fraction(table_of(rows), ["x"], 0.3)[1]
    alone = split_by_fraction(table_of(rows[:10]), ["x"], 0.3)[1]

    assert [row for row in rows_of(both) if row[0] == "a"] == rows_of(alone)


def test_the_choice_is_even_over_many_seeds():
    table = pa.table({"g": ["a"] * 5, "n": list(range(5))})
    chosen = Counter(
        split_by_fraction(table, ["g"], 0.2, seed=seed)[1]["n"][0].as_py() for seed in range(1000)
    )

    # each of five rows is expected 200 times; 60 is almost five standard deviations
    assert all(abs(count - 200) < 60 for count in chosen.values())
    assert len(chosen) == 5


@PROPERTY
@given(rows=ROWS, fraction=FRACTIONS, seed=st.integers(0, 3))
def test_both_directions_of_a_pair_go_together(rows, fraction, seed):
    train, test = split_by_pair(table_of(rows), ["x", "y"], fraction, seed=seed)

    kept, held = ({frozenset(row[:2]) for row in rows_of(part)} for part in (train, test))
    assert not kept & held
    assert len(held) == int(len(kept | held) * Fraction(str(fraction)))


@PROPERTY
@given(rows=ROWS, fraction=FRACTIONS, seed=st.integers(0, 3))
def test_no_new_id_is_left_in_training_and_every_test_row_touches_one(rows, fraction, seed):
    train, test = split_cold(table_of(rows), ["x", "y"], fraction, seed=seed)

    ids = {value for row in rows for value in row[:2]} - {None}
    warm = {value for row in rows_of(train) for value in row[:2]} - {None}
    assert all(set(row[:2]) - warm - {None} for row in rows_of(test))
    if rows_of(test):
        assert len(ids - warm) >= int(len(ids) * Fraction(str(fraction)))


def test_half_of_four_products_are_new():
    table = pa.table({"product_id": ["a", "b", "c", "d", "a", "b"], "n": list(range(6))})

    train, test = split_cold(table, ["product_id"], 0.5)

    old, new = set(train["product_id"].to_pylist()), set(test["product_id"].to_pylist())
    assert (len(old), len(new)) == (2, 2)
    assert not old & new


def test_one_new_id_takes_the_rows_on_either_side_of_it():
    star = [("hub", f"p{i}", 0) for i in range(9)]
    seeds = [split_cold(table_of(star), ["x", "y"], 0.1, seed=seed) for seed in range(40)]

    # 10 ids, one is new: either a leaf with its single row, or the hub with all nine
    assert {test.num_rows for _, test in seeds} == {1, 9}


def test_rows_from_the_moment_on_are_test():
    start = datetime(2024, 5, 1, 12)
    table = pa.table({"ts": [start + timedelta(hours=h) for h in range(5)], "n": list(range(5))})

    train, test = split_by_time(table, "2024-05-01T14:00")

    assert train["n"].to_pylist() == [0, 1]
    assert test["n"].to_pylist() == [2, 3, 4]
    assert test.schema == table.schema


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1714564800, 1714572000], pa.int64()),
        pa.array([1714564800000, 1714572000000], pa.int64()),
        pa.array(["2024-05-01 12:00:00", "2024-05-01 14:00:00"]),
        pa.array([1714564800, 1714572000], pa.timestamp("s", "America/New_York")),
    ],
    ids=["seconds", "milliseconds", "text", "zone"],
)
@pytest.mark.parametrize(
    "at",
    [
        "2024-05-01T13:00Z",
        "2024-05-01 13:00",
        "2024-05-01T15:00+02:00",
        datetime(2024, 5, 1, 13, tzinfo=UTC),
        datetime(2024, 5, 1, 15, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_times_and_the_moment_may_be_given_in_any_form(column, at):
    train, test = split_by_time(pa.table({"ts": column, "n": [0, 1]}), at)

    assert (train["n"].to_pylist(), test["n"].to_pylist()) == ([0], [1])
    assert test.schema.field("ts").type == column.type


def test_rows_without_a_time_stay_in_training():
    table = pa.table({"when": pa.array([None, datetime(2024, 5, 1)], pa.timestamp("us"))})

    train, test = split_by_time(table, "2020-01-01", column="when")

    assert (train.num_rows, test.num_rows) == (1, 1)
    assert train["when"].to_pylist() == [None]


def test_columns_of_every_kind_travel_and_take_part():
    count = 12
    table = pa.table(
        {
            "g": pa.array(["a"] * count).dictionary_encode(),
            "list": [[i, None] for i in range(count)],
            "struct": [{"v": float(i)} for i in range(count)],
            "bytes": [bytes([255, i]) for i in range(count)],
            "time": pa.array(range(count), pa.duration("s")),
            "none": pa.nulls(count),
            "large": pa.array([str(i) for i in range(count)], pa.large_string()),
            "flag": [i % 2 == 0 for i in range(count)],
        }
    )

    train, test = split_by_fraction(table, ["g"], 0.25)

    assert (train.num_rows, test.num_rows) == (9, 3)
    assert train.schema == test.schema == table.schema
    again = split_by_fraction(table.take(np.arange(count)[::-1]), ["g"], 0.25)[1]
    assert sorted(again["large"].to_pylist()) == sorted(test["large"].to_pylist())


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), float("inf")])
@pytest.mark.parametrize("way", WAYS)
def test_a_fraction_outside_0_and_1_is_refused(way, fraction):
    with pytest.raises(UsageError, match="--fraction must lie between 0 and 1"):
        WAYS[way](table_of([("a", "b", 1)]), fraction, 0)


@pytest.mark.parametrize(
    "split",
    [
        lambda t: split_by_fraction(t, ["seller"], 0.2),
        lambda t: split_by_pair(t, ["x", "seller"], 0.2),
        lambda t: split_cold(t, ["seller"], 0.2),
        lambda t: split_by_time(t, "2024-01-01", column="seller"),
    ],
)
def test_an_unknown_column_is_named_with_those_there_are(split):
    with pytest.raises(SchemaError, match="no column 'seller'; found x, y, n"):
        split(table_of([("a", "b", 1)]))


@pytest.mark.parametrize("pair", [["x"], ["x", "x"], ["x", "y", "n"]])
def test_a_pair_is_two_columns(pair):
    with pytest.raises(UsageError, match="--pair takes two"):
        split_by_pair(table_of([("a", "b", 1)]), pair, 0.2)


def test_a_moment_or_a_time_that_cannot_be_read_is_an_error():
    table = pa.table({"ts": ["soon"]})

    with pytest.raises(UsageError, match="--at must be a moment"):
        split_by_time(table, "yesterday")
    with pytest.raises(SchemaError, match="column 'ts' holds string"):
        split_by_time(table, "2024-01-01")


def test_exactly_one_way_is_taken():
    ways = {"at": None, "by": None, "pair": None, "cold": None}

    assert one_way({**ways, "cold": "product_id"}) == "cold"
    with pytest.raises(UsageError, match="exactly one of --at, --by, --pair, --cold; got none"):
        one_way(ways)
    with pytest.raises(UsageError, match="got --at and --cold"):
        one_way({**ways, "at": "2024-01-01", "cold": "product_id"})
