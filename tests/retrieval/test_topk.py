import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cprtools.retrieval import top_k, topk

INF = float("inf")


def slow_top_k(scores, k):
    """Repeatedly take the best candidate left, the lower column where two are equal."""
    lists = []
    for row in scores.tolist():
        left = [column for column, score in enumerate(row) if score > -INF]
        chosen = []
        while left and len(chosen) < k:
            best = left[0]
            for column in left:
                if row[column] > row[best]:
                    best = column
            chosen.append((best, row[best]))
            left.remove(best)
        lists.append(chosen + [(-1, -INF)] * (k - len(chosen)))
    return lists


def as_lists(found):
    indices, values = found
    return [
        list(zip(*row, strict=True)) for row in zip(indices.tolist(), values.tolist(), strict=True)
    ]


def test_the_best_come_first_and_ties_go_to_the_lower_column():
    scores = np.array([[0.5, 2.0, 0.5, -INF], [1.0, 1.0, 1.0, 1.0]], np.float32)
    indices, values = top_k(scores, 3)

    assert indices.tolist() == [[1, 0, 2], [0, 1, 2]]
    assert values.tolist() == [[2.0, 0.5, 0.5], [1.0, 1.0, 1.0]]
    assert (indices.dtype, values.dtype) == (np.int64, np.float32)


def test_what_must_not_be_returned_is_not_and_the_rest_is_marked():
    indices, values = top_k(np.array([[-INF, 3.0, -INF]], np.float32), 5)

    assert indices.tolist() == [[1, -1, -1, -1, -1]]
    assert values.tolist() == [[3.0, -INF, -INF, -INF, -INF]]


@pytest.mark.parametrize(("shape", "k"), [((2, 3), 0), ((0, 3), 2), ((2, 0), 2), ((0, 0), 0)])
def test_nothing_to_choose_is_no_error(shape, k):
    indices, values = top_k(np.zeros(shape, np.float32), k)

    assert indices.shape == values.shape == (shape[0], k)
    assert (indices == -1).all()


few = st.sampled_from([-INF, -1.0, -0.0, 0.0, 0.5, 1.0, INF])
matrices = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=few | st.floats(width=32, allow_nan=False),
)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(matrices, st.integers(0, 15))
def test_top_k_is_what_a_slow_loop_finds(scores, k):
    assert as_lists(top_k(scores, k)) == slow_top_k(scores, k)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(matrices, st.integers(1, 12))
def test_a_shorter_list_is_the_beginning_of_a_longer_one(scores, k):
    long, _ = top_k(scores, k + 3)
    short, _ = top_k(scores, k)

    assert (long[:, :k] == short).all()


def test_the_scores_given_are_left_as_they_are():
    scores = np.array([[3.0, 1.0, 2.0]], np.float32)
    top_k(scores, 2)

    assert scores.tolist() == [[3.0, 1.0, 2.0]]


def assert_as_sorted(scores, ks):
    for k in ks:
        indices, values = top_k(scores, k)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, order, axis=1)
        np.testing.assert_array_equal(indices, np.where(best > -np.inf, order, -1))
        np.testing.assert_array_equal(values, best)


@pytest.mark.parametrize("kind", ["distinct", "ties", "few allowed", "all alike"])
def test_long_rows_have_the_best_that_sorting_finds(kind):
    random = np.random.default_rng(5)
    scores = random.standard_normal((4, 3001)).astype(np.float32)
    if kind == "ties":
        scores = np.round(scores, 1)
    elif kind == "few allowed":
        scores[random.random(scores.shape) < 0.999] = -np.inf
    elif kind == "all alike":
        scores[:] = 2
    assert_as_sorted(scores, (1, 7, 20))


@pytest.mark.parametrize("evidence", [0, 3, 19, 400, 5000])
@pytest.mark.parametrize("nothing", [0.0, -np.inf])
def test_rows_of_little_evidence_are_filled_by_the_lowest_of_the_others(evidence, nothing):
    random = np.random.default_rng(evidence)
    scores = np.full((5, 7001), nothing, dtype=np.float32)
    for row in scores:
        some = random.choice(len(row), evidence, replace=False)
        row[some] = np.round(random.random(evidence) + 0.5, 2)
    # the first columns have evidence, too: what fills up comes after them
    scores[1, :900] = 0.25
    assert_as_sorted(scores, (1, 20, 40))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.6, 0.9995, 1.0])
def test_what_is_not_allowed_is_as_if_its_score_were_minus_infinity(share):
    random = np.random.default_rng(7)
    scores = np.round(random.standard_normal((6, 5003)), 2).astype(np.float32)
    allowed = random.random(scores.shape) < share
    for k in (1, 9, 30):
        found = top_k(scores, k, allowed)
        expected = top_k(np.where(allowed, scores, -np.inf).astype(np.float32), k)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
def test_what_is_not_allowed_is_not_put_in_order_with_the_best(share, monkeypatch):
    random = np.random.default_rng(7)
    scores = random.standard_normal((2, 20_000)).astype(np.float32)
    asked, best_of = [], topk._best
    monkeypatch.setattr(topk, "_best", lambda row, k: asked.append(k) or best_of(row, k))
    top_k(scores, 10, random.random(scores.shape) < share)
    # no more than a hundredth of the row
    assert max(asked) <= 200


def test_the_best_of_a_blocked_product_are_those_of_a_float64_oracle_but_for_ties():
    from cprtools.baselines.dense import stable_product

    random = np.random.default_rng(3)
    sellers = random.standard_normal((70, 64)).astype(np.float32)
    products = random.standard_normal((20_000, 64)).astype(np.float32)
    listed = random.random((70, 20_000)) < 0.001
    found, scores = top_k(stable_product(sellers, products), 100, ~listed)

    exact = sellers.astype(np.float64) @ products.T.astype(np.float64)
    exact[listed] = -np.inf
    order = np.argsort(-exact, axis=1, kind="stable")[:, :100]
    wanted = np.take_along_axis(exact, order, axis=1)
    mine = np.take_along_axis(exact, found, axis=1)
    # float32 holds a sum of 64 products to about 1e-5: where lists differ, scores do not
    np.testing.assert_allclose(mine, wanted, atol=1e-4)
    np.testing.assert_allclose(scores, wanted, atol=1e-4)
    assert (found == order).mean() > 0.99
