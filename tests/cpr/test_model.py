import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.cpr.config import make_config
from cprtools.cpr.model import PCompanion
from cprtools.errors import SchemaError, UsageError
from tests.contracts.recommender_contract import (
    RecommenderContract,
    parquet_reader,
    planted_problem,
    tiny_problem,
)
from tests.cpr.market import SMALL
from tests.training.few_steps import few_steps

FAST = {**SMALL, "epochs": 2}


@pytest.fixture(autouse=True, scope="module")
def short_epochs():
    with few_steps(6):
        yield


class TestDefaultPreset(RecommenderContract):
    is_seeded = True

    def make(self, problem, seed=0):
        return PCompanion.fit(problem, seed=seed, **FAST)

    def test_a_problem_without_pairs_can_be_scored(self):
        with pytest.raises(SchemaError, match="found none"):
            self.make(tiny_problem(np.zeros((3, 3)), is_square=True))

    def test_scores_are_probabilities(self, given, fitted):
        queries = np.arange(given.num_queries)
        for rows in (fitted.score(queries),):
            assert (rows > 0).all()
            np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
        types = fitted.type_scores(queries)
        # what is missing to one belongs to products of unknown type
        assert (types > 0).all()
        assert (types.sum(axis=1) <= 1 + 1e-5).all()

    def test_embeddings_are_finite_rows_of_every_product(self, given, fitted):
        assert fitted.embeddings.shape == (given.num_candidates, 16)
        assert fitted.embeddings.dtype == np.float32
        assert np.isfinite(fitted.embeddings).all()
        loaded = PCompanion.load(given, parquet_reader(fitted.tables()))
        np.testing.assert_array_equal(loaded.embeddings, fitted.embeddings)


class TestPaperPreset(TestDefaultPreset):
    def make(self, problem, seed=0):
        return PCompanion.fit(problem, seed=seed, preset="paper", **FAST)


class TestArticlePreset(TestDefaultPreset):
    def make(self, problem, seed=0):
        return PCompanion.fit(problem, seed=seed, preset="article", **FAST)


def test_a_model_of_another_catalogue_is_refused():
    fitted = PCompanion.fit(planted_problem(is_square=True), **FAST)
    other = planted_problem(is_square=True, num_candidates=39)
    with pytest.raises(SchemaError, match="40 products and 5 types; need 39 and 5"):
        PCompanion.load(other, parquet_reader(fitted.tables()))


def test_sellers_are_refused():
    with pytest.raises(SchemaError, match="answers products, not sellers"):
        PCompanion.fit(planted_problem(is_square=False))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "book"}, "preset must be one of default, paper, article, got 'book'"),
        ({"num_outputs": 0}, "num_outputs must be at least 1, got 0"),
        ({"num_negatives": 0}, "num_negatives must be at least 1, got 0"),
        ({"alpha": 1.5}, "alpha must be between 0 and 1, got 1.5"),
        ({"margin": -1.0}, "margin must be at least 0, got -1.0"),
        ({"depth": 3}, "no option 'depth'; there are preset, embedding_dim"),
        ({"seed": 3}, "no option 'seed'"),
    ],
)
def test_options_that_do_not_exist_or_fit_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        make_config(options, seed=0)


def test_the_paper_preset_keeps_what_is_asked_for():
    config = make_config({"preset": "paper", "num_negatives": 9}, seed=4)
    assert (config.preset, config.num_negatives, config.seed) == ("paper", 9, 4)
    assert config.pretrain_epochs > 0


def test_the_article_preset_judges_items_alone():
    config = make_config({"preset": "article"}, seed=0)
    assert (config.alpha, config.type_weight, config.num_outputs) == (1, 0, 3)


def test_a_query_of_a_strange_type_is_answered():
    weights = csr_matrix(np.eye(8, k=1, dtype=np.float32))
    types = np.array([0, 1, -1, 0, 1, -1, 0, 1])
    fitted = PCompanion.fit(Problem(weights, types, 2, is_square=True), **FAST)
    assert fitted.type_scores(np.array([2])).shape == (1, 2)
    assert np.isfinite(fitted.score(np.array([2]))).all()


def test_scoring_and_loading_need_no_torch():
    code = "import sys, cprtools.cpr.model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
