"""The ranker's trees: how many are kept, what may only raise them, what they start from."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Popularity, Problem
from cprtools.ranking import Settings, TwoStage
from cprtools.ranking.lines import fit_slope
from cprtools.ranking.ranker import enough_trees, first_guess, ranker_fitter


def staged(num_queries, gains, candidates=10):
    """Ten candidates a query, the second one is right; few trees find it first where they gain."""
    labels = np.tile(np.arange(candidates) == 1, num_queries).astype(np.float32)
    queries = np.repeat(np.arange(num_queries), candidates)
    wrong = np.tile(-np.arange(candidates, dtype=float), num_queries)
    few = wrong.reshape(num_queries, candidates).copy()
    few[gains, 1] = 1
    return {5: few.ravel(), 20: wrong}, labels, queries, np.ones(len(labels), dtype=bool)


def test_fewer_trees_are_kept_where_they_clearly_find_more():
    assert enough_trees(*staged(50, np.arange(20)), 1) == 5
    # ten queries gain by fewer and nine by more: that is no more than its error
    scores, *rest = staged(50, np.arange(10))
    more, *_ = staged(50, np.arange(10, 19))
    assert enough_trees({5: scores[5], 20: more[5]}, *rest, 1) == 20
    # as much is found by both
    assert enough_trees(*staged(50, np.arange(20)), 10) == 20


def test_rows_that_are_not_usual_do_not_decide():
    scores, labels, queries, usual = staged(50, np.arange(20))
    assert enough_trees(scores, labels, queries, usual & (queries >= 20), 1) == 20
    assert enough_trees(scores, labels, queries, np.zeros_like(usual), 1) == 20


def of_sellers():
    sellers = Problem(csr_matrix((2, 2), dtype=np.float32), np.full(2, -1), 0)
    return TwoStage(sellers, {"source": Popularity.fit(sellers)}, settings=Settings(num_trees=10))


def test_a_sellers_score_never_falls_as_that_of_a_source_rises():
    names = ("query_degree", "source", "bought_with_listed", "price_ratio")
    features = np.random.default_rng(0).random((3000, 4), dtype=np.float32)
    # listed is what all three say little of
    listed = (features[:, 1:] < 0.5).all(axis=1).astype(np.float32)
    trees = ranker_fitter(of_sellers(), features, listed, names, False, 0)(
        np.ones(3000, dtype=bool)
    )
    falls = []
    for column in range(1, 4):
        asked = np.full((50, 4), 0.25, dtype=np.float32)
        asked[:, column] = np.linspace(0, 1, 50)
        falls.append(bool((np.diff(trees.predict(asked)) < 0).any()))
    assert falls == [False, False, True]


NAMES = ("query_degree", "popularity_queries", "source")


def by_popularity(slope, rows=40_000):
    """Candidates whose odds grow with the seller's size and with popularity to this power."""
    random = np.random.default_rng(0)
    features = random.uniform(0, [3, 5, 1], (rows, 3)).astype(np.float32)
    odds = features[:, 0] + slope * features[:, 1] - 7
    listed = random.random(rows) < 1 / (1 + np.exp(-odds))
    return features, listed.astype(np.float32)


def test_the_first_guess_is_how_odds_grow_with_popularity_beside_the_sellers_size():
    features, listed = by_popularity(0.8)
    guess = first_guess(features, listed, np.ones(40_000), NAMES)
    assert guess == {"query_degree": 1.0, "popularity_queries": pytest.approx(0.8, abs=0.08)}
    # less two of its standard errors
    slope, error = fit_slope(features[:, 1], listed > 0, np.ones(40_000), features[:, 0])
    assert guess["popularity_queries"] == pytest.approx(slope - 2 * error, abs=1e-9)


def test_less_popular_is_no_first_guess_and_without_the_column_there_is_none():
    features, listed = by_popularity(-0.5)
    guess = first_guess(features, listed, np.ones(40_000), NAMES)
    assert guess == {"query_degree": 1.0, "popularity_queries": 0.0}
    assert first_guess(features[:, ::2], listed, np.ones(40_000), NAMES[::2]) == {
        "query_degree": 1.0
    }


def test_a_row_counts_for_the_first_guess_by_its_weight():
    features, listed = by_popularity(0.8)
    # listed products of little popularity do not count
    each = np.where((listed > 0) & (features[:, 1] < 2.5), 0.01, 1.0)
    assert first_guess(features, listed, each, NAMES)["popularity_queries"] > 1.1


def test_what_is_not_clear_of_popularity_is_left_to_the_trees():
    features, listed = by_popularity(0.3)
    few = np.concatenate([np.flatnonzero(listed)[:8], np.flatnonzero(listed == 0)[:300]])
    slope, error = fit_slope(features[few, 1], listed[few] > 0, np.ones(308), features[few, 0])
    assert 0 < slope < 2 * error
    assert first_guess(features[few], listed[few], np.ones(308), NAMES)["popularity_queries"] == 0


def test_a_slopes_standard_error_is_how_far_slopes_of_other_draws_differ():
    features, listed = by_popularity(0.8)
    parts = np.random.default_rng(1).permutation(40_000).reshape(80, 500)
    found = np.array(
        [
            fit_slope(features[rows, 1], listed[rows] > 0, np.ones(500), features[rows, 0])
            for rows in parts
        ]
    )
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.25)
    # rows that count for four: half of it
    each = np.full(500, 4.0)
    _, error = fit_slope(features[parts[0], 1], listed[parts[0]] > 0, each, features[parts[0], 0])
    assert error == pytest.approx(found[0, 1] / 2, rel=0.1)


def test_trees_go_on_by_popularity_where_they_alone_would_take_products_for_equal():
    features, listed = by_popularity(0.8)
    trees = ranker_fitter(of_sellers(), features, listed, NAMES, False, 0)(listed >= 0)
    # above all that was seen: there no tree tells one from the other
    popular = np.array([[1, 6, 0.5], [1, 7, 0.5], [2, 7, 0.5]], dtype=np.float32)
    by_product, by_size = np.diff(trees.predict(popular))
    slope = trees.start["popularity_queries"]
    assert by_product == pytest.approx(slope)
    assert slope == pytest.approx(0.8, abs=0.1)
    assert by_size == pytest.approx(1, abs=0.3)


def test_a_fold_of_sellers_makes_a_first_guess_of_its_own():
    features, listed = by_popularity(0.8)
    other, rare = by_popularity(-0.5)
    fit = ranker_fitter(
        of_sellers(), np.concatenate([features, other]), np.concatenate([listed, rare]), NAMES,
        False, 0,
    )  # fmt: skip
    first = np.arange(80_000) < 40_000
    assert fit(first).start["popularity_queries"] == pytest.approx(0.8, abs=0.1)
    assert fit(~first).start["popularity_queries"] == 0


def test_complements_start_from_nothing_or_from_what_they_are_expected_to_sell():
    square = Problem(csr_matrix((2, 2), dtype=np.float32), np.full(2, -1), 0, is_square=True)
    stage = TwoStage(square, {"source": Popularity.fit(square)}, settings=Settings(num_trees=2))
    features, listed = by_popularity(0.8, 2000)
    names = ("query_degree", "popularity_queries", "expected")
    fitted = [
        ranker_fitter(stage, features, listed, names, keep_known, 0)(listed >= 0)
        for keep_known in (False, True)
    ]
    assert [trees.start for trees in fitted] == [{}, {"expected": 1.0}]
