"""Two stages: what is retrieved, and that the ranker joins its sources."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Popularity, Problem
from cprtools.baselines.contract import Recommender
from cprtools.ranking import Collected, DrawnAsNew, Evidence, Settings, TwoStage, fit_two_stage
from cprtools.ranking.holdout import (
    hold_out_listings,
    hold_out_pairs,
    unlisted_by_draw,
)
from cprtools.ranking.two_stage import at_equal_prior, candidate_pool, known_first, known_mask
from cprtools.retrieval import Pool


class Fixed(Recommender):
    """Scores that were decided beforehand."""

    method = "fixed"

    def __init__(self, scores):
        self.scores = scores.astype(np.float32)

    @classmethod
    def fit(cls, problem, *, seed=0, **options):
        return cls(options["scores"])

    def score(self, query_idx):
        return self.scores[query_idx].copy()

    def tables(self):
        return {}

    @classmethod
    def load(cls, problem, read):
        raise ValueError

    @property
    def num_candidates(self):
        return self.scores.shape[1]


def market(sellers=120, products=300, seed=0):
    """Listings that follow two hidden signals, each seen by one source only."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, sellers, products))
    wanted = first + second + 0.3 * rng.normal(size=(sellers, products))
    listed = wanted > np.quantile(wanted, 0.93, axis=1, keepdims=True)
    problem = Problem(
        matrix=csr_matrix(listed.astype(np.float32)),
        types=np.zeros(products, dtype=np.int64),
        num_types=1,
    )
    return problem, {"first": Fixed(first), "second": Fixed(second)}


def recall(stage, problem, positives, k=20):
    queries = np.arange(problem.num_queries)
    lists = stage.lists(queries, known_mask(problem, queries, candidate_pool(problem)), k)
    hits = [
        np.isin(cols[:k], positives[[row]].indices).sum() / min(k, positives[[row]].nnz)
        for row, (cols, _) in enumerate(lists)
    ]
    return float(np.mean(hits))


@pytest.mark.parametrize("with_ranker", [True, False])
def test_sources_of_the_part_are_gone_when_those_of_all_pairs_are_fitted(with_ranker):
    problem, sources = market(sellers=60)
    fits = []

    def fit(given):
        gc.collect()
        alive = [name for known in fits for name in known if name() is not None]
        made = {name: Fixed(source.scores) for name, source in sources.items()}
        fits.append([weakref.ref(source) for source in made.values()])
        # as large as those that come now: they would not fit in memory together
        assert not alive
        return made

    part = hold_out_listings(problem, seed=0)
    fit_two_stage(problem, [part], fit, with_ranker=with_ranker, seed=0)
    assert len(fits) == 2


def test_the_ranker_joins_two_sources_and_beats_either():
    problem, sources = market()
    train, test = hold_out_listings(problem, seed=1)
    inner, positives = hold_out_listings(train, seed=2)
    stage = fit_two_stage(train, [(inner, positives)], lambda _: sources, seed=0)
    joined = recall(stage, train, test)
    for name, source in sources.items():
        assert joined > 1.2 * recall(TwoStage(train, {name: source}), train, test)


def test_odds_before_evidence_are_in_proportion_to_a_sellers_listings():
    # log-odds 2 of a seller with 1 listing, and of one with 9
    features = np.log(np.array([[7.0, 1 + 1], [7.0, 1 + 9]], dtype=np.float32))
    scores = at_equal_prior(np.array([2.0, 2.0]), features, ("mf", "query_degree"))
    np.testing.assert_allclose(scores, [2 - np.log(2), 2 - np.log(10)], rtol=1e-6)


# with few trees the number of listings must not be all that counts
@pytest.mark.parametrize("num_trees", [150, 6])
def test_small_sellers_get_likely_products_too(num_trees):
    rng = np.random.default_rng(0)
    sizes = np.repeat([8, 80], 100)
    signal = rng.normal(size=(200, 300))
    wanted = signal + 0.5 * rng.normal(size=signal.shape)
    rank = np.argsort(np.argsort(-wanted, axis=1), axis=1)
    listed = csr_matrix((rank < sizes[:, None]).astype(np.float32))
    problem = Problem(matrix=listed, types=np.zeros(300, dtype=np.int64), num_types=1)
    inner, positives = hold_out_listings(problem, seed=1)
    few = Settings(num_trees=num_trees)
    stage = fit_two_stage(
        problem, [(inner, positives)], lambda _: {"fixed": Fixed(signal)}, settings=few, seed=0
    )
    queries = np.arange(200)
    lists = stage.lists(queries, known_mask(problem, queries, candidate_pool(problem)), 50)
    likely = np.array([(stage.calibration.apply(s[:50]) >= 0.5).sum() for _, s in lists])
    # ten times the listings, hence ten times the odds: their own prior would leave these none
    assert (likely[sizes == 8] >= 3).mean() > 0.8
    assert (likely[sizes == 80] >= 3).mean() > 0.8


def test_the_curve_leaves_out_candidates_that_are_met_in_learning_alone():
    problem, sources = market()
    part = hold_out_listings(problem, products=0.3, seed=1)
    drawn = unlisted_by_draw(problem, part[0], seed=1)

    def fit(left_out):
        new = None if left_out is None else DrawnAsNew(left_out, 1.0)
        return fit_two_stage(problem, [part], lambda _: sources, drawn_as_new=new, seed=0)

    whole, usual, none = (fit(left_out) for left_out in (None, drawn, np.ones_like(drawn)))
    # each held-out listing of a drawn product is one more than where the model is used
    for name in ("calibration", "retrieval_calibration"):
        assert getattr(none, name) is None
        scores = getattr(whole, name).scores
        curves = [getattr(stage, name).apply(scores) for stage in (whole, usual)]
        assert not np.allclose(*curves, atol=0.01)
    # the ranker learns from them all
    queries = np.arange(10)
    allowed = known_mask(problem, queries, candidate_pool(problem))
    for left, right in zip(*(s.lists(queries, allowed, 20) for s in (whole, none)), strict=True):
        assert (left[0] == right[0]).all()
        assert (left[1] == right[1]).all()
    np.testing.assert_array_equal(whole.trees.feature, none.trees.feature)
    np.testing.assert_array_equal(whole.trees.value, none.trees.value)


def test_the_curve_of_popularity_is_one_of_its_own_scores():
    # there is a piece of evidence of that name, on another scale
    problem, _ = market()
    part = hold_out_listings(problem, seed=1)
    sources = {"popularity": Popularity.fit(part[0])}
    stage = fit_two_stage(problem, [part], lambda _: sources, with_ranker=False)
    counts = np.asarray(part[0].matrix.sum(axis=0)).ravel()
    np.testing.assert_allclose(stage.calibration.scores.max(), counts.max())
    # and it tells the first of a list from the last
    best = np.sort(counts)[::-1][[0, 99]]
    likely, unlikely = stage.calibration.apply(best)
    assert likely > unlikely


def test_scores_rise_down_to_the_fill_and_lists_hold_only_what_is_allowed():
    problem, sources = market(sellers=20)
    inner, positives = hold_out_listings(problem, seed=2)
    small = Settings(per_source=5, num_trees=5)
    stage = fit_two_stage(problem, [(inner, positives)], lambda _: sources, settings=small)
    queries = np.arange(20)
    allowed = known_mask(problem, queries, candidate_pool(problem))
    allowed[:, ::2] = False
    for row, (cols, scores) in enumerate(stage.lists(queries, allowed, 50)):
        assert len(cols) == len(set(cols.tolist())) == 50
        assert allowed[row, cols].all()
        assert (np.diff(scores) <= 0).all()


def test_a_list_is_as_long_as_what_is_left():
    problem, sources = market(sellers=5)
    stage = TwoStage(problem, sources)
    allowed = np.zeros((5, 300), dtype=bool)
    allowed[:, [3, 7]] = True
    for cols, _ in stage.lists(np.arange(5), allowed, 10):
        assert sorted(cols.tolist()) == [3, 7]


def test_sources_are_refitted_on_everything_after_the_ranker():
    problem, sources = market(sellers=30)
    inner, positives = hold_out_listings(problem, seed=0)
    seen = []
    fit_two_stage(problem, [(inner, positives)], lambda p: seen.append(p.matrix.nnz) or sources)
    assert seen == [inner.matrix.nnz, problem.matrix.nnz]
    assert inner.matrix.nnz + positives.nnz == problem.matrix.nnz


def test_known_pairs_the_query_and_similar_products_are_masked():
    similar = csr_matrix(([True, True], ([0, 3], [3, 0])), shape=(4, 4))
    matrix = csr_matrix(([1.0], ([0], [1])), shape=(4, 4), dtype=np.float32)
    problem = Problem(matrix, np.zeros(4, np.int64), 1, similar=similar, is_square=True)
    assert known_mask(problem, np.array([0]), candidate_pool(problem))[0].tolist() == [
        False,
        False,
        True,
        False,
    ]


def test_seller_evidence_counts_by_hand():
    # the seller lists products 0, 1, 2; brands are 0, 0, 1, 0 and unknown
    problem = Problem(
        matrix=csr_matrix(np.array([[1, 1, 1, 0, 0]], dtype=np.float32)),
        types=np.array([0, 0, 0, 0, 0]),
        num_types=1,
        attributes={"brand": np.array([0, 0, 1, 0, -1])},
        vectors=np.eye(5, dtype=np.float32)[[0, 1, 2, 0, 4]],
    )
    scores = {"s": np.array([[0, 0, 0, 2.0, 4.0]], dtype=np.float32)}
    one = np.array([0])
    columns = Evidence(problem, {}, Pool.all_of(problem.num_candidates)).features(
        one, np.array([0, 0]), np.array([3, 4]), scores
    )
    assert columns["share_brand"].tolist() == pytest.approx([2 / 3, 0])
    assert columns["range_brand"].tolist() == pytest.approx([2 / 3, 0])
    assert columns["listed_brand"].tolist() == pytest.approx([np.log(3), 0])
    assert columns["s_relative"].tolist() == pytest.approx([2 / 4, 1])
    # product 3 has the vector of product 0
    assert columns["text_nearest"].tolist() == pytest.approx([1, 0])
    assert columns["text_mean"].tolist() == pytest.approx([1 / 3, 0])


def test_seller_evidence_of_texts_prices_and_joint_purchases_by_hand():
    # the seller lists products 0 to 3; one of their prices is unknown
    angles = np.radians([0, 60, 90, 120, 0, 180])
    together = np.zeros((6, 6), dtype=np.float32)
    together[0, 4] = together[4, 0] = 3
    together[1, 4] = together[4, 1] = 2
    together[5, 4] = together[4, 5] = 7
    problem = Problem(
        matrix=csr_matrix(np.array([[1, 1, 1, 1, 0, 0]], dtype=np.float32)),
        types=np.zeros(6, dtype=np.int64),
        num_types=1,
        vectors=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32),
        prices=np.array([10, 40, 20, np.nan, 5, 80], dtype=np.float32),
        co_purchases=csr_matrix(together),
    )
    columns = Evidence(problem, {}, Pool.all_of(6)).features(
        np.array([0]), np.array([0, 0]), np.array([4, 5]), {}
    )
    # cosines 1, 1/2, 0, -1/2 of product 4, and of product 5 these with the other sign
    assert columns["text_nearest"].tolist() == pytest.approx([1, 1 / 2])
    assert columns["text_three"].tolist() == pytest.approx([1 + 1 / 2, 0], abs=1e-6)
    assert columns["text_mean"].tolist() == pytest.approx([1 / 4, -1 / 4])
    # from the geometric mean of 10, 40 and 20: a quarter of it and four times as much
    assert columns["price_ratio"].tolist() == pytest.approx([np.log(4), np.log(4)])
    assert columns["bought_with_listed"].tolist() == [3 + 2, 0]
    assert columns["bought_with_listed_relative"].tolist() == [1, 0]


def test_complement_evidence_counts_by_hand():
    # 0 is bought with 1; 2 is bought with 1 and 3: 2 lends its complement 3 to 0
    matrix = np.zeros((4, 4), dtype=np.float32)
    matrix[0, 1] = matrix[2, 1] = matrix[2, 3] = 1
    views = np.zeros((4, 4), dtype=np.float32)
    views[0, 2] = 5
    problem = Problem(
        matrix=csr_matrix(matrix),
        types=np.array([0, 1, 0, 1]),
        num_types=2,
        attributes={"brand": np.array([7, -1, 0, 7])},
        prices=np.array([10, 1, 10, 20], dtype=np.float32),
        co_views=csr_matrix(views),
        is_square=True,
    )
    pair = np.array([0]), np.array([0]), np.array([3])
    columns = Evidence(problem, {}, Pool.all_of(problem.num_candidates)).features(*pair, {})
    assert columns["similar_queries"][0] == pytest.approx(1 / np.sqrt(1 * 2))
    assert columns["co_viewed"][0] == pytest.approx(1)
    assert columns["same_brand"][0] == 1
    assert columns["same_type"][0] == 0
    assert columns["price_ratio"][0] == pytest.approx(np.log(20 / 10))
    # nothing is bought after 0 is
    assert columns["siblings"][0] == 0


def test_ids_outside_leave_with_the_queries_that_are_held_out():
    n = 40
    matrix = csr_matrix(np.ones((n, n), np.float32) - np.eye(n, dtype=np.float32))
    context = csr_matrix(np.ones((n, 3), np.float32))
    problem = Problem(
        matrix=matrix, types=np.zeros(n, np.int64), num_types=1, context=context, is_square=True
    )

    inner, _ = hold_out_pairs(problem, pairs=0.1, queries=0.2, products=0.2, seed=0)

    silent = np.diff(inner.matrix.indptr) == 0
    assert 0 < silent.sum() < n
    assert (np.diff(inner.context.indptr)[silent] == 0).all()
    assert (np.diff(inner.context.indptr)[~silent] == 3).all()


def test_with_few_pairs_others_are_held_out_too_and_learnt_from():
    problem, sources = market(sellers=20)
    seen = []

    def parts():
        for seed in range(10):
            inner, positives = hold_out_listings(problem, seed=seed)
            seen.append(positives.nnz)
            yield inner, positives

    def fit(enough):
        seen.clear()
        settings = Settings(num_trees=5, enough_pairs=enough)
        return fit_two_stage(problem, parts(), lambda _: sources, settings=settings)

    fit(1)
    assert len(seen) == 1
    # all candidates are retrieved here: every held-out pair is among them
    fit(seen[0] + 1)
    assert len(seen) == 2
    stage = fit(10**9)
    assert len(seen) == Settings().max_parts
    assert stage.trees is not None


def test_evidence_of_several_draws_keeps_its_lists_apart():
    def part(value, counts, groups, cols):
        features = np.full((len(counts), 1), value, np.float32)
        return Collected(features, np.array(counts, np.float32), np.array(groups), np.array(cols))

    first, second = part(0, [1, 0], [0, 7], [3, 4]), part(1, [1], [7], [5])
    joined, queries = Collected.joined([first, second])
    # query 7 has a list in each draw, which two folds must not share
    assert joined.groups.tolist() == [0, 7, 8 + 7]
    assert queries.tolist() == [0, 7, 7]
    assert joined.cols.tolist() == [3, 4, 5]
    assert joined.features[:, 0].tolist() == [0, 0, 1]


def test_a_complement_bought_once_is_six_log_odds_ahead_of_a_guess():
    bought = np.log1p(np.array([[0], [1], [4]], dtype=np.float32))
    expected = [0, 6 + np.log(2), 6 + np.log(5)]
    np.testing.assert_allclose(known_first(bought, ("bought",)), expected, rtol=1e-6)


def test_of_a_pair_known_both_ways_the_reverse_says_nothing():
    names = ("bought", "reverse", "reverse_confidence", "text")
    trees = SimpleNamespace(names=names, start={})
    features = np.array([[0, 2, 0.5, 1], [3, 2, 0.5, 1], [3, 0, 0, 1]], dtype=np.float32)
    kept = [[0, 2, 0.5, 1], [3, 0, 0, 1], [3, 0, 0, 1]]
    square = Problem(csr_matrix((2, 2), dtype=np.float32), np.full(2, -1), 0, is_square=True)
    stage = TwoStage(square, {"popularity": Popularity.fit(square)})
    assert stage._as_learnt(trees, features).tolist() == kept
    # who learnt from known pairs knows what it means
    trees.start = {"expected": 1.0}
    assert stage._as_learnt(trees, features) is features
