"""The plain sentence on a trained method against the simple ones."""

import pyarrow as pa
import pytest

from cprtools.baselines import BASELINES
from cprtools.evaluation import evaluate_sellers, leaderboard, verdicts
from cprtools.evaluation.verdicts import SIMPLE, TRAINED

SELLERS = [f"s{i}" for i in range(40)]


def evaluation(method, right):
    """The first `right` sellers get what they hold out."""
    recs = pa.table(
        {
            "seller_id": SELLERS,
            "rank": [1] * 40,
            "product_id": ["a" if i < right else "b" for i in range(40)],
        }
    )
    truth = pa.table({"seller_id": SELLERS, "product_id": ["a"] * 40})
    return evaluate_sellers(recs, truth, ks=(1,), bootstrap=200, method=method)


@pytest.mark.parametrize(
    ("right", "verb", "difference"),
    [(30, "beats", "0.500"), (2, "does NOT beat", "-0.200"), (11, "does NOT beat", "0.025")],
)
def test_a_trained_method_beats_the_best_simple_one_only_where_the_interval_says_so(
    right, verb, difference
):
    found = verdicts(
        [evaluation("gnn", right), evaluation("popularity", 1), evaluation("item-knn (2)", 10)]
    )

    (one,) = found
    assert one.beats == (verb == "beats")
    assert one.text.startswith(
        f"gnn, a trained method, {verb} item-knn (2), the best simple one here, on Recall@1: "
        f"difference {difference}, ["
    )


def test_nothing_is_said_where_one_sort_is_missing():
    assert verdicts([evaluation("gnn", 3), evaluation("mine", 5)]) == []
    assert verdicts([evaluation("popularity", 3), evaluation("mine", 5)]) == []


def test_every_method_of_the_toolkit_is_either_simple_or_trained():
    assert {*SIMPLE, *TRAINED} == {*BASELINES, "p-companion", "gnn", "triplet"}
    assert not {*SIMPLE} & {*TRAINED}


def test_the_leaderboard_has_the_best_method_first():
    shown = leaderboard([evaluation("bad", 4), evaluation("good\x1b", 20)]).splitlines()

    assert shown[0].split() == ["method", "Recall@1"]
    assert shown[1].startswith("good\\x1b  0.5000 [")
    assert shown[2].startswith("bad")
    assert len(shown) == 3
