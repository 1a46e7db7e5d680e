"""Matrix factorisation, its tuning, and what scoring may import."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Factorisation, Popularity, Problem, factorisation, tuning
from cprtools.baselines.tuning import Validation, choose, hold_out
from cprtools.errors import SchemaError


def low_rank_problem(rows=80, columns=60, groups=5, seed=0):
    """Each seller lists products of its group at random; also returns what was hidden."""
    random = np.random.default_rng(seed)
    same = random.integers(0, groups, rows)[:, None] == random.integers(0, groups, columns)[None]
    full = same & (random.random((rows, columns)) < 0.7)
    hidden = full & (random.random((rows, columns)) < 0.2)
    shown = csr_matrix((full & ~hidden).astype(np.float32))
    return Problem(shown, np.full(columns, -1), 0), hidden


def recall(recommender, problem, hidden, k=10):
    scores = recommender.score(np.arange(problem.num_queries))
    scores[problem.matrix.nonzero()] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :k]
    found = np.take_along_axis(hidden, best, axis=1).sum(axis=1)
    asked = hidden.any(axis=1)
    return (found[asked] / np.minimum(k, hidden.sum(axis=1))[asked]).mean()


def test_factorisation_beats_popularity_on_planted_groups():
    problem, hidden = low_rank_problem()
    fitted = Factorisation.fit(problem)
    by_factors = recall(fitted, problem, hidden)
    by_popularity = recall(Popularity.fit(problem), problem, hidden)
    assert by_factors > 0.8
    assert by_popularity < 0.4


def test_checkerboard_puts_the_missing_square_first():
    board = (np.add.outer(np.arange(50), np.arange(50)) % 2 == 0).astype(np.float32)
    np.fill_diagonal(board, 0)
    problem = Problem(csr_matrix(board), np.full(50, -1), 0)
    fitted = Factorisation.fit(problem, factors=3, alpha=1.0)
    scores = fitted.score(np.arange(50))
    scores[board > 0] = -np.inf
    np.testing.assert_array_equal(scores.argmax(axis=1), np.arange(50))


def test_options_given_are_not_tuned():
    problem, _ = low_rank_problem()
    fitted = Factorisation.fit(problem, factors=7, alpha=2.0)
    assert fitted.tables()["mf_queries"].column("factor").type.list_size == 7
    assert fitted.settings["factors"] == 7
    assert fitted.settings["alpha"] == 2.0
    assert 0 < fitted.settings["validation"] <= 1


def test_without_tuning_the_starting_settings_stay():
    problem, _ = low_rank_problem()
    fitted = Factorisation.fit(problem, tune=False, alpha=5.0)
    assert "validation" not in fitted.settings
    assert (fitted.settings["factors"], fitted.settings["alpha"]) == (64, 5.0)


def test_chosen_settings_factorise_again_without_tuning():
    problem, _ = low_rank_problem()
    fitted = Factorisation.fit(problem)
    again = Factorisation.fit(problem, **fitted.chosen)
    assert "validation" not in again.settings
    np.testing.assert_array_equal(again.score(np.arange(9)), fitted.score(np.arange(9)))


def test_weighting_is_tuned_only_where_weights_differ():
    problem, _ = low_rank_problem()
    assert Factorisation.fit(problem, tune=False).settings["weighting"] == "binary"
    counts = problem.matrix.copy()
    counts.data[0] = 9
    fitted = Factorisation.fit(Problem(counts, problem.types, 0), tune=False)
    assert fitted.settings["weighting"] == "log"


def popular_problem(rows=100, columns=5000, seed=0):
    """Everybody lists by popularity alone: there is nothing else to learn."""
    random = np.random.default_rng(seed)
    chance = 0.3 / np.arange(1, columns + 1) ** 0.5
    full = random.random((rows, columns)) < chance
    return Problem(csr_matrix(full.astype(np.float32)), np.full(columns, -1), 0)


def test_where_only_popularity_tells_tuning_finds_it():
    # with the first settings the factors fit noise, and from there all ways lead down
    problem = popular_problem()
    validation = hold_out(problem, seed=0)
    popular = Popularity.fit(replace(problem, matrix=validation.train))
    reached = Factorisation.fit(problem).settings["validation"]
    assert reached > 0.9 * validation.measure(popular.score)
    # a setting that is given keeps the second place from being tried
    given = Factorisation.fit(problem, alpha=10.0).settings
    assert given["alpha"] == 10.0
    assert given["validation"] <= reached


@pytest.mark.parametrize("is_large", [False, True])
def test_of_very_many_pairs_a_second_place_far_behind_is_not_climbed_from(monkeypatch, is_large):
    problem, _ = low_rank_problem()
    if is_large:
        monkeypatch.setattr(tuning, "_MOST_PAIRS", problem.matrix.nnz - 1)
    tried = []

    def factorise(given, settings, seed):
        tried.append(settings)
        return np.ones((given.num_queries, 1), np.float32), np.ones((given.num_candidates, 1))

    monkeypatch.setattr(factorisation, "_factorise", factorise)
    reached = iter([1.0] + [0.5] * 100)
    monkeypatch.setattr(Validation, "measure", lambda self, score, **_: next(reached))
    Factorisation.settings_for(problem)
    cautious = [settings for settings in tried if settings["regularisation"] == 30.0]
    # one look at it, or all the way from it
    assert len(cautious) == 1 if is_large else len(cautious) > 1


@pytest.mark.parametrize(("is_large", "most"), [(False, 512), (True, 128)])
def test_of_very_many_pairs_hundreds_of_factors_are_not_tried(monkeypatch, is_large, most):
    problem, _ = low_rank_problem()
    if is_large:
        monkeypatch.setattr(tuning, "_MOST_PAIRS", problem.matrix.nnz - 1)
    tried = []

    def factorise(given, settings, seed):
        tried.append(settings["factors"])
        return np.ones((given.num_queries, 1), np.float32), np.ones((given.num_candidates, 1))

    monkeypatch.setattr(factorisation, "_factorise", factorise)
    # more is always better
    monkeypatch.setattr(Validation, "measure", lambda self, score, **_: float(tried[-1]))
    assert Factorisation.settings_for(problem)["factors"] == max(tried) == most


def test_long_indices_factorise_like_short_ones():
    problem, _ = low_rank_problem()
    long = problem.matrix.copy()
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    found = Factorisation.fit(Problem(long, problem.types, 0), tune=False)
    expected = Factorisation.fit(problem, tune=False)
    np.testing.assert_array_equal(found.score(np.arange(5)), expected.score(np.arange(5)))


def test_factors_of_another_model_are_refused():
    problem, _ = low_rank_problem()
    tables = Factorisation.fit(problem, tune=False).tables()
    smaller = Problem(problem.matrix[:, :-1], problem.types[:-1], 0)
    with pytest.raises(SchemaError, match="mf_queries"):
        Factorisation.load(smaller, lambda name: tables[name])


THREADS = """
import hashlib, numpy as np
from tests.baselines.test_factorisation import low_rank_problem
from cprtools.baselines import Factorisation, factorisation
factorisation._SMALL = 0
problem, _ = low_rank_problem(rows=300, columns=200)
fitted = Factorisation.fit(problem, seed=2, factors=32, regularisation=1.0)
scores = fitted.score(np.arange(300))
print(hashlib.sha256(scores.tobytes()).hexdigest())
"""


def test_factors_are_the_same_on_any_number_of_threads():
    digests = set()
    for threads in ("1", "3"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        digests.add(run_python(THREADS, environment))
    assert len(digests) == 1


def test_package_and_scoring_load_nothing_heavy():
    code = """
import sys
import numpy as np, pyarrow as pa
from scipy.sparse import csr_matrix
from cprtools.baselines import Factorisation, Problem
from cprtools.tables import vector_array
factors = pa.table({"factor": vector_array(np.ones((2, 3)))})
stored = {"mf_queries": factors, "mf_candidates": factors}
stored |= {"mf_settings": pa.table({"alpha": [1]})}
Factorisation.load(Problem(csr_matrix((2, 2)), np.zeros(2), 1), stored.get).score(np.arange(2))
print(sorted({"implicit", "torch", "dgl", "duckdb", "sklearn"} & set(sys.modules)))
"""
    assert run_python(code, dict(os.environ)) == "[]"


def run_python(code, environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_hold_out_of_products_takes_both_directions():
    random = np.random.default_rng(0)
    upper = np.triu(random.random((40, 40)) < 0.5, 1)
    problem = Problem(
        csr_matrix((upper | upper.T).astype(np.float32)), np.full(40, -1), 0, is_square=True
    )
    validation = hold_out(problem, seed=0)
    held_out, train = validation.held_out.toarray() > 0, validation.train.toarray() > 0
    assert held_out.any()
    np.testing.assert_array_equal(held_out, held_out.T)
    np.testing.assert_array_equal(held_out ^ train, upper | upper.T)
    assert 0.05 < held_out.sum() / (2 * upper.sum()) < 0.25


def test_hold_out_spares_small_rows():
    weights = np.zeros((30, 12), dtype=np.float32)
    weights[:, :4] = 1
    assert hold_out(Problem(csr_matrix(weights), np.full(12, -1), 0), seed=0) is None
    weights[7:] = 1
    validation = hold_out(Problem(csr_matrix(weights), np.full(12, -1), 0), seed=0)
    assert validation.queries.min() >= 7
    assert validation.train[:7].nnz == 7 * 4


def test_measure_counts_pairs_for_products_and_rows_for_sellers():
    for square, expected in ((True, 3 / 4), (False, (1 + 1 / 2) / 2)):
        matrix = csr_matrix(np.ones((12, 12), dtype=np.float32))
        validation = hold_out(Problem(matrix, np.full(12, -1), 0, is_square=square), seed=0)
        train, held_out = np.zeros((2, 5)), np.zeros((2, 5))
        train[0, 4] = 1
        held_out[0, :2], held_out[1, :2] = 1, 1
        small = type(validation)(
            csr_matrix(train), csr_matrix(held_out), np.arange(2), 2, validation.per_pair
        )
        # row 0 finds 0 and 1 behind the known 4; row 1 finds 0 only
        scores = np.array([[3, 2, 0, 1, 9], [3, 0, 2, 1, 0]], dtype=np.float32)
        assert small.measure(lambda rows, s=scores: s[rows]) == expected


def test_choose_climbs_to_the_best_of_a_smooth_hill_and_measures_once():
    seen = []

    def measure(settings):
        seen.append((settings["a"], settings["b"]))
        return -((settings["a"] - 1) ** 2) - (settings["b"] - 4) ** 2

    steps = [("a", [1, 2, 3, 4]), ("b", [1, 2, 3, 4]), ("a", [1, 2, 3, 4])]
    best, value = choose({"a": 3, "b": 2}, steps, measure)
    assert (best, value) == ({"a": 1, "b": 4}, 0)
    assert len(seen) == len(set(seen))


def test_the_query_itself_takes_no_place_in_the_lists_that_settings_are_judged_by(monkeypatch):
    # each of 16 products completes the three before and after it; of all others it has nine
    n = 16
    distance = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    distance = np.minimum(distance, n - distance)
    scores = np.where(distance == 0, 9.0, np.where(distance <= 3, 1.0, 2.0)).astype(np.float32)
    matrix = csr_matrix(((distance > 0) & (distance <= 3)).astype(np.float32))
    problem = Problem(matrix, np.full(n, -1), 0, is_square=True)
    factors = np.eye(n, dtype=np.float32), scores
    monkeypatch.setattr(factorisation, "_factorise", lambda *_: factors)

    # behind the nine others the tenth place is left for one held-out pair
    assert Factorisation.settings_for(problem)["validation"] > 0


def test_settings_are_judged_on_pairs_kept_back_that_count_as_often_as_bought(monkeypatch):
    random = np.random.default_rng(0)
    n = 60
    weights = random.choice([0, 1, 50], (n, n), p=[0.7, 0.2, 0.1]).astype(np.float32)
    np.fill_diagonal(weights, 0)
    # what is bought often is found, the rest by chance
    scores = np.where(weights > 1, 2, random.random((n, n))).astype(np.float32)
    problem = Problem(csr_matrix(weights), np.full(n, -1), 0, is_square=True)
    seen = []

    def factorise(inner, *_):
        seen.append(inner.matrix)
        return np.eye(n, dtype=np.float32), np.ascontiguousarray(scores.T)

    monkeypatch.setattr(factorisation, "_factorise", factorise)
    reached = Factorisation.settings_for(problem)["validation"]

    validation = hold_out(problem, 0)
    rate = {
        by_weight: validation.measure(lambda rows: scores[rows], by_weight=by_weight)
        for by_weight in (True, False)
    }
    assert reached == pytest.approx(rate[True], abs=0.01)
    assert rate[True] > rate[False] + 0.1
    assert all(matrix.multiply(validation.held_out).nnz == 0 for matrix in seen)
