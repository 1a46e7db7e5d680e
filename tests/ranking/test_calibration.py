"""Calibration: a probability at equal prior, never falling as the score rises."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools.errors import SchemaError
from cprtools.ranking import fit_calibration, load_calibration


def test_probability_is_at_equal_prior():
    # score 0: 1 of 4 positives and 30 of 40 negatives; score 1: 3 of 4 and 10 of 40
    scores = np.array([0.0] + [1.0] * 3 + [0.0] * 30 + [1.0] * 10)
    labels = np.array([1.0] * 4 + [0.0] * 40)
    curve = fit_calibration(scores, labels)
    # half a positive, and as much weight of negatives, are thought to be in each step
    at_zero = (1.5 / 4) / (1.5 / 4 + 30 / 40 + 0.5 / 4)
    at_one = (3.5 / 4) / (3.5 / 4 + 10 / 40 + 0.5 / 4)
    np.testing.assert_allclose(curve.apply(np.array([0.0, 1.0])), [at_zero, at_one])


@pytest.mark.parametrize("is_distinct", [False, True])
@pytest.mark.parametrize("positives", [4, 400, 40_000])
def test_a_step_claims_no_more_than_its_positives_show(positives, is_distinct):
    # the lower half has none of them, the upper half all, however many scores a half has
    labels = np.repeat([0.0, 1.0], positives)
    scores = np.arange(2.0 * positives) if is_distinct else labels
    curve = fit_calibration(scores, labels)
    low, high = curve.apply(scores[[0, -1]])
    # at the border one negative may share a bin with positives
    assert low == pytest.approx(0.5 / (positives + 1), rel=1e-4)
    assert high == pytest.approx(1 - low)


def test_scores_that_do_not_rise_with_the_share_are_one_step():
    # 4 positives of 20, 5 of 10 and 16 of 20, each time the positives have the lower scores
    labels = np.repeat([1.0, 0, 1, 0, 1, 0], [4, 16, 5, 5, 16, 4])
    curve = fit_calibration(np.arange(50.0), labels)
    found = curve.apply(np.array([0.0, 10, 19, 20, 29, 30, 49]))
    low, high = (4 + 0.5) / (20 + 1), (16 + 0.5) / (20 + 1)
    np.testing.assert_allclose(found, [low, low, low, 0.5, 0.5, high, high])


def test_neighbours_that_differ_by_rounding_alone_are_one_step():
    labels = np.array([1, 0, 0, 0, 0] * 4 + [1, 0] * 5 + [1, 1, 1, 1, 0] * 4, dtype=float)
    curve = fit_calibration(np.arange(50.0), labels).apply(np.array([0.0, 19.0, 30.0, 49.0]))
    assert curve[0] == curve[1]
    assert curve[2] == curve[3]


def test_one_positive_at_the_top_is_not_ahead_of_many_below_it():
    # 300 positives among 1,000 negatives, the best score one positive alone
    scores = np.concatenate([[2.0], np.ones(299), np.ones(100), np.zeros(900)])
    labels = np.concatenate([np.ones(300), np.zeros(1000)])
    curve = fit_calibration(scores, labels)
    _, below, top = curve.apply(np.array([0.0, 1.0, 2.0]))
    assert below == pytest.approx((299.5 / 300) / (299.5 / 300 + 0.1 + 0.5 / 300), abs=0.002)
    assert top == pytest.approx(below)


def test_half_is_where_positives_and_negatives_are_equally_dense():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(1, 1, 20_000), rng.normal(-1, 1, 200_000)])
    labels = np.concatenate([np.ones(20_000), np.zeros(200_000)])
    curve = fit_calibration(scores, labels)
    assert curve.apply(np.array([0.0]))[0] == pytest.approx(0.5, abs=0.03)
    # two normals one apart on either side: log-odds are 2 x score
    assert curve.apply(np.array([0.7]))[0] == pytest.approx(1 / (1 + np.exp(-1.4)), abs=0.03)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.sampled_from([0.0, 1.0])), min_size=4, max_size=60
    ).filter(lambda rows: len({label for _, label in rows}) == 2)
)
def test_probabilities_rise_with_the_score_and_stay_inside(rows):
    scores, labels = map(np.array, zip(*rows, strict=True))
    curve = fit_calibration(scores, labels)
    grid = curve.apply(np.linspace(-6, 6, 101))
    assert (np.diff(grid) >= 0).all()
    assert 0 < grid.min() <= grid.max() < 1


def test_equal_scores_get_equal_probabilities_whatever_their_order():
    scores, labels = np.zeros(1000), np.repeat([1.0, 0.0], 500)
    curve = fit_calibration(scores, labels)
    assert curve.apply(np.zeros(1))[0] == pytest.approx(0.5)
    assert len(curve.scores) == 1


def test_one_kind_alone_cannot_be_calibrated():
    with pytest.raises(ValueError, match="both positives and negatives"):
        fit_calibration(np.zeros(3), np.ones(3))


def test_a_stored_curve_is_the_same_and_a_falling_one_is_refused():
    curve = fit_calibration(np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 0, 1]))
    again = load_calibration(curve.table())
    np.testing.assert_array_equal(again.probabilities, curve.probabilities)
    with pytest.raises(SchemaError, match="calibration is damaged"):
        load_calibration(pa.table({"score": [0.0, 1.0], "probability": [0.9, 0.1]}))
