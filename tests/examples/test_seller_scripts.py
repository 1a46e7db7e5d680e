"""What the scripts about sellers measure: by hand, and against plain loops."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.graph.homogeneous import make_graph
from cprtools.ranking import Collected, Settings, TwoStage
from tests import forking

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    # scripts may import each other, as when they are run
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
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


@pytest.fixture(scope="module")
def evidence():
    return load("ablation_evidence")


class Named(TwoStage):
    """A stage that is only asked for its names."""

    def feature_names(self):
        return ("gnn", "mf", "popularity")


def world(evidence, per_source):
    """Two sellers with three candidates each; seller 0 has two listings to find, seller 1 one."""
    problem = Problem(csr_matrix((2, 3), dtype=np.float32), np.zeros(3, dtype=np.int64), 1)
    columns = [[3, 1, 0], [2, 2, 0], [1, 3, 0], [1, 9, 0], [2, 8, 0], [3, 7, 0]]
    counts = np.array([1, 0, 0, 0, 0, 1], dtype=np.float32)
    features, cols = np.array(columns, dtype=np.float32), np.tile(np.arange(3), 2)
    found = Collected(features, counts, np.repeat([0, 1], 3), cols)
    stage = Named(problem, {"gnn": None, "mf": None}, settings=Settings(per_source=per_source))
    return evidence.World(stage, found, found, np.array([2.0, 1.0]), 0)


def test_recall_counts_what_was_never_retrieved_by_hand(evidence, monkeypatch):
    monkeypatch.setattr(evidence, "KS", (1, 2))
    made = world(evidence, 2)
    by_gnn = made.judged.features[:, 0].astype(float)
    # each seller's first by gnn is true; seller 0's other listing is no candidate at all
    np.testing.assert_allclose(made.recalls(by_gnn), [[1 / 1, 1 / 2], [1 / 1, 1 / 1]])
    # what was not retrieved in a row, -inf here, is not found however long the list
    nothing = np.full(6, -np.inf)
    np.testing.assert_allclose(made.recalls(nothing), np.zeros((2, 2)))


def test_a_row_without_a_source_loses_what_only_that_source_found(evidence):
    made = world(evidence, 1)
    assert made.retrieved(made.judged, ["gnn"]).tolist() == [True, False, False, False, False, True]
    assert made.retrieved(made.judged, ["mf"]).tolist() == [False, False, True, True, False, False]
    both = made.retrieved(made.judged, ["gnn", "mf"])
    assert both.tolist() == [True, False, True, True, False, True]


def test_rows_name_each_source_and_each_kind_of_evidence(evidence):
    rows = evidence.left_out(world(evidence, 1))
    names = ("gnn", "mf", "popularity")
    dropped = {label: [name for name in names if drop(name)] for label, drop in rows.items()}
    assert dropped == {
        "everything": [],
        "without gnn": ["gnn"],
        "without mf": ["mf"],
        "without popularity": ["popularity"],
        "without scores against the best one": [],
    }


def recommendations(rows):
    sellers, products, affinities = zip(*rows, strict=True)
    return pa.table(
        {"seller_id": list(sellers), "product_id": list(products), "affinity": list(affinities)}
    )


def listings(rows):
    sellers, products = zip(*rows, strict=True)
    return pa.table({"seller_id": list(sellers), "product_id": list(products)})


@pytest.mark.parametrize(
    "words",
    [
        ("reliability.py", "gone", "--truth", "t", "--train", "t", "--plot", "p.png"),
        ("bench_batch.py", "--model", "gone"),
    ],
)
def test_a_missing_table_or_model_is_one_line_at_once(tmp_path, words):
    name, *rest = words
    done = forking.run_script([sys.executable, EXAMPLES / name, *rest], tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"{name}: error: gone: no such f")
    assert done.stderr.count("\n") == 1


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


@pytest.mark.parametrize("with_sellers", [True, False])
def test_events_of_held_out_listings_are_left_out(tmp_path, monkeypatch, with_sellers):
    events = {
        "customer_id": ["A", "B", "B", "C"],
        "product_id": ["1", "1", "2", "1"],
        "seller_id": ["S", "S", "S", "T"],
    }
    if not with_sellers:
        del events["seller_id"]
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    # a listing counts once, however often it is there
    truth = pa.table({"seller_id": ["S", "S", "T"], "product_id": ["1", "1", "2"]})
    pq.write_table(truth, tmp_path / "truth.parquet")
    names = [str(tmp_path / f"{name}.parquet") for name in ("events", "truth", "known")]
    monkeypatch.setattr(sys, "argv", ["known_events.py", *names])
    load("known_events").main()
    known = pq.read_table(names[2])
    assert known.column_names == list(events)
    assert sorted(known["customer_id"].to_pylist()) == (
        ["B", "C"] if with_sellers else ["A", "B", "B", "C"]
    )
