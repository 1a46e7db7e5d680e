"""Lists spread over product types."""

from math import ceil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools.answers.diversity import spread


def test_first_results_carry_different_types_then_the_ranking_goes_on():
    types = np.array([1, 1, 2, 1, 3, 2])
    assert spread(types, 6, 3).tolist() == [0, 2, 4, 1, 5, 3]


def test_no_type_takes_more_than_its_share():
    types = np.array([1, 1, 1, 1, 2, 3, 4])
    # ceil(4 / 2) = 2 of a type at most
    assert spread(types, 4, 2).tolist() == [0, 4, 1, 5]
    # ceil(5 / 2) = 3
    assert spread(np.array([1, 1, 1, 1, 2, 2, 3]), 5, 2).tolist() == [0, 4, 1, 2, 5]


def test_switched_off_it_keeps_the_ranking():
    assert spread(np.array([1, 1, 2]), 2, 0).tolist() == [0, 1]


def test_unknown_types_are_a_type_of_their_own():
    types = np.array([0, -1, 0, -1, 1])
    assert spread(types, 3, 3).tolist() == [0, 1, 4]


def test_one_type_alone_still_fills_the_list():
    assert spread(np.array([1, 1, 1, 1]), 3, 3).tolist() == [0, 1, 2]


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.lists(st.integers(-1, 4), max_size=30),
    st.integers(1, 12),
    st.integers(1, 5),
)
def test_spread_keeps_its_promises(kinds, k, wanted):
    types = np.array(kinds, dtype=np.int64)
    chosen = spread(types, k, wanted)
    assert len(chosen) == min(k, len(types)) == len(set(chosen.tolist()))
    different = len(set(kinds))
    first = types[chosen[: min(wanted, different, len(chosen))]]
    assert len(set(first.tolist())) == len(first)
    limit = ceil(min(k, len(types)) / wanted)
    counts = np.bincount(types + 1, minlength=6)
    if np.minimum(counts, limit).sum() >= len(chosen):
        assert np.bincount(types[chosen] + 1, minlength=1).max(initial=0) <= limit
