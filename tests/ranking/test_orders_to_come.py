"""Orders to come: the ranker learns to foretell later counts, known pairs among them."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.baselines import Popularity, Problem
from cprtools.ranking import Evidence, fit_two_stage
from cprtools.ranking.holdout import hold_out_later
from cprtools.ranking.two_stage import candidate_pool, known_mask


def test_the_ranker_learns_from_earlier_orders_what_later_ones_hold():
    whole, early, late = (csr_matrix(np.array(m, np.float32)) for m in (
        [[0, 5], [2, 0]], [[0, 5], [1, 0]], [[0, 1], [1, 0]],
    ))  # fmt: skip
    problem = Problem(
        matrix=whole, types=np.zeros(2, np.int64), num_types=1, earlier=early, later=late,
        is_square=True,
    )  # fmt: skip

    inner, positives = hold_out_later(problem)

    # one customer bought the pair in both parts: 5 in the whole, and 5 known before the later part
    assert inner.matrix.toarray().tolist() == [[0, 5], [1, 0]]
    assert positives.toarray().tolist() == [[0, 1], [1, 0]]
    assert inner.later is None
    assert inner.recent is None


def test_what_was_bought_of_late_is_that_of_the_orders_before():
    whole, early, late, before = (csr_matrix(np.array(m, np.float32)) for m in (
        [[0, 6], [3, 0]], [[0, 5], [1, 0]], [[0, 1], [2, 0]], [[0, 2], [0, 0]],
    ))  # fmt: skip
    problem = Problem(
        matrix=whole, types=np.zeros(2, np.int64), num_types=1, earlier=early, later=late,
        recent=late, earlier_recent=before, is_square=True,
    )  # fmt: skip
    q, cols = np.array([0, 1]), np.array([1, 0])

    inner, _ = hold_out_later(problem)
    then, now = (
        Evidence(part, {}, candidate_pool(part)).features(q, np.arange(2), cols, {})
        for part in (inner, problem)
    )

    np.testing.assert_allclose(np.expm1(then["recent"]), [2, 0], rtol=1e-5)
    np.testing.assert_allclose(np.expm1(now["recent"]), [1, 2], rtol=1e-5)
    np.testing.assert_allclose(now["recent_share"], [1 / 6, 2 / 3], rtol=1e-5)
    # towards 1 and 0: 1 of 6 and 2 of 3, and 3 of 9 overall
    np.testing.assert_allclose(now["trend"], np.log([2 / 7 * 3, 3 / 4 * 3]), rtol=1e-5)
    # counted thrice in the first guess
    np.testing.assert_allclose(
        np.exp(now["expected"]), [6 + 2 + 300 * 6 / 9, 3 + 4 + 300 * 3 / 9], rtol=1e-4
    )


def test_a_ranker_of_later_orders_finds_known_pairs_again():
    rng = np.random.default_rng(0)
    n = 60
    popular = rng.gamma(0.5, size=n) + 0.02
    rate = rng.gamma(0.3, size=(n, n)) * popular
    np.fill_diagonal(rate, 0)
    earlier, later, future = (rng.poisson(rate * share) for share in (27, 3, 3))
    problem = Problem(
        matrix=csr_matrix((earlier + later).astype(np.float32)),
        types=np.zeros(n, np.int64),
        num_types=1,
        earlier=csr_matrix(earlier.astype(np.float32)),
        later=csr_matrix(later.astype(np.float32)),
        is_square=True,
    )
    inner, positives = hold_out_later(problem)

    stage = fit_two_stage(
        problem, [(inner, positives)], lambda p: {"popularity": Popularity.fit(p)}, keep_known=True
    )

    assert stage.trees.start == {"expected": 1.0}
    queries = np.arange(n)
    allowed = known_mask(problem, queries, candidate_pool(problem), keep_known=True)
    assert allowed.sum() == n * (n - 1)
    lists = stage.lists(queries, allowed, 5)
    found = sum(future[q, cols[:5]].sum() for q, (cols, _) in enumerate(lists)) / future.sum()
    best = np.argsort(-np.where(allowed, problem.matrix.toarray(), -1), axis=1)[:, :5]
    known = sum(future[q, best[q]].sum() for q in range(n)) / future.sum()
    by_popularity = stage.lists(queries, allowed, 5, use_ranker=False)
    simple = sum(future[q, cols[:5]].sum() for q, (cols, _) in enumerate(by_popularity))
    assert found > 1.2 * simple / future.sum()
    assert found > known - 0.02


def test_what_was_bought_of_late_foretells_where_tastes_change():
    rng = np.random.default_rng(1)
    n = 50
    steps = np.cumsum(rng.normal(0, 1.2, (12, n, n)), axis=0)
    months = rng.poisson(np.exp(np.clip(steps - 2, None, 3)))
    for month in months:
        np.fill_diagonal(month, 0)
    early, before, late, future = months[:9].sum(0), months[9], months[10], months[11]
    counts = {"earlier": early + before, "later": late, "matrix": early + before + late}
    known = Problem(
        **{name: csr_matrix(table.astype(np.float32)) for name, table in counts.items()},
        types=np.zeros(n, np.int64), num_types=1, is_square=True,
    )  # fmt: skip
    of_late = replace(known, recent=known.later, earlier_recent=csr_matrix(before * 1.0))
    every = np.arange(n)

    def hits(problem):
        parts = [hold_out_later(problem)]
        stage = fit_two_stage(
            problem, parts, lambda p: {"popularity": Popularity.fit(p)}, keep_known=True
        )
        allowed = known_mask(problem, every, candidate_pool(problem), keep_known=True)
        lists = stage.lists(every, allowed, 5)
        return sum(future[q, cols[:5]].sum() for q, (cols, _) in enumerate(lists)) / future.sum()

    assert hits(of_late) > 1.05 * hits(known)
