"""The blend of two simple methods: worked by hand, chosen as a plain loop chooses, stored."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Blend, Ease, ItemKnn, Popularity, Problem, Recommender
from cprtools.baselines import blend as blend_module
from cprtools.baselines.blend import choose_mixture, standardise
from cprtools.baselines.tuning import Validation, fit_tuned, hold_out, scores_of_others, tune
from cprtools.errors import SchemaError, UsageError
from tests.baselines.test_tuning import planted
from tests.contracts.recommender_contract import parquet_reader

ROOT = Path(__file__).resolve().parents[2]


class Fixed(Recommender):
    """The same scores for every query."""

    def __init__(self, *scores):
        self.scores = np.array([scores], dtype=np.float32)

    def score(self, query_idx):
        return np.repeat(self.scores, len(query_idx), axis=0)

    fit = load = tables = None
    num_candidates = 3


def small_mf(problem, seed=0, **options):
    """A blend that does not tune its factorisation."""
    return Blend.fit(problem, seed=seed, settings={"mf": {"tune": False}}, **options)


def test_z_scores_worked_by_hand():
    # mean (3 + 1 + 0 + 0) / 4 = 1, variance (4 + 0 + 1 + 1) / 4 = 3/2
    scores = np.array([[3, 1, 0, 0]], dtype=np.float32)
    expected = np.array([[2, 0, -1, -1]]) / np.sqrt(3 / 2)
    np.testing.assert_allclose(standardise(scores, "all"), expected, rtol=1e-6)
    # of the two with evidence: mean (3 + 1) / 2 = 2, variance (1 + 1) / 2 = 1
    np.testing.assert_allclose(standardise(scores, "evidence"), [[1, -1, -2, -2]], rtol=1e-6)


def test_rows_without_spread_are_neither_lost_nor_divided_by_zero():
    scores = np.array([[5, 0, 0], [0, 0, 0], [-2, -2, -2]], dtype=np.float32)
    np.testing.assert_array_equal(
        standardise(scores, "evidence"), [[0, -1, -1], [0, 0, 0], [-2, -2, -2]]
    )
    np.testing.assert_array_equal(standardise(scores, "all")[1:], np.zeros((2, 3)))


def test_scaling_a_part_does_not_move_the_blend():
    first, second = Fixed(3, 1, 0), Fixed(0, 2, 1)
    louder = Fixed(300, 100, 0)
    for scaling in ("all", "evidence"):
        expected = Blend((first, second), 0.3, scaling).score(np.arange(2))
        found = Blend((louder, second), 0.3, scaling).score(np.arange(2))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("scaling", ["all", "evidence"])
def test_bits_of_a_wide_row_do_not_depend_on_the_rows_beside_it(scaling):
    scores = np.random.default_rng(0).normal(size=(5, 20_001)).astype(np.float32)
    together = standardise(scores, scaling)
    for row in range(5):
        np.testing.assert_array_equal(standardise(scores[row : row + 1], scaling)[0], together[row])


def test_the_first_weight_that_finds_the_most_is_chosen():
    # z-scores (-1, 0, 1) and (1, 0, -1) times sqrt(3/2): the last product leads past one half
    held_out = csr_matrix(np.array([[0, 0, 1]], dtype=np.float32))
    nothing = csr_matrix((1, 3), dtype=np.float32)
    validation = Validation(nothing, held_out, np.array([0]), k=1, per_pair=True)
    problem, said = Problem(nothing, np.full(3, -1), 0), []
    parts = {"item-knn": Fixed(-1, 0, 1), "mf": Fixed(1, 0, -1)}

    chosen = choose_mixture(parts, problem, validation, said.append)

    assert chosen == {"first": "item-knn", "second": "mf", "weight": 0.6, "scaling": "all"}
    nothing_then_all = " ".join(["0.0000"] * 5 + ["1.0000"] * 4)
    assert said == [
        f"blend: item-knn + mf, z-scores over all, weights 0.1 to 0.9: {nothing_then_all}",
        f"blend: item-knn + mf, z-scores over evidence, weights 0.1 to 0.9: {nothing_then_all}",
        "blend: chosen 0.6 item-knn + 0.4 mf, z-scores over all: 1.0000 on the validation part",
    ]


def test_the_choice_is_that_of_a_loop_over_every_blend():
    problem, said = planted(), []
    options = tune(Blend, problem, say=said.append)
    validation = hold_out(problem, 0)
    inner = replace(problem, matrix=validation.train)
    reached = {}
    for pair in (("item-knn", "mf"), ("item-knn", "ease"), ("mf", "ease")):
        settings = {name: chosen_settings(said, problem, name) for name in pair}
        for scaling in ("all", "evidence"):
            for step in range(1, 10):
                mixture = {"first": pair[0], "second": pair[1], "scaling": scaling}
                mixture["weight"] = step / 10
                fitted = Blend.fit(inner, settings=settings, **mixture)
                scores = partial(scores_of_others, fitted.score, problem)
                reached[tuple(mixture.items())] = validation.measure(scores, by_weight=True)

    best = max(reached, key=reached.get)
    assert dict(best) == {name: options[name] for name in ("first", "second", "weight", "scaling")}
    assert said[-1].endswith(f"{reached[best]:.4f} on the validation part")
    assert set(options["settings"]) == {options["first"], options["second"]}


def chosen_settings(said, problem, name):
    """What the line `NAME: chosen ...` says, as options."""
    line = next(line for line in said if line.startswith(f"{name}: chosen "))
    words = line.removeprefix(f"{name}: chosen ").split(", ")
    options = dict(word.split(" ") for word in words)
    return {
        key: value if key == "weighting" else (float if "." in value else int)(value)
        for key, value in options.items()
    }


def test_the_chosen_blend_is_fitted_on_everything():
    problem = planted()
    fitted = fit_tuned(Blend, problem)
    again = Blend.fit(problem, **tune(Blend, problem))
    np.testing.assert_array_equal(fitted.score(np.arange(9)), again.score(np.arange(9)))
    first, second = (standardise(part.score(np.arange(9)), fitted.scaling) for part in fitted.parts)
    expected = fitted.weight * first + (1 - fitted.weight) * second
    np.testing.assert_allclose(fitted.score(np.arange(9)), expected, atol=1e-5)


def test_planted_groups_are_found_and_popularity_does_not_find_them():
    problem, validation = planted(), hold_out(planted(), 0)
    inner = replace(problem, matrix=validation.train)
    right = {
        method: validation.measure(partial(scores_of_others, method.fit(inner).score, problem))
        for method in (Blend, Popularity)
    }
    assert right[Blend] > 2 * right[Popularity]


def test_later_pairs_choose_with_known_pairs_among_them():
    problem = planted()
    later = problem.matrix.multiply(problem.matrix > 4).tocsr()
    both = replace(problem, earlier=problem.matrix - later, later=later)
    said = []
    options = tune(Blend, both, say=said.append)
    assert 0.1 <= options["weight"] <= 0.9
    assert sum("weights 0.1 to 0.9" in line for line in said) == 6


def test_past_its_limit_ease_takes_no_part(monkeypatch):
    monkeypatch.setattr(blend_module, "QUICK_ITEMS", 59)
    said = []
    options = tune(Blend, planted(), say=said.append)
    assert (options["first"], options["second"]) == ("item-knn", "mf")
    assert not any("ease" in line for line in said)


def test_too_little_to_hold_out_leaves_the_defaults():
    problem = Problem(csr_matrix(np.eye(3, k=1, dtype=np.float32)), np.full(3, -1), 0)
    fitted = fit_tuned(Blend, problem)
    assert fitted.weight == 0.5
    assert [part.method for part in fitted.parts] == ["item-knn", "mf"]


@pytest.mark.parametrize("scaling", ["all", "evidence"])
def test_the_mixture_is_stored_with_both_parts(scaling):
    problem = planted()
    fitted = Blend.fit(
        problem, first="ease", second="item-knn", weight=0.7, scaling=scaling,
        settings={"ease": {"regularisation": 3.0}, "item-knn": {"neighbours": 5}},
    )  # fmt: skip
    tables = fitted.tables()
    assert tables["blend_settings"].to_pylist() == [
        {"first": "ease", "second": "item-knn", "weight": 0.7, "scaling": scaling}
    ]
    loaded = Blend.load(problem, parquet_reader(tables))
    assert [type(part) for part in loaded.parts] == [Ease, ItemKnn]
    np.testing.assert_array_equal(loaded.score(np.arange(60)), fitted.score(np.arange(60)))


def test_parts_that_this_version_does_not_know_are_refused():
    problem = planted()
    tables = small_mf(problem).tables()
    settings = tables["blend_settings"]
    tables["blend_settings"] = settings.set_column(0, "first", [["oracle"]])
    with pytest.raises(SchemaError, match="blend_settings"):
        Blend.load(problem, parquet_reader(tables))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"first": "popularity"}, "first must be one of item-knn, mf, ease, got 'popularity'"),
        ({"first": "mf", "second": "mf"}, "must be two methods, got 'mf' twice"),
        ({"weight": 1.5}, "weight must be between 0 and 1, got 1.5"),
        ({"scaling": "rank"}, "scaling must be one of all, evidence, got 'rank'"),
        ({"settings": {"item-knn": {"depth": 3}}}, "item-knn: no option 'depth'"),
    ],
)
def test_options_out_of_range_name_what_is_allowed(options, text):
    with pytest.raises(UsageError, match=text):
        Blend.fit(planted(), **options)


def test_a_stored_blend_answers_without_torch_or_implicit(tmp_path):
    for name, table in small_mf(planted()).tables().items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    code = """
import sys, numpy as np, pyarrow.parquet as pq
from cprtools.baselines import Blend
from tests.baselines.test_tuning import planted
scores = Blend.load(planted(), lambda name: pq.read_table(f"{name}.parquet")).score(np.arange(60))
print(scores.shape, sorted({"implicit", "torch", "dgl", "sklearn"} & set(sys.modules)))
"""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("(60, 60) []\n", "")
