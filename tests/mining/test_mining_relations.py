"""Ready-made lists in place of events."""

import pyarrow as pa
import pytest

from cprtools import tables
from cprtools.errors import SchemaError


def lists(rows, count=True):
    names = ["query_id", "candidate_id", "relation", "count"][: 4 if count else 3]
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})


@pytest.fixture
def mine_lists(mine):
    return lambda table, **rules: mine(table, spec=tables.RELATIONS, **rules)


def counts(rows):
    names = ("query_id", "candidate_id", "co_purchase", "co_view", "purchase_after_view")
    return [tuple(row[name] for name in names) for row in rows]


def test_each_source_name_is_one_of_the_three_relations(mine_lists):
    names = ["co_purchase", "also_bought", "also_buy", "bought_together", "co_view"]
    names += ["also_viewed", "also_view", "purchase_after_view", "buy_after_viewing"]
    found, _ = mine_lists(lists([("q", str(i), name) for i, name in enumerate(names)], count=False))
    assert counts(found) == [
        *[("q", str(i), 1, 0, 0) for i in range(4)],
        *[("q", str(i), 0, 1, 0) for i in range(4, 7)],
        *[("q", str(i), 0, 0, 1) for i in range(7, 9)],
    ]


def test_forty_lines_are_cleaned_as_the_definition_says(mine_lists):
    rows, expected = [], []
    for i in range(8):
        x, y = f"x{i}", f"y{i}"
        rows += [(x, y, "also_bought"), (x, f"c{i}", "also_bought"), (x, y, "also_viewed")]
        rows += [(x, f"s{i}", "also_viewed"), (x, f"s{i}", "buy_after_viewing")]
        expected += [(x, f"c{i}", True, False), (x, f"s{i}", False, True), (x, y, False, False)]
    assert len(rows) == 40
    found, report = mine_lists(lists(rows, count=False))
    flags = [(r["query_id"], r["candidate_id"], r["complement"], r["similar"]) for r in found]
    assert flags == expected
    assert (report.complements, report.similar, report.pairs) == (8, 8, 24)
    assert report.overlaps == {
        ("co_purchase", "co_view"): 8,
        ("co_purchase", "purchase_after_view"): 0,
        ("co_view", "purchase_after_view"): 8,
    }


def test_rows_of_one_list_add_up_and_lists_of_one_meaning_count_by_the_larger(mine_lists):
    rows = [("q", "c", "also_bought", 2), ("q", "c", "also_bought", None)]
    rows += [("q", "c", "bought_together", 1), ("c", "q", "bought_together", 4)]
    found, _ = mine_lists(lists(rows))
    # 2 + 1 against 1; the other direction is its own
    assert counts(found) == [("c", "q", 4, 0, 0), ("q", "c", 2 + 1, 0, 0)]


def test_lists_have_no_customers_so_no_lift(mine_lists):
    found, _ = mine_lists(lists([("q", "c", "also_bought", 3)]))
    assert (found[0]["query_count"], found[0]["candidate_count"]) == (0, 0)
    assert (found[0]["lift"], found[0]["confidence_low"]) == (None, None)


def test_co_views_of_lists_keep_their_direction_and_alone_decide_similar(mine_lists):
    found, report = mine_lists(lists([("q", "c", "also_view"), ("q", "b", "also_buy")], False))
    assert [(r["candidate_id"], r["complement"], r["similar"]) for r in found] == [
        ("b", True, False),
        ("c", False, True),
    ]
    assert report.single_relation == "co_view"


def test_the_least_count_of_lists_is_one_unless_asked(mine_lists):
    rows = [("q", "a", "also_bought", 1), ("q", "b", "also_bought", 2)]
    assert len(mine_lists(lists(rows))[0]) == 2
    assert [r["candidate_id"] for r in mine_lists(lists(rows), min_count=2)[0]] == ["b"]


def test_pairs_with_themselves_or_without_an_id_are_skipped_and_counted(mine_lists):
    rows = [("q", "q", "also_bought", 1), (None, "c", "also_bought", 1)]
    rows += [("q", None, "also_bought", 1), ("q", "c", "also_bought", 1)]
    found, report = mine_lists(lists(rows))
    assert counts(found) == [("q", "c", 1, 0, 0)]
    assert report.skipped == {
        "no query_id or candidate_id": 2,
        "a product paired with itself": 1,
    }


def test_other_relations_are_refused_with_the_ones_there_are(mine_lists):
    with pytest.raises(SchemaError, match="'seen_with'; allowed are co_purchase, also_bought"):
        mine_lists(lists([("q", "c", "seen_with", 1), ("q", "d", "also_buy", 1)]))
    with pytest.raises(SchemaError, match="relation null"):
        mine_lists(lists([("q", "c", None, 1), ("q", "d", "also_buy", 1)]))


def test_negative_counts_and_no_rows_are_refused(mine_lists):
    with pytest.raises(SchemaError, match="must not be negative"):
        mine_lists(lists([("q", "c", "also_buy", -1)]))
    empty = lists([("q", "c", "also_buy", 1)]).slice(0, 0)
    with pytest.raises(SchemaError, match="no rows"):
        mine_lists(empty)
