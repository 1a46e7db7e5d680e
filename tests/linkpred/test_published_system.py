"""The seller article's rules, each where it takes effect: on the way from tables to answers.

Sampling itself is tested in tests/graph, and vectors in test_encoder; here that training uses them.
"""

import inspect

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools import answers, tables
from cprtools.baselines import Problem
from cprtools.cli.build_graph import build_graph as build_graph_command
from cprtools.cli.recommend import recommend
from cprtools.cli.train_linkpred import train_linkpred
from cprtools.graph import GraphInputs, build_graph
from cprtools.graph.homogeneous import BOUGHT_WITH, LISTS
from cprtools.linkpred import recipe, training
from cprtools.linkpred.model import GraphModel
from cprtools.linkpred.options import TrainingOptions
from cprtools.linkpred.problem import build_problem
from cprtools.ranking import TwoStage
from cprtools.ranking.calibration import Calibration
from tests.training.few_steps import few_steps

# seller 0 lists products 0 to 5, of which 4 and 5 are in high demand; its views fall
LISTINGS = np.array([[1, 1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1]], dtype=np.float32)
HOT = np.array([False, False, False, False, True, True, True, False])
VIEWS = LISTINGS * np.array([9, 8, 7, 6, 5, 4, 3, 2], dtype=np.float32)


def small_problem():
    together = np.zeros((8, 8), dtype=np.float32)
    together[0, 1] = together[1, 0] = together[6, 7] = together[7, 6] = 3
    return Problem(
        csr_matrix(LISTINGS),
        np.zeros(8, dtype=np.int64),
        1,
        vectors=np.eye(8, dtype=np.float32),
        is_candidate=HOT,
        co_purchases=csr_matrix(together),
    )


@pytest.fixture
def trainers(monkeypatch):
    """Every Trainer that a fit makes, in the order made."""
    made = []

    class Kept(training.Trainer):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(self)

        def finish(self):
            """Keep what the tests look at."""

    monkeypatch.setattr(training, "Trainer", Kept)
    return made


def command_options():
    """Options of `fit` that the command's own defaults stand for."""
    names = inspect.signature(recipe.method_options).parameters
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(train_linkpred).parameters.items()
        if name in names or name in TrainingOptions.__dataclass_fields__
    }
    method = defaults.pop("method")
    return recipe.method_options(method, **defaults)


def fitted(trainers, **options):
    with few_steps():
        GraphModel.fit(
            small_problem(), views=csr_matrix(VIEWS), validation=0.0, epochs=1, **options
        )
    return trainers[-1]


def test_roots_are_listings_of_high_demand_and_of_the_sellers_three_most_viewed(trainers):
    trainer = fitted(trainers)
    graph, edges = trainer.graph, trainer.batches.edges
    assert (graph.relations == BOUGHT_WITH).any()
    assert set(graph.relations[edges]) == {LISTS}
    roots = {(int(graph.sources[e]), int(graph.destinations[e]) - 2) for e in edges}
    # 0, 1 and 2 are the most viewed, 4 and 5 in high demand, 3 neither; the second seller has two
    assert roots == {(0, 0), (0, 1), (0, 2), (0, 4), (0, 5), (1, 6), (1, 7)}


def test_every_one_of_four_layers_draws_three_neighbours_in_all(trainers):
    options = command_options()
    for defaults in (TrainingOptions(), TrainingOptions.checked(options)):
        assert defaults.fanouts() == [3, 3, 3, 3]
    trainer = fitted(trainers, **options)
    assert trainer.sampler.fanout == [3, 3, 3, 3]
    assert len(trainer.encoder.layers) == 4
    blocks = trainer.sampler.sample(torch.arange(10), torch.tensor([], dtype=torch.int64))
    assert [int(torch.bincount(block.target).max()) for block in blocks] == [3] * 4
    assert options["sampling"] == "stratified"


def test_what_a_batch_predicts_carries_no_message_and_is_in_no_sellers_vector(trainers):
    trainer = fitted(trainers)
    seen, left_out = [], []
    sample, features = trainer.sampler.sample, trainer.features.forward

    def sampled(roots, supervision):
        blocks = sample(roots, supervision)
        hidden = torch.cat([supervision, torch.from_numpy(trainer.graph.reverse)[supervision]])
        seen.append(any(torch.isin(block.edge, hidden).any() for block in blocks))
        left_out.append(supervision)
        return blocks

    trainer.sampler.sample = sampled
    given = []
    trainer.features.forward = lambda edges=None: given.append(edges) or features(edges)
    batch = trainer.batches.draw()
    trainer.step(batch)
    assert len(batch.edges) > 0 and seen == [False]
    assert torch.equal(left_out[0], batch.edges) and torch.equal(given[0], batch.edges)


def test_page_views_reach_the_sellers_vector(trainers):
    trainer = fitted(trainers)
    found = trainer.features()[1].detach()
    # products 6 and 7 with 3 and 2 views
    expected = np.array([3, 2]) / np.hypot(3, 2)
    np.testing.assert_allclose(found[6:] / found.norm(), expected, atol=1e-6)


def built_from_tables(folder, **options):
    """A market of two categories: s1 lists more of A, and more of its views are of B."""
    ts = pa.array(["2024-01-05"] * 4 + ["2024-12-05"] * 4).cast(pa.timestamp("us"))
    given = {
        "listings": (
            {"seller_id": ["s1"] * 3 + ["s2"], "product_id": ["a1", "a2", "b1", "b2"]},
            tables.LISTINGS,
        ),
        "products": (
            {"product_id": ["a1", "a2", "b1", "b2"], "category": ["A", "A", "B", "B"]},
            tables.PRODUCTS,
        ),
        "views": (
            # s1's views were of A a year ago, and are of B now
            {"product_id": ["a1", "a2", "b1", "b2"] * 2, "views": [90, 90, 1, 1, 2, 2, 9, 1],
             "ts": ts},
            tables.PAGE_VIEWS,
        ),
    }  # fmt: skip
    sources = {}
    for name, (columns, spec) in given.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        sources[name] = tables.open_table(str(folder / f"{name}.parquet"), spec)
    nodes, edges, _ = build_graph(GraphInputs(**sources), **options)
    footer = tables.Footer()
    tables.write_folder({"nodes": nodes, "edges": edges}, str(folder / "graph"), "graph", footer)
    return build_problem(tables.open_folder(str(folder / "graph"), ("graph",)))


def test_views_of_the_last_months_decide_the_primary_category(tmp_path):
    recent = built_from_tables(tmp_path, views_months=3)
    # of the views of s1 since then 9/13 are of B, of its listings 2/3 of A
    assert recent.seller_table().column("primary_category").to_pylist() == ["B", "B"]
    ids = recent.catalogue.ids.to_pylist()
    row = dict(zip(ids, recent.views.toarray()[0].tolist(), strict=True))
    assert row == {"a1": 2, "a2": 2, "b1": 9, "b2": 0}
    whole = built_from_tables(tmp_path, views_months=12)
    # of 2024's views 184/194 are of A
    assert whole.seller_table().column("primary_category").to_pylist() == ["A", "B"]
    assert inspect.signature(build_graph_command).parameters["views_months"].default == 12


def test_the_fit_sees_the_views_of_the_listings_that_it_sees(tmp_path, monkeypatch):
    built = built_from_tables(tmp_path)
    seen = []

    def fit(problem, *, views, **options):
        seen.append((problem.matrix.toarray(), views.toarray()))
        raise RuntimeError

    monkeypatch.setattr(GraphModel, "fit", fit)
    with pytest.raises(RuntimeError):
        recipe.train(built, "gnn")
    matrix, views = seen[0]
    np.testing.assert_array_equal(views, built.views.toarray() * (matrix > 0))
    assert views.any()


@pytest.mark.parametrize(
    ("method", "with_ranker", "share"), [("gnn", True, 0.1), ("gnn", False, 0), ("mf", True, 0)]
)
def test_only_a_ranker_meets_products_as_if_nobody_listed_them(
    tmp_path, monkeypatch, method, with_ranker, share
):
    built, seen = built_from_tables(tmp_path), []

    def hold_out(problem, *, products, purchases_at_sellers, seed):
        seen.append((products, purchases_at_sellers))
        raise RuntimeError

    monkeypatch.setattr(recipe, "hold_out_listings", hold_out)
    for at_sellers in (False, True):
        with pytest.raises(RuntimeError):
            recipe.train(built, method, with_ranker=with_ranker, purchases_at_sellers=at_sellers)
    assert seen == [(share, False), (share, True)]


def test_products_met_as_new_weigh_what_is_held_out_of_the_others(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(recipe, "share_held_out", lambda *_: 0.25)
    monkeypatch.setattr(recipe, "fit_two_stage", lambda *_, **named: given.append(named))
    recipe.train(built_from_tables(tmp_path), "gnn")
    assert given[0]["drawn_as_new"].weight == 0.25


@pytest.mark.parametrize(
    ("share", "by_chance", "asks"), [(0.94, 0.1, 0), (0.96, 0.5, 1), (0.98, 0.51, 0)]
)
def test_where_sellers_and_not_chance_explain_the_co_purchases_training_asks(
    tmp_path, monkeypatch, share, by_chance, asks
):
    built, said = built_from_tables(tmp_path), []
    monkeypatch.setattr(recipe, "shares_at_sellers", lambda problem: (share, by_chance))
    monkeypatch.setattr(recipe, "fit_two_stage", lambda *given, **options: None)
    for at_sellers in (False, True):
        recipe.train(built, "gnn", purchases_at_sellers=at_sellers, say=said.append)
    recipe.train(built, "mf", say=said.append)
    assert [line.count("--purchases-at-sellers") for line in said] == [1] * asks


class Scored(GraphModel):
    """A model of fixed scores."""

    def __init__(self, scores):
        self.scores = scores

    def score(self, query_idx):
        return self.scores[query_idx]


def test_an_answer_holds_what_is_at_least_as_likely_as_not_in_the_primary_category(tmp_path):
    built = built_from_tables(tmp_path, views_months=3)
    line = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    ids = built.catalogue.ids.to_pylist()
    scores = np.array([[0.9 if i[0] == "a" else 0.6 for i in ids], [0.5, 0.5, 0.5, 0.5]])
    scores[1, ids.index("b1")] = 0.49
    stage = TwoStage(
        built.problem, {"gnn": Scored(scores.astype(np.float32))}, calibration=line,
        retrieval_calibration=line,
    )  # fmt: skip
    model = answers.Model(None, stage, built.catalogue, built.seller_table())
    request = answers.SellerRequest()
    rows = pa.concat_tables(answers.recommend_products(model, np.array([0, 1]), request))
    # s1 sells B and lists b1; b1 is less likely than not to suit s2
    assert [(r["seller_id"], r["product_id"]) for r in rows.to_pylist()] == [("s1", "b2")]
    scores[1, ids.index("b1")] = 0.5
    stage.sources["gnn"].scores = scores.astype(np.float32)
    rows = pa.concat_tables(answers.recommend_products(model, np.array([1]), request))
    assert rows.column("product_id").to_pylist() == ["b1"]
    asked = inspect.signature(recommend).parameters
    assert asked["threshold"].default == 0.5 and asked["category"].default is None
