"""What was learnt from a part of the listings is used at the scale of all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from cprtools.ranking import Calibration, fit_trees, fit_two_stage, hold_out_listings
from cprtools.ranking.collecting import Collected, DrawnAsNew, usual_rows
from cprtools.ranking.scales import match_quantiles
from cprtools.ranking.two_stage import candidate_pool, known_mask
from tests.ranking.test_two_stage import Fixed, market


def test_quantiles_are_matched_whoever_holds_them():
    scale = match_quantiles(np.array([1.0, 2.0, 3.0]), np.array([60.0, 20.0, 40.0]))
    np.testing.assert_allclose(scale.apply(np.array([1.0, 1.5, 3.0])), [20, 30, 60])
    # nothing is known beyond: the last step stays
    np.testing.assert_allclose(scale.apply(np.array([0.0, 4.0])), [19, 61])


def test_equal_values_share_the_mean_of_their_quantiles():
    scale = match_quantiles(np.array([0.0, 0, 0, 5]), np.array([0.0, 1, 2, 9]))
    np.testing.assert_allclose(scale.apply(np.array([0.0, 5.0])), [1, 9])


def test_without_candidates_nothing_moves():
    scale = match_quantiles(np.zeros(0), np.zeros(0))
    values = np.array([-7.0, 0, 0.3])
    np.testing.assert_array_equal(scale.apply(values), values)
    curve = Calibration(np.array([0.0, 1]), np.array([0.2, 0.8])).moved(scale)
    assert (curve.scores.tolist(), curve.probabilities.tolist()) == ([0, 1], [0.2, 0.8])


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(st.tuples(st.floats(-9, 9, width=32), st.floats(-9, 9, width=32)), min_size=1))
def test_what_rises_still_rises(pairs):
    before, after = map(np.array, zip(*pairs, strict=True))
    scale = match_quantiles(before, after)
    assert (np.diff(scale.apply(np.linspace(-20, 20, 200))) >= 0).all()
    curve = Calibration(np.linspace(-9, 9, 7), np.linspace(0.1, 0.9, 7)).moved(scale)
    assert (np.diff(curve.scores) > 0).all()
    assert (np.diff(curve.probabilities) >= 0).all()


def test_trees_answer_at_the_new_scale_what_they_did_at_the_old():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3000, 2)).astype(np.float32)
    labels = (features.sum(axis=1) > rng.normal(size=3000)).astype(np.float32)
    trees = fit_trees(features, labels, ("score", "count"), num_trees=20)
    larger = features * np.array([3, 1], np.float32) + np.array([5, 0], np.float32)
    moved = trees.moved({"score": match_quantiles(features[:, 0], larger[:, 0])})
    # thresholds lie between values: next to one a row may change sides
    same = np.isclose(moved.predict(larger), trees.predict(features))
    assert same.mean() > 0.99
    assert np.isclose(trees.predict(larger), trees.predict(features)).mean() < 0.5


@pytest.mark.parametrize("with_ranker", [True, False])
def test_a_source_that_scores_higher_with_more_listings_changes_no_affinity(with_ranker):
    problem, sources = market()
    part = hold_out_listings(problem, seed=1)

    def affinities(factor):
        def fit(given):
            times = 1 if given is part[0] else factor
            return {name: Fixed(times * source.scores) for name, source in sources.items()}

        stage = fit_two_stage(problem, [part], fit, with_ranker=with_ranker, seed=0)
        queries = np.arange(30)
        allowed = known_mask(problem, queries, candidate_pool(problem))
        for curve, ranked in ((stage.calibration, True), (stage.retrieval_calibration, False)):
            for cols, scores in stage.lists(queries, allowed, 20, use_ranker=ranked):
                yield cols[:20], curve.apply(scores[:20])

    for (cols, values), (others, raised) in zip(affinities(1), affinities(4), strict=True):
        assert len(np.intersect1d(cols, others)) >= 18
        np.testing.assert_allclose(values, raised, atol=0.05)


def test_a_seller_from_whom_only_drawn_products_were_held_out_is_not_in_the_curve():
    positives = csr_matrix([[1.0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 1]])
    rows, cols = np.repeat(np.arange(3), 2), np.tile([0, 5], 3)
    found = Collected(np.zeros((6, 1), np.float32), np.zeros(6, np.float32), rows, cols)
    drawn = DrawnAsNew(np.arange(6) == 5, 1.0)
    # seller 1 was asked for the drawn product alone; of the others product 5 stays out
    assert usual_rows(found, positives, drawn).tolist() == [True, False, False, False, True, False]
    assert usual_rows(found, positives, None).all()
