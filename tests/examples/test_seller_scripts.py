"""What the scripts about sellers measure: by hand, and against plain loops."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.graph.homogeneous import make_graph

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reliability():
    return load("reliability")


@pytest.fixture(scope="module")
def ablation():
    return load("ablation_sellers")


def recommendations(rows):
    sellers, products, affinities = zip(*rows, strict=True)
    return pa.table(
        {"seller_id": list(sellers), "product_id": list(products), "affinity": list(affinities)}
    )


def listings(rows):
    sellers, products = zip(*rows, strict=True)
    return pa.table({"seller_id": list(sellers), "product_id": list(products)})


def test_precision_at_equal_prior_and_raw_worked_by_hand(reliability):
    # 2 true: one of them shown; 4 false: one shown; seller S2 has nothing held out
    recs = recommendations(
        [
            ("S1", "a", 0.9),
            ("S1", "b", 0.7),
            ("S1", "c", 0.4),
            ("S1", "d", 0.3),
            ("S1", "e", 0.2),
            ("S1", "f", 0.1),
            ("S2", "a", 0.8),
        ]
    )
    truth = listings([("S1", "a"), ("S1", "c")])
    at_equal, raw = reliability.precisions(recs, truth, 0.5)
    assert at_equal == pytest.approx((1 / 2) / (1 / 2 + 1 / 4))
    assert raw == pytest.approx(1 / 2)


def test_sellers_with_ten_answers_are_a_share_of_all_sellers(reliability):
    rows = [("S1", f"p{i}", 0.5) for i in range(10)] + [("S2", f"p{i}", 0.6) for i in range(9)]
    rows += [("S2", "p9", 0.49)]
    train = listings([("S1", "x"), ("S2", "x"), ("S3", "x")])
    assert reliability.answered(recommendations(rows), train, 0.5) == pytest.approx(1 / 3)


def test_every_neighbour_is_every_edge_that_is_not_predicted(ablation):
    rng = np.random.default_rng(0)
    graph = make_graph(csr_matrix((rng.random((8, 20)) < 0.4).astype(np.float32)))
    roots, predicted = torch.arange(graph.num_nodes), torch.tensor([1, 7, 30])
    block = ablation.EveryNeighbour(graph, [3]).sample(roots, predicted)[0]
    hidden = set(predicted.tolist()) | set(graph.reverse[predicted].tolist())
    assert sorted(block.edge.tolist()) == sorted(set(range(graph.num_edges)) - hidden)
    node = block.nodes[block.target]
    assert node.tolist() == [graph.destinations[edge] for edge in block.edge.tolist()]


def test_a_fanout_per_relation_counts_each_relation_of_its_own(ablation):
    rng = np.random.default_rng(1)
    together = np.triu(rng.random((20, 20)) < 0.4, 1).astype(np.float32)
    listings = csr_matrix((rng.random((8, 20)) < 0.5).astype(np.float32))
    graph = make_graph(listings, csr_matrix(together + together.T))
    nothing = torch.tensor([], dtype=torch.int64)
    sampler = ablation.PerRelation(graph, [3])
    block = sampler.sample(torch.arange(graph.num_nodes), nothing)[0]
    for node in range(graph.num_nodes):
        drawn = block.edge[block.target == node].numpy()
        assert len(set(drawn)) == len(drawn)
        for relation in range(3):
            known = (graph.destinations == node) & (graph.relations == relation)
            assert (graph.relations[drawn] == relation).sum() == min(3, known.sum())


def test_rows_take_additional_nodes_out_and_say_which_the_data_allow(ablation):
    matrix = csr_matrix(np.array([[1, 1, 0], [0, 1, 1]], dtype=np.float32))
    bought = csr_matrix(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    kinds = np.zeros(3, dtype=np.int64)
    demand = np.array([True, False, True])
    problem = Problem(matrix, kinds, 1, is_candidate=demand, co_purchases=bought)
    small = ablation.without_additional(problem)
    assert small.matrix.toarray().tolist() == [[1, 0, 0], [0, 0, 1]]
    assert small.co_purchases is None
    assert list(ablation.graph_rows(problem)) == [
        "gnn, random initial vectors, uniform sampling",
        "+ additional nodes and co-purchases",
        "+ stratified sampling",
    ]
    everything = Problem(matrix, kinds, 1, vectors=np.ones((3, 2), dtype=np.float32))
    assert list(ablation.graph_rows(everything)) == [
        "gnn, random initial vectors, uniform sampling",
        "+ features",
        "+ stratified sampling",
    ]
