"""Settings chosen on a validation part."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.baselines import CoPurchase, ItemKnn, Problem
from cprtools.baselines.tuning import (
    Validation,
    fit_tuned,
    hold_out,
    scores_of_others,
    tune,
)


def planted(seed=0, size=60):
    random = np.random.default_rng(seed)
    groups = np.arange(size) % 4
    full = (groups[:, None] == groups) & ~np.eye(size, dtype=bool)
    noise = random.random((size, size)) < 0.05
    counts = np.where(full | noise, random.integers(1, 9, (size, size)), 0)
    np.fill_diagonal(counts, 0)
    return Problem(csr_matrix(counts.astype(np.float32)), np.full(size, -1), 0, is_square=True)


def test_the_best_setting_measured_is_the_one_fitted_on_everything():
    problem, said = planted(), []
    fitted = fit_tuned(ItemKnn, problem, say=said.append)
    measured = [line.split(": ")[1:] for line in said if "validation part" in line]
    best = max(measured, key=lambda line: float(line[1].split()[0]))[0]
    assert said[-1] == f"item-knn: chosen {best}"
    chosen = dict(part.split(" ") for part in best.split(", "))
    options = {
        "weighting": chosen["weighting"],
        "shrinkage": float(chosen["shrinkage"]),
        "neighbours": int(chosen["neighbours"]),
    }
    again = ItemKnn.fit(problem, **options)
    np.testing.assert_array_equal(fitted.score(np.arange(9)), again.score(np.arange(9)))


def test_options_given_are_kept_and_not_tuned():
    said = []
    fit_tuned(ItemKnn, planted(), say=said.append, neighbours=3, weighting="log")
    assert all("neighbours" not in line and "weighting" not in line for line in said)
    assert any("shrinkage 1.0" in line for line in said)


def test_weighting_is_left_alone_where_all_weights_are_equal():
    problem = planted()
    problem.matrix.data[:] = 1
    said = []
    fit_tuned(ItemKnn, problem, say=said.append)
    assert said
    assert not any("weighting" in line for line in said)


def test_methods_without_settings_are_fitted_as_they_are():
    problem, said = planted(), []
    fitted = fit_tuned(CoPurchase, problem, say=said.append, variant="lift")
    expected = CoPurchase.fit(problem, variant="lift")
    np.testing.assert_array_equal(fitted.score(np.arange(5)), expected.score(np.arange(5)))
    assert said == []


def test_hits_weigh_as_much_as_their_pairs():
    held_out = csr_matrix(np.array([[0, 3, 1, 0]], dtype=np.float32))
    nothing = csr_matrix((1, 4), dtype=np.float32)
    validation = Validation(nothing, held_out, np.array([0]), k=1, per_pair=True)

    def score(rows):
        return np.array([[0, 2, 1, 0]], dtype=np.float32)[rows]

    assert validation.measure(score) == 1 / 2
    assert validation.measure(score, by_weight=True) == 3 / (3 + 1)


def test_what_is_never_returned_is_not_measured():
    similar = csr_matrix(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool))
    problem = Problem(
        csr_matrix((3, 3), dtype=np.float32), np.full(3, -1), 0, similar=similar, is_square=True
    )
    found = scores_of_others(
        lambda rows: np.ones((len(rows), 3), np.float32), problem, np.arange(2)
    )
    np.testing.assert_array_equal(found, [[-np.inf, -np.inf, 1], [-np.inf, -np.inf, 1]])


def test_settings_are_judged_on_pairs_that_no_fit_has_seen():
    problem, seen = planted(), []

    class Watched(ItemKnn):
        search = (("shrinkage", [0.0, 1.0]),)

        @classmethod
        def fit(cls, problem, *, seed=0, shrinkage=0.0, **options):
            seen.append(problem.matrix)
            return super().fit(problem, seed=seed, shrinkage=shrinkage, **options)

    tune(Watched, problem)
    held_out = hold_out(problem, 0).held_out
    assert held_out.nnz and len(seen) == 2
    assert all(matrix.multiply(held_out).nnz == 0 for matrix in seen)


def test_only_candidates_are_held_out_and_judged():
    matrix = csr_matrix(np.ones((30, 12), dtype=np.float32))
    is_candidate = np.arange(12) < 6
    problem = Problem(matrix, np.full(12, -1), 0, is_candidate=is_candidate)
    validation = hold_out(problem, seed=0)
    assert validation.held_out.nnz
    assert is_candidate[validation.held_out.indices].all()
    # all that is held out of a row is found among its six candidates
    assert validation.measure(lambda rows: np.ones((len(rows), 6), np.float32)) == 1


def test_a_list_full_of_a_sellers_products_is_perfect():
    held_out = csr_matrix(np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=np.float32))
    nothing = csr_matrix((2, 4), dtype=np.float32)
    validation = Validation(nothing, held_out, np.arange(2), k=2, per_pair=False)
    scores = np.array([[4, 3, 2, 1], [4, 1, 2, 3]], dtype=np.float32)
    # two of three fill the first list; of the second seller's two one is found
    assert validation.measure(lambda rows: scores[rows]) == (1 + 1 / 2) / 2


def test_known_pairs_are_found_again_among_orders_to_come_alone():
    earlier = csr_matrix(np.array([[0, 2, 1], [0, 0, 0], [0, 0, 0]], dtype=np.float32))
    later = csr_matrix(np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=np.float32))
    problem = Problem(earlier + later, np.full(3, -1), 0, is_square=True)
    validation = hold_out(replace(problem, earlier=earlier, later=later), seed=0)
    scores = np.array([[0, 2, 1]], dtype=np.float32)
    assert replace(validation, k=1).measure(lambda rows: scores[rows]) == 1
    told = replace(validation, k=1, keep_known=False)
    assert told.measure(lambda rows: scores[rows].copy()) == 0
