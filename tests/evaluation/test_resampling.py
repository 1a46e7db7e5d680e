"""Bootstrap intervals, and the paired comparison of two methods."""

import numpy as np
import pyarrow as pa
import pytest

from cprtools.evaluation import (
    combine_tables,
    compare,
    evaluate_complements,
    resampling,
    verdicts,
)
from cprtools.evaluation.resampling import Block, intervals, replicate
from cprtools.evaluation.results import in_words
from cprtools.tables import METRICS


def lists_with_hits(chance, seed, queries=400, method="m"):
    """One truth pair a query, found at place 1 with that chance: evaluated."""
    found = np.random.default_rng(seed).random(queries) < chance
    names = [f"q{i:04}" for i in range(queries)]
    recs = pa.table(
        {
            "query_id": names,
            "rank": [1] * queries,
            "product_id": np.where(found, "a", "b").tolist(),
        }
    )
    truth = pa.table({"query_id": names, "candidate_id": ["a"] * queries})
    return evaluate_complements(recs, truth, ks=(1,), method=method)


def headline(table):
    rows = table.to_pylist()
    return next(r for r in rows if (r["metric"], r["segment"]) == ("Hit", "all"))


def test_replicates_are_the_ratio_of_sums_over_drawn_queries():
    random = np.random.default_rng(0)
    parts = random.random((30, 2))
    block = Block("all", (("Hit", 1),), np.arange(30), parts)

    values = replicate([block], 30, 50, seed=7)

    generator = np.random.default_rng(7)
    for row in values:
        drawn = parts[generator.integers(0, 30, 30, dtype=np.int32)]
        assert row[0] == pytest.approx(sum(drawn[:, 1]) / sum(drawn[:, 0]), abs=1e-12)


def test_a_segment_takes_the_same_draws_as_the_whole():
    parts = np.column_stack([np.ones(40), np.arange(40) % 2])
    whole = Block("all", (("Hit", 1),), np.arange(40), parts)
    half = Block("even", (("Hit", 1),), np.arange(0, 40, 2), parts[::2])

    values = replicate([whole, half], 40, 20, seed=1)

    assert (values[:, 1] == 0).all()
    assert len(np.unique(values[:, 0])) > 5


def test_the_interval_of_a_proportion_is_as_wide_as_theory_says():
    row = headline(lists_with_hits(0.3, seed=1).metrics)

    spread = 1.96 * (row["value"] * (1 - row["value"]) / 400) ** 0.5
    assert row["ci_low"] == pytest.approx(row["value"] - spread, abs=0.01)
    assert row["ci_high"] == pytest.approx(row["value"] + spread, abs=0.01)


def test_95_percent_intervals_hold_the_true_rate_about_95_times_in_100():
    rows = [headline(lists_with_hits(0.3, seed, queries=200).metrics) for seed in range(100)]

    assert 88 <= sum(row["ci_low"] <= 0.3 <= row["ci_high"] for row in rows) <= 100


def test_intervals_hold_their_value_and_ignore_resamples_without_one():
    low, high = intervals(np.array([0.5, np.nan]), np.array([[0.6, 1.0], [np.nan, 1.0]]))

    assert (low[0], high[0]) == (0.5, 0.6)
    assert np.isnan([low[1], high[1]]).all()


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    def evaluate(seed):
        recs = pa.table({"query_id": list("wxyz"), "rank": [1] * 4, "product_id": list("abab")})
        truth = pa.table({"query_id": list("wxyz"), "candidate_id": ["a"] * 4,
                          "co_purchase": [1, 20, 300, 7]})  # fmt: skip
        return evaluate_complements(recs, truth, ks=(1,), seed=seed, bootstrap=20).metrics

    assert evaluate(3).equals(evaluate(3))
    assert not evaluate(3).equals(evaluate(4))


def test_without_resamples_there_are_values_and_no_intervals():
    recs = pa.table({"query_id": ["x"], "rank": [1], "product_id": ["a"]})
    truth = pa.table({"query_id": ["x"], "candidate_id": ["a"]})

    metrics = evaluate_complements(recs, truth, bootstrap=0).metrics

    assert metrics.schema == METRICS.schema
    assert metrics.column("ci_low").null_count == metrics.num_rows > 0


@pytest.mark.parametrize(
    ("ours", "theirs", "sentence"),
    [
        (0.6, 0.3, "new beats old on Hit@1 by 0.3"),
        (0.3, 0.6, "new does NOT beat old on Hit@1: difference -0."),
        (0.5, 0.5, "no clear difference between new and old on Hit@1: "),
    ],
)
def test_a_comparison_says_in_words_who_wins(ours, theirs, sentence):
    first = lists_with_hits(ours, seed=5, method="new")
    second = lists_with_hits(theirs, seed=9, method="old")

    comparison = compare(first, second)

    assert len(comparison.sentences) == 1
    assert comparison.sentences[0].startswith(sentence)
    row = headline(comparison.metrics)
    assert row["method"] == "new - old"
    assert row["ci_low"] <= row["value"] <= row["ci_high"]


def test_pairing_makes_the_interval_of_a_small_constant_gain_narrow():
    queries = [f"q{i:03}" for i in range(300)]
    random = np.random.default_rng(2)
    hit = random.random(300) < 0.5
    better = hit.copy()
    better[np.flatnonzero(~hit)[:20]] = True
    truth = pa.table({"query_id": queries, "candidate_id": ["a"] * 300})

    def evaluate(found):
        products = np.where(found, "a", "b").tolist()
        recs = pa.table({"query_id": queries, "rank": [1] * 300, "product_id": products})
        return evaluate_complements(recs, truth, ks=(1,))

    row = headline(compare(evaluate(better), evaluate(hit)).metrics)
    alone = headline(evaluate(hit).metrics)

    assert row["value"] == pytest.approx(20 / 300)
    assert row["ci_low"] > 0
    assert row["ci_high"] - row["ci_low"] < 0.6 * (alone["ci_high"] - alone["ci_low"])


def test_a_method_against_itself_differs_by_exactly_nothing():
    one = lists_with_hits(0.4, seed=5)

    metrics = compare(one, one).metrics

    assert set(metrics.column("value").to_pylist()) == {0.0}
    assert set(metrics.column("ci_high").to_pylist()) <= {0.0, None}


def test_evaluations_of_different_truth_or_resamples_are_not_paired():
    with pytest.raises(ValueError, match="same truth"):
        compare(lists_with_hits(0.4, 1), lists_with_hits(0.4, 1, queries=399))


def test_combined_tables_are_sorted():
    first = lists_with_hits(0.6, 5, method="z")
    second = lists_with_hits(0.3, 9, method="a")

    whole = combine_tables([first.metrics, second.metrics])

    keys = [(r["method"], r["metric"], r["k"], r["segment"]) for r in whole.to_pylist()]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_drawing_tile_by_tile_is_drawing_from_all(monkeypatch):
    size, resamples = 50, 4000
    own = np.arange(1.0, size + 1)
    block = Block.of_ratios("all", {("m", 0): own, ("square", 0): own**2}, np.ones(size))
    # a sum over one query alone tells how often it is drawn
    first = Block("first", (("m", 0),), np.array([0]), np.ones((1, 1)), lambda sums: sums)
    monkeypatch.setattr(resampling, "_TILE", 7)

    found = replicate([block, first], size, resamples, 3)

    # the mean of `size` draws with replacement, and a count that is binomial(50, 1/50)
    error = own.std() / np.sqrt(size)
    assert found[:, 0].mean() == pytest.approx(own.mean(), abs=4 * error / np.sqrt(resamples))
    assert found[:, 0].std() == pytest.approx(error, rel=0.05)
    assert found[:, 2].mean() == pytest.approx(1, abs=0.07)
    assert found[:, 2].var() == pytest.approx(1 - 1 / size, rel=0.1)
    assert np.array_equal(found, replicate([block, first], size, resamples, 3))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.031, 0.02, 0.042), ("0.031", "[0.020, 0.042]")),
        ((0.0018, 0.0004, 0.003), ("0.0018", "[0.0004, 0.0030]")),
        ((-0.00002, -0.00004, 1e-17), ("-0.00002", "[-0.00004, 0.00000]")),
        ((-0.0, 0.0, 0.0), ("0.000", "[0.000, 0.000]")),
        ((0.25, None, None), ("0.250", "no interval")),
    ],
)
def test_a_difference_is_told_in_digits_that_tell_it_from_0(numbers, words):
    assert in_words(dict(zip(("value", "ci_low", "ci_high"), numbers, strict=True))) == words


def test_one_query_has_no_interval_and_beats_nobody():
    truth = pa.table({"query_id": ["x"], "candidate_id": ["a"]})
    ours, theirs = (
        evaluate_complements(
            pa.table({"query_id": ["x"], "rank": [1], "product_id": [product]}), truth, ks=(1,),
            method=method,
        )
        for method, product in (("gnn", "a"), ("popularity", "b"))
    )  # fmt: skip
    assert ours.metrics.column("ci_low").null_count == ours.metrics.num_rows
    found = compare(ours, theirs)
    assert found.sentences == ("gnn - popularity on Hit@1: difference 1.000, no interval",)
    (one,) = verdicts([ours, theirs])
    assert not one.beats
    assert "gnn, a trained method, is ahead of popularity" in one.text
