"""What every recommender must do, trained or simple: subclass it and set `make`."""

import io
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem, Recommender
from cprtools.errors import UsageError


def planted_problem(*, is_square, num_queries=40, num_candidates=40, seed=7):
    """Random pairs with types, unit vectors and a few rows and columns that hold nothing."""
    random = np.random.default_rng(seed)
    rows = num_candidates if is_square else num_queries
    weights = random.integers(1, 6, (rows, num_candidates))
    weights[random.random(weights.shape) < 0.8] = 0
    if not is_square:
        weights = (weights > 0).astype(np.int64)
    if is_square:
        np.fill_diagonal(weights, 0)
    weights[[1, rows - 1]] = 0
    weights[:, [num_candidates - 2, num_candidates - 1]] = 0
    vectors = random.standard_normal((num_candidates, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = 0
    types = random.integers(-1, 5, num_candidates)
    return Problem(
        matrix=csr_matrix(weights.astype(np.float32)),
        types=types.astype(np.int64),
        num_types=5,
        vectors=vectors,
        attributes={"brand": random.integers(-1, 3, num_candidates).astype(np.int64)},
        prices=random.random(num_candidates).astype(np.float32),
        is_square=is_square,
    )


def tiny_problem(weights, *, is_square):
    """A problem of that matrix, every candidate of type 0 with the vector (1, 0)."""
    matrix = csr_matrix(np.asarray(weights, dtype=np.float32))
    n = matrix.shape[1]
    vectors = np.tile(np.array([[1, 0]], dtype=np.float32), (n, 1))
    return Problem(matrix, np.zeros(n, dtype=np.int64), 1, vectors=vectors, is_square=is_square)


def parquet_reader(members):
    """A `read` over Parquet bytes of the members, as a model folder gives it."""
    stored = {}
    for name, table in members.items():
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        stored[name] = buffer.getvalue()
    return lambda name: pq.read_table(io.BytesIO(stored[name]))


def without_last(problem):
    """The problem of products without its last one, which has no pairs."""
    n = problem.num_candidates - 1
    assert problem.matrix[n].nnz == problem.matrix[:, [n]].nnz == 0
    return replace(
        problem,
        matrix=problem.matrix[:n, :n],
        types=problem.types[:n],
        vectors=None if problem.vectors is None else problem.vectors[:n],
        words=None if problem.words is None else problem.words[:n],
        attributes={name: codes[:n] for name, codes in problem.attributes.items()},
        prices=None if problem.prices is None else problem.prices[:n],
        numbers={name: values[:n] for name, values in problem.numbers.items()},
        similar=None if problem.similar is None else problem.similar[:n, :n],
        co_views=None if problem.co_views is None else problem.co_views[:n, :n],
        context=None if problem.context is None else problem.context[:n],
    )


def without_last_rows(members, n):
    """Tables with a row for each of n products, less their last row; the others as they are."""
    return {
        name: table.slice(0, n - 1) if table.num_rows == n else table
        for name, table in members.items()
    }


class RecommenderContract:
    """Set `make(problem, seed)`; the rest says which problems the method takes."""

    is_square = True
    """Whether the problem of the tests has products as queries."""
    is_seeded = False
    """Whether another seed gives other scores."""
    knows_new = True
    """Whether it scores products that it was not fitted on."""
    takes_tiny = True
    """Whether a matrix of one row or column can be fitted."""

    def make(self, problem, seed=0) -> Recommender:
        raise NotImplementedError

    def problem(self) -> Problem:
        return planted_problem(is_square=self.is_square)

    @pytest.fixture(scope="class")
    def given(self):
        return self.problem()

    @pytest.fixture(scope="class")
    def fitted(self, given):
        return self.make(given, seed=3)

    def test_scores_have_a_row_per_query_and_a_finite_float32_per_candidate(self, given, fitted):
        queries = np.array([4, 0, 1, given.num_queries - 1, 4])
        scores = fitted.score(queries)
        assert scores.shape == (5, given.num_candidates) == (5, fitted.num_candidates)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(scores[0], scores[4])

    def test_some_query_tells_candidates_apart(self, given, fitted):
        assert np.ptp(fitted.score(np.arange(given.num_queries)), axis=1).max() > 0

    def test_no_queries_give_no_rows(self, given, fitted):
        assert fitted.score(np.array([], dtype=np.int64)).shape == (0, given.num_candidates)

    def test_scores_of_a_query_do_not_depend_on_the_others_asked(self, given, fitted):
        together = fitted.score(np.arange(given.num_queries))
        for query in range(0, given.num_queries, 7):
            np.testing.assert_array_equal(fitted.score(np.array([query]))[0], together[query])

    def test_a_pool_of_candidates_gets_the_scores_that_it_has_among_all(self, given, fitted):
        queries = np.arange(given.num_queries)
        pool = np.array([0, 3, 8, given.num_candidates - 1])
        narrow = fitted.restricted(pool)
        assert narrow.num_candidates == 4 and narrow.method == fitted.method
        # the order of summation in a product may depend on its width
        expected = fitted.score(queries)[:, pool]
        np.testing.assert_allclose(narrow.score(queries), expected, rtol=1e-5, atol=1e-6)
        assert fitted.score(queries[:1]).shape == (1, given.num_candidates)

    def test_score_pairs_equals_score(self, given, fitted):
        random = np.random.default_rng(1)
        queries = random.integers(0, given.num_queries, 60)
        candidates = random.integers(0, given.num_candidates, 60)
        expected = fitted.score(queries)[np.arange(60), candidates]
        found = fitted.score_pairs(queries, candidates)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)

    def test_same_seed_gives_the_same_scores(self, given, fitted):
        queries = np.arange(given.num_queries)
        again = self.make(self.problem(), seed=3)
        np.testing.assert_array_equal(again.score(queries), fitted.score(queries))

    def test_another_seed_differs_exactly_where_the_method_is_seeded(self, given, fitted):
        queries = np.arange(given.num_queries)
        other = self.make(given, seed=4).score(queries)
        assert np.array_equal(other, fitted.score(queries)) != self.is_seeded

    def test_parquet_round_trip_keeps_every_bit(self, given, fitted):
        queries = np.arange(given.num_queries)
        loaded = type(fitted).load(given, parquet_reader(fitted.tables()))
        assert loaded.num_candidates == fitted.num_candidates
        np.testing.assert_array_equal(loaded.score(queries), fitted.score(queries))
        types, again = fitted.type_scores(queries), loaded.type_scores(queries)
        assert (types is None) == (again is None)
        if types is not None:
            assert types.shape == (given.num_queries, given.num_types)
            assert types.dtype == np.float32
            np.testing.assert_array_equal(again, types)

    def test_loaded_model_stores_the_same_tables(self, given, fitted):
        tables = fitted.tables()
        loaded = type(fitted).load(given, parquet_reader(tables)).tables()
        assert loaded.keys() == tables.keys()
        assert all(loaded[name].equals(tables[name]) for name in tables)

    def test_member_names_start_with_the_method(self, fitted):
        start = fitted.method.replace("-", "_")
        for name in fitted.tables():
            assert re.fullmatch(start + r"_[a-z0-9_]+", name)

    def test_a_product_that_comes_later_scores_as_if_it_had_been_there(self, given, fitted):
        if not self.is_square:
            pytest.skip("sellers are not products")
        known, n = without_last(given), given.num_candidates
        tables = without_last_rows(fitted.tables(), n)
        model = type(fitted).load(known, parquet_reader(tables))
        assert model.num_candidates == n - 1
        if not self.knows_new:
            with pytest.raises(UsageError, match=f"--products: {fitted.method} knows only"):
                model.extended(given)
            return
        extended = model.extended(given)
        assert extended.num_candidates == n
        queries = np.arange(n)
        expected = fitted.score(queries)
        np.testing.assert_allclose(extended.score(queries), expected, rtol=2e-5, atol=1e-6)
        types = fitted.type_scores(queries)
        if types is not None:
            np.testing.assert_allclose(extended.type_scores(queries), types, rtol=1e-6)
        again = type(fitted).load(given, parquet_reader(extended.tables()))
        np.testing.assert_array_equal(again.score(queries), extended.score(queries))

    def test_fit_leaves_the_problem_as_it_was(self):
        problem, untouched = self.problem(), self.problem()
        self.make(problem)
        assert (problem.matrix != untouched.matrix).nnz == 0
        np.testing.assert_array_equal(problem.vectors, untouched.vectors)
        np.testing.assert_array_equal(problem.types, untouched.types)

    def test_a_single_candidate_can_be_scored(self):
        if not self.takes_tiny:
            pytest.skip("needs more than one candidate")
        weights = [[1]] if self.is_square else [[1], [1], [0]]
        fitted = self.make(tiny_problem(weights, is_square=self.is_square))
        scores = fitted.score(np.arange(len(weights)))
        assert scores.shape == (len(weights), 1)
        assert np.isfinite(scores).all()

    def test_a_single_query_can_be_scored(self):
        if not self.takes_tiny or self.is_square:
            pytest.skip("queries and candidates are the same products")
        scores = self.make(tiny_problem([[1, 0, 1]], is_square=False)).score(np.array([0]))
        assert scores.shape == (1, 3)
        assert np.isfinite(scores).all()

    def test_a_problem_without_pairs_can_be_scored(self):
        if not self.takes_tiny:
            pytest.skip("needs pairs to learn from")
        problem = tiny_problem(np.zeros((3, 3)), is_square=self.is_square)
        assert np.isfinite(self.make(problem).score(np.arange(3))).all()
