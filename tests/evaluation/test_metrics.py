"""Metrics of complement and seller lists against worked fractions and slow loops."""

from math import log2

import numpy as np
import pyarrow as pa
import pytest

from cprtools.errors import SchemaError
from cprtools.evaluation import evaluate_complements, evaluate_sellers
from tests.evaluation.metric_tables import listings, lists, pairs, rows_of, values_of


def test_hit_counts_each_pair_by_its_purchases_and_a_query_without_list_as_a_miss():
    recs = lists("x: a b c d; y: c a")
    truth = pairs("x a 3, x d 2, y b 4, y a 1, z a 5")

    found = values_of(evaluate_complements(recs, truth, bootstrap=0))

    assert found["Hit", 1, "all"] == pytest.approx(3 / 15)
    assert found["Hit", 3, "all"] == pytest.approx((3 + 1) / 15)
    assert found["Hit", 10, "all"] == pytest.approx((3 + 2 + 1) / 15)
    assert found["QueryHit", 1, "all"] == pytest.approx(1 / 3 * (1 + 0 + 0))
    assert found["QueryHit", 3, "all"] == pytest.approx(1 / 3 * (1 + 1 + 0))
    assert found["Recall", 3, "all"] == pytest.approx(1 / 3 * (1 / 2 + 1 / 2 + 0))
    assert found["MRR", 3, "all"] == pytest.approx(1 / 3 * (1 / 1 + 1 / 2 + 0))
    ideal = 1 + 1 / log2(3)
    ndcg = 1 / 3 * ((1 + 1 / log2(5)) / ideal + (1 / log2(3)) / ideal + 0)
    assert found["NDCG", 10, "all"] == pytest.approx(ndcg)
    assert found["NDCG", 1, "all"] == pytest.approx(1 / 3 * (1 / 1 + 0 + 0))


def test_truth_without_counts_weighs_one_a_pair():
    truth = pairs("x a 3, x d 2, y b 4").drop_columns(["co_purchase"])

    found = values_of(evaluate_complements(lists("x: a b"), truth, bootstrap=0))

    assert found["Hit", 1, "all"] == pytest.approx(1 / 3)


def test_pairs_that_are_no_complements_or_were_never_bought_are_no_truth():
    truth = pairs("x a 3, x b 2, x c 0, x d 1", complement=[True, False, True, True])

    evaluation = evaluate_complements(lists("x: b c d a"), truth, bootstrap=0)

    assert values_of(evaluation)["Hit", 3, "all"] == pytest.approx(1 / 4)
    # b has 2 of the 3 + 2 + 1 co-purchases
    assert evaluation.notes[:2] == (
        "1 truth pairs have no co-purchase: left out",
        "1 truth pairs were bought together and are no complements (viewed together or bought "
        "after a view): 33.3% of the co-purchases left out",
    )


def test_a_pair_given_twice_is_a_complement_if_one_row_says_so_with_its_largest_count():
    for flags in ([False, True, True], [True, False, True]):
        truth = pairs("x a 5, x a 2, x b 1", complement=flags)
        found = values_of(evaluate_complements(lists("x: a"), truth, bootstrap=0))
        assert found["Hit", 1, "all"] == pytest.approx(5 / 6)


def test_pairs_without_co_purchase_are_not_told_as_taken_away_by_the_cleaning():
    truth = pairs("x a 1, x b 0, x c 0", complement=[True, False, False])
    evaluation = evaluate_complements(lists("x: a"), truth, bootstrap=0)
    assert "2 truth pairs have no co-purchase: left out" in evaluation.notes
    assert not any("no complements" in note for note in evaluation.notes)


def test_training_and_similar_pairs_leave_lists_and_truth_and_the_rest_moves_up():
    recs = lists("x: a b c d")
    train = pairs(
        "x a 2, c x 0, q x 1", complement=[True, False, True], similar=[False, True, False]
    )
    truth = pairs("x a 9, x b 1, x d 2")

    evaluation = evaluate_complements(recs, truth, train=train, bootstrap=0)

    found = values_of(evaluation)
    assert found["Hit", 1, "all"] == pytest.approx(1 / 3)  # b moved to place 1
    assert found["MRR", 3, "all"] == pytest.approx(1 / 1)
    assert found["Hit", 3, "all"] == pytest.approx(3 / 3)  # d moved from 4 to 2
    assert "1 truth pairs are in the training pairs: left out" in evaluation.notes
    assert "2 training or similar pairs taken out of 1 lists" in evaluation.warnings[0]


def test_a_training_table_without_complement_column_forbids_what_was_bought_together():
    recs, truth = lists("x: a b; y: b"), pairs("x b 1, y b 1")
    train = pairs("x a 2, y b 0")

    found = values_of(evaluate_complements(recs, truth, train=train, bootstrap=0, ks=(1,)))
    assert found["Hit", 1, "all"] == 1
    assert found["Hit", 1, "warm queries"] == 1  # x
    assert found["Hit", 1, "queries without co-purchases"] == 1  # y

    # without counts a row is a pair
    train = train.drop_columns(["co_purchase"])
    found = values_of(evaluate_complements(recs, truth, train=train, bootstrap=0, ks=(1,)))
    assert found["Hit", 1, "all"] == found["Hit", 1, "warm queries"] == 1
    assert ("Hit", 1, "queries without co-purchases") not in found


def test_segments_tell_warm_queries_from_silent_and_new_ones():
    train = pairs("w a 1, s v 0", complement=[True, False], similar=[False, False])
    truth = pairs("w b 1, w a 5, s a 1, n a 1, n z 3")
    recs = lists("w: b; s: b; n: z a")

    rows = rows_of(evaluate_complements(recs, truth, train=train, ks=(1,), bootstrap=0).metrics)

    assert rows["Hit", 1, "warm queries"]["value"] == 1
    assert rows["Hit", 1, "queries without co-purchases"]["value"] == 0
    assert rows["Hit", 1, "new products"]["value"] == pytest.approx(3 / 4)
    assert rows["Hit", 1, "warm candidates"]["value"] == pytest.approx(0 / 2)
    assert rows["Hit", 1, "new candidates"]["value"] == pytest.approx(4 / 4)
    assert rows["Hit", 1, "new candidates"]["queries"] == 2


def test_types_coverage_and_novelty_are_worked_by_hand():
    products = pa.table(
        {"product_id": list("xyabcd"), "product_type": ["p", "p", "t", "t", "u", None]}
    )
    recs = lists("x: a b c; y: d a; o: c")
    train = pairs("x q 5, q a 3, q c 1")

    evaluation = evaluate_complements(
        recs, pairs("x b 1, y b 1"), train=train, products=products, ks=(1, 3), bootstrap=0
    )

    found = values_of(evaluation)
    assert found["TypesPerList", 3, "all"] == pytest.approx(1 / 2 * (2 + 1))  # {t, u} and {t}
    assert found["TypesPerList", 1, "all"] == pytest.approx(1 / 2 * (1 + 0))
    assert found["Coverage", 1, "all"] == pytest.approx(2 / 6)
    assert found["Coverage", 3, "all"] == pytest.approx(4 / 6)
    share = {"a": (3 + 1) / (9 + 6), "b": 1 / 15, "c": 2 / 15, "d": 1 / 15}
    assert found["Novelty", 3, "all"] == pytest.approx(
        -1 / 5 * sum(log2(share[p]) for p in "abcda")
    )
    assert "1 lists are of queries without truth: not measured" in evaluation.notes


def test_asymmetry_wins_loses_and_ties_at_a_half():
    recs = pa.Table.from_pylist(
        [
            {"query_id": q, "rank": rank, "product_id": p, "score": score}
            for q, rank, p, score in [
                ("a", 1, "b", 0.9), ("b", 1, "a", 0.4),  # a->b wins
                ("a", 2, "c", 0.2), ("c", 1, "a", 0.3),  # a->c loses
                ("b", 2, "c", 0.1),  # b->c wins: the reverse is not in c's list
                ("d", 1, "z", 0.7),  # b->d: in neither list, a tie
                ("a", 3, "n", 0.1),  # n has no list: not judged
                ("a", 4, "m", 0.1), ("m", 1, "a", 0.9),  # the reverse is in the truth
            ]
        ]
    )  # fmt: skip
    truth = pairs("a b 7, a c 1, b c 1, b d 1, a n 1, a m 1, m a 1")

    evaluation = evaluate_complements(recs, truth, bootstrap=0)

    row = rows_of(evaluation.metrics)["Asymmetry", 0, "all"]
    assert row["value"] == pytest.approx(1 / 4 * (1 + 0 + 1 + 1 / 2))
    assert row["queries"] == 2
    assert "asymmetry leaves out 1 pairs with an end that has no list" in evaluation.notes


def test_a_pair_bought_the_other_way_too_has_no_direction_though_cleaning_took_that_way():
    recs = pa.table(
        {"query_id": ["a", "b"], "rank": [1, 1], "product_id": ["b", "a"], "score": [0.9, 0.4]}
    )
    ways = {"query_id": ["a", "b"], "candidate_id": ["b", "a"], "co_purchase": [5, 5]}
    for flag in (False, True):
        truth = pa.table({**ways, "complement": [True, flag]})
        found = rows_of(evaluate_complements(recs, truth, bootstrap=0).metrics)
        assert ("Asymmetry", 0, "all") not in found


def test_seller_recall_divides_by_what_k_places_can_hold():
    recs = lists("s: a b c; t: d e", "seller_id")
    truth = listings("s a, s c, s e, t a, u b")

    found = values_of(evaluate_sellers(recs, truth, ks=(2, 100), bootstrap=0))

    assert found["Recall", 2, "all"] == pytest.approx(1 / 3 * (1 / 2 + 0 / 1 + 0 / 1))
    assert found["Recall", 100, "all"] == pytest.approx(1 / 3 * (2 / 3 + 0 / 1 + 0 / 1))
    assert found["DistinctProducts", 2, "all"] == 4
    best = 1 + 1 / log2(3) + 1 / log2(4)
    assert found["NDCG", 100, "all"] == pytest.approx(1 / 3 * (1 + 1 / log2(4)) / best)


def test_seller_truth_and_lists_are_cut_to_high_demand_products_not_listed_in_training():
    recs = lists("s: a b c d", "seller_id")
    truth = listings("s a, s b, s c, s d, t a")
    train = listings("s a, t a, t b, t c, t d, t e")
    demand = pa.table({"product_id": list("acd")})

    evaluation = evaluate_sellers(
        recs, truth, train=train, high_demand=demand, ks=(1, 2), bootstrap=0
    )

    rows = rows_of(evaluation.metrics)
    assert rows["Recall", 1, "all"]["value"] == pytest.approx(1 / 1)  # c moved to place 1
    assert rows["Recall", 2, "1-4 listings"]["value"] == pytest.approx(2 / 2)
    assert rows["Coverage", 1, "all"]["value"] == pytest.approx(1 / 3)
    assert rows["Recall", 1, "all"]["queries"] == 1  # t has no held-out candidate left
    assert len(evaluation.warnings) == 1


def test_sellers_restricts_whom_the_average_is_over():
    recs = lists("s: a; t: b", "seller_id")
    wanted = pa.table({"seller_id": ["t", "v"]})

    found = evaluate_sellers(recs, listings("s b, t b"), sellers=wanted, ks=(1,), bootstrap=0)

    assert values_of(found)["Recall", 1, "all"] == 1


def test_category_recall_counts_held_out_products_of_that_category_only():
    products = pa.table({"product_id": list("abcd"), "category": ["k", "k", "l", None]})
    recs = lists("s: a c d; t: b", "seller_id")
    truth = listings("s a, s b, s c, s d, t c")

    rows = rows_of(evaluate_sellers(recs, truth, products=products, ks=(3,), bootstrap=0).metrics)

    assert rows["Recall", 3, "category=k"]["value"] == pytest.approx(1 / 2)
    assert rows["Recall", 3, "category=l"]["value"] == pytest.approx(1 / 2 * (1 + 0))
    assert rows["Recall", 3, "category=l"]["queries"] == 2


def test_calibration_error_is_worked_by_hand_at_equal_prior():
    recs = lists("s: a b c d", "seller_id")
    recs = recs.append_column("affinity", pa.array([0.8, 0.6, 0.6, 0.2]))

    evaluation = evaluate_sellers(recs, listings("s a, s x"), ks=(1,), bootstrap=0)

    # one true (mass 1/2) and three false candidates (1/6 each), every affinity its own bin
    error = abs(1 / 2 - 0.8 / 2) + abs(0 - 2 / 6 * 0.6) + abs(0 - 1 / 6 * 0.2)
    found = values_of(evaluation)
    assert found["CalibrationError", 0, "all"] == pytest.approx(error)
    # the first bin is all true, the others all false
    assert found["CalibrationResolution", 0, "all"] == pytest.approx(1)
    assert found["PrecisionAtThreshold", 0, "all"] == pytest.approx(1 / 3)
    assert evaluation.calibration.column("candidates").to_pylist() == [1, 2, 1]
    assert evaluation.calibration.column("observed").to_pylist() == pytest.approx([0, 0, 1])


def test_affinities_drawn_at_their_own_odds_are_calibrated_and_squared_ones_are_not():
    random = np.random.default_rng(3)
    n = 40_000
    affinity = random.random(n)
    is_true = random.random(n) < affinity
    recs = pa.table(
        {
            "seller_id": [f"s{i % 100:02}" for i in range(n)],
            "rank": [i // 100 + 1 for i in range(n)],
            "product_id": [f"p{i}" for i in range(n)],
            "affinity": affinity,
        }
    )
    truth = recs.filter(pa.array(is_true)).select(["seller_id", "product_id"])
    squared = recs.set_column(3, "affinity", pa.array(affinity**2))

    good = values_of(evaluate_sellers(recs, truth, bootstrap=0))
    bad = values_of(evaluate_sellers(squared, truth, bootstrap=0))

    assert good["CalibrationError", 0, "all"] < 0.02
    assert bad["CalibrationError", 0, "all"] > 0.1  # the mean of x - x^2 is 1/6
    # bins of the same order: 4 times the variance of a number between 0 and 1, which is 1/12
    for found in (good, bad):
        assert found["CalibrationResolution", 0, "all"] == pytest.approx(1 / 3, abs=0.02)


def test_affinities_of_one_half_have_no_error_and_tell_nothing():
    recs = lists("s: a b c d", "seller_id").append_column("affinity", pa.array([0.5] * 4))

    found = values_of(evaluate_sellers(recs, listings("s a, s x"), ks=(1,), bootstrap=0))

    assert found["CalibrationError", 0, "all"] == 0
    assert found["CalibrationResolution", 0, "all"] == 0


@pytest.mark.parametrize(
    ("recs", "message"),
    [
        ([("x", 1, "a"), ("x", 1, "b")], "the list of 'x' has rank 1 twice"),
        ([("x", 1, "a"), ("x", 2, "a")], "the list of 'x' holds 'a' twice"),
        ([("x", 0, "a")], "ranks count from 1"),
        ([("x", None, "a")], "ranks count from 1"),
    ],
)
def test_broken_lists_are_refused(recs, message):
    table = pa.table(
        {
            "query_id": [r[0] for r in recs],
            "rank": pa.array([r[1] for r in recs], pa.int64()),
            "product_id": [r[2] for r in recs],
        }
    )
    with pytest.raises(SchemaError, match=message):
        evaluate_complements(table, pairs("x a 1"), bootstrap=0)


def test_truth_that_leaves_nothing_is_refused_with_the_reason():
    with pytest.raises(SchemaError, match="no held-out pair is left; 1 truth pairs have no"):
        evaluate_complements(lists("x: a"), pairs("x a 0"))
    with pytest.raises(SchemaError, match="no held-out listing is left; 1 held-out listings are"):
        evaluate_sellers(lists("s: a", "seller_id"), listings("s a"), train=listings("s a"))


def test_affinities_outside_0_to_1_are_refused():
    recs = lists("s: a", "seller_id").append_column("affinity", pa.array([1.2]))
    with pytest.raises(SchemaError, match=r"outside 0\.\.1"):
        evaluate_sellers(recs, listings("s a"))


def test_rows_without_an_affinity_are_counted():
    recs = lists("s: a b c", "seller_id")
    recs = recs.append_column("affinity", pa.array([0.8, float("nan"), None]))
    notes = evaluate_sellers(recs, listings("s a"), bootstrap=0).notes
    assert "2 rows have no affinity: left out of the calibration" in notes


def test_no_lists_at_all_are_all_misses():
    recs = lists("x: a").slice(0, 0)

    found = values_of(evaluate_complements(recs, pairs("x a 2"), bootstrap=10))

    assert found["Hit", 10, "all"] == 0


def test_kept_training_pairs_are_truth_and_stay_in_the_lists_but_similar_ones_leave():
    train = pairs(
        "x a 2, x s 0, x d 0", complement=[True, False, False], similar=[False, True, False]
    )
    recs, truth = lists("x: a s b"), pairs("x a 3, x s 4, x b 1")

    kept = evaluate_complements(recs, truth, train=train, keep_known=True, bootstrap=0)
    left_out = evaluate_complements(recs, truth, train=train, bootstrap=0)

    assert values_of(kept)["Hit", 1, "all"] == pytest.approx(3 / 4)
    assert values_of(kept)["Hit", 3, "all"] == pytest.approx((3 + 1) / 4)
    assert values_of(left_out)["Hit", 1, "all"] == pytest.approx(1 / 1)
    similar = "1 truth pairs are similar in training, one way or the other: left out"
    assert similar in kept.notes
    assert similar in left_out.notes
    assert not any("are in the training pairs" in note for note in kept.notes)
    assert "1 truth pairs are in the training pairs: left out" in left_out.notes
    assert kept.warnings[0].startswith("1 similar pairs of training taken out of 1 lists")
    assert left_out.warnings[0].startswith("2 training or similar pairs taken out of 1 lists")


def test_segments_by_customers_need_counts_and_put_unknown_queries_among_the_rare():
    train = pairs("r a 1, m a 1, f a 1, f b 1", query_count=[3, 4, 100, 100])
    truth = pairs("r b 1, n b 2, m b 1, f c 1")
    recs = lists("r: b; n: a; m: b; f: b c")

    found = values_of(
        evaluate_complements(recs, truth, train=train, keep_known=True, ks=(1,), bootstrap=0)
    )

    assert found["Hit", 1, "rare queries"] == pytest.approx(1 / 3)
    assert found["Hit", 1, "middle queries"] == pytest.approx(1 / 1)
    assert found["Hit", 1, "frequent queries"] == 0
    without = evaluate_complements(
        recs, truth, train=train.drop_columns(["query_count"]), ks=(1,), bootstrap=0
    )
    assert ("Hit", 1, "rare queries") not in values_of(without)


def test_a_query_that_training_knows_as_a_candidate_alone_is_not_rare_for_that():
    train = pairs("a r 1", query_count=[3], candidate_count=[100])
    found = values_of(
        evaluate_complements(lists("r: b"), pairs("r b 1"), train=train, ks=(1,), bootstrap=0)
    )

    assert found["Hit", 1, "frequent queries"] == 1
    assert ("Hit", 1, "rare queries") not in found
