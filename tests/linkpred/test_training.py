import gc
import weakref

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.errors import UsageError
from cprtools.graph.homogeneous import make_graph, supervision_edges
from cprtools.linkpred.batches import BatchMaker
from cprtools.linkpred.options import TrainingOptions
from cprtools.linkpred.training import Trainer, train
from tests.training.few_steps import few_steps


@pytest.fixture
def short_epochs():
    with few_steps():
        yield


def random_graph(sellers=20, products=40, seed=0):
    rng = np.random.default_rng(seed)
    listings = (rng.random((sellers, products)) < 0.2).astype(np.float32)
    return make_graph(csr_matrix(listings)), rng.standard_normal((products, 6)).astype(np.float32)


SMALL = {"embedding_dim": 8, "num_layers": 2, "num_negatives": 10}


def trainer(graph, vectors, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Trainer(graph, vectors, None, TrainingOptions(**{**SMALL, **options}), 0)


def test_gradients_are_cleared_before_each_step():
    graph, vectors = random_graph()
    # without dropout, with all neighbours and no learning, a batch gives one gradient
    model = trainer(graph, vectors, dropout=0.0, fanout=100, learning_rate=0.0)
    batch = model.batches.draw()
    model.step(batch)
    first = [p.grad.clone() for p in model.encoder.parameters() if p.grad is not None]
    model.step(batch)
    second = [p.grad for p in model.encoder.parameters() if p.grad is not None]
    assert sum(float(g.abs().sum()) for g in first) > 0
    for one, two in zip(first, second, strict=True):
        torch.testing.assert_close(one, two)


def test_the_predicted_edges_do_not_touch_their_own_logits():
    # the same batch on the graph with and without the predicted listings: equal losses
    rng = np.random.default_rng(3)
    listings = (rng.random((6, 12)) < 0.6).astype(np.float32)
    vectors = rng.standard_normal((12, 6)).astype(np.float32)
    full = trainer(make_graph(csr_matrix(listings)), vectors, dropout=0.0, fanout=100)
    batch = full.batches.draw()
    few = type(batch)(
        **{**vars(batch), "edges": batch.edges[::4], "query": batch.query[::4],
           "positive": batch.positive[::4], "is_known": batch.is_known[::4]}
    )  # fmt: skip
    less = listings.copy()
    edges = few.edges.numpy()
    less[full.graph.sources[edges], full.graph.destinations[edges] - 6] = 0
    assert less.sum() < listings.sum()
    other = trainer(make_graph(csr_matrix(less)), vectors, dropout=0.0, fanout=100)
    without = type(few)(**{**vars(few), "edges": few.edges[:0]})
    torch.testing.assert_close(full.loss(few), other.loss(without), rtol=1e-4, atol=1e-4)


def test_batches_hold_each_target_among_the_candidates():
    graph, _ = random_graph()
    maker = BatchMaker(
        graph, supervision_edges(graph), None, TrainingOptions(**SMALL), np.random.default_rng(0)
    )
    batch = maker.draw()
    edges, roots = batch.edges.numpy(), batch.roots.numpy()
    assert len(set(edges.tolist())) == len(edges)
    candidates = roots[batch.candidates.numpy()]
    assert np.array_equal(roots[batch.query.numpy()], graph.sources[edges])
    assert np.array_equal(candidates[batch.positive.numpy()], graph.destinations[edges])
    ends = set(zip(graph.sources.tolist(), graph.destinations.tolist(), strict=True))
    for row, seller in enumerate(graph.sources[edges]):
        listed = [(int(seller), int(candidate)) in ends for candidate in candidates]
        assert batch.is_known[row].tolist() == listed


def test_large_sellers_are_drawn_alike_and_every_edge_alike_in_the_ablation():
    listings = np.zeros((2, 200), dtype=np.float32)
    listings[0, :160] = 1
    listings[1, :32] = 1
    graph = make_graph(csr_matrix(listings))
    edges = supervision_edges(graph)
    for sampling, share in (("stratified", 1 / 2), ("uniform", 160 / 192)):
        options = TrainingOptions(sampling=sampling, batch_size=64)
        maker = BatchMaker(graph, edges, None, options, np.random.default_rng(0))
        step = np.diff(maker.cumulative, prepend=0)
        assert step[graph.sources[edges] == 0].sum() == pytest.approx(share)


def test_a_seller_of_few_listings_is_drawn_by_their_number():
    # sellers of 3, 16 and 40: a seller of 16 counts as any larger one
    listings = np.arange(40) < np.array([[3], [16], [40]])
    graph = make_graph(csr_matrix(listings.astype(np.float32)))
    edges = supervision_edges(graph)
    maker = BatchMaker(graph, edges, None, TrainingOptions(), np.random.default_rng(0))
    drawn = np.bincount(graph.sources[edges], np.diff(maker.cumulative, prepend=0), 3)
    np.testing.assert_allclose(drawn / drawn[2], [3 / 16, 1, 1])


def test_a_candidate_is_expected_as_a_target_and_as_one_of_those_drawn_further():
    # product 2 is in no demand and so never drawn further; nobody lists product 3
    graph = make_graph(csr_matrix(np.array([[1, 1, 0, 0], [0, 1, 1, 0]], dtype=np.float32)))
    hot = np.array([True, True, False, True])
    options = TrainingOptions(num_negatives=2)
    edges = supervision_edges(graph, hot)
    maker = BatchMaker(graph, edges, hot, options, np.random.default_rng(0))
    # 64 draws of four listings that are all as likely, and two of the three in demand
    expected = [64 / 4 + 2 / 3, 2 * 64 / 4 + 2 / 3, 64 / 4, 2 / 3]
    np.testing.assert_allclose(np.exp(maker.log_expected[2:]), expected, rtol=1e-5)


def test_an_epoch_of_few_listings_has_enough_steps_and_one_of_many_not_too_many():
    graph = make_graph(csr_matrix(np.ones((40, 80), dtype=np.float32)))
    edges = supervision_edges(graph)
    for number, batch_size, size, steps in (
        (1000, 512, 64, 32),
        (3200, 512, 200, 32),
        (1000, 8, 8, 125),
        (3200, 8, 8, 200),
    ):
        options = TrainingOptions(batch_size=batch_size)
        maker = BatchMaker(graph, edges[:number], None, options, np.random.default_rng(0))
        assert (maker.size, maker.steps) == (size, steps)


def test_negatives_are_high_demand_products():
    graph, _ = random_graph()
    hot = np.arange(40) < 5
    edges = supervision_edges(graph, hot)
    options = TrainingOptions(**SMALL)
    maker = BatchMaker(graph, edges, hot, options, np.random.default_rng(0))
    batch = maker.draw()
    others = set(range(len(batch.candidates))) - set(batch.positive.tolist())
    sampled = batch.roots[batch.candidates].numpy()[sorted(others)]
    assert set(maker.pool) == {20, 21, 22, 23, 24}
    assert set(sampled) <= set(maker.pool)


@pytest.mark.usefixtures("short_epochs")
def test_training_keeps_the_weights_with_the_best_measure():
    graph, vectors = random_graph()
    seen = []

    def measure(nodes):
        seen.append(nodes.copy())
        # of two that are as good the first
        return {3: 1.0, 5: 1.0}.get(len(seen), 0.0)

    options = TrainingOptions(**SMALL, epochs=9, patience=4)
    model = train(graph, vectors, None, options, 0, measure)
    assert (model.best_epoch, model.best_value) == (3, 1.0)
    # four epochs without a better one end it
    assert len(seen) == 7
    np.testing.assert_array_equal(model.embed(), seen[2])


def test_the_learning_rate_falls_to_a_twentieth():
    graph, vectors = random_graph()
    options = TrainingOptions(**SMALL, epochs=2)
    trained = train(graph, vectors, None, options, 0)
    assert trained.optimizer.param_groups[0]["lr"] == pytest.approx(options.learning_rate / 20)


def test_what_is_dropped_in_training_is_dropped_again_after_a_measure():
    graph, vectors = random_graph()
    model = trainer(graph, vectors, dropout=0.5, fanout=100)
    batch = model.batches.draw()
    np.testing.assert_array_equal(model.embed(), model.embed())
    assert float(model.loss(batch).detach()) != float(model.loss(batch).detach())


def test_a_graph_is_gone_before_the_next_one_is_made():
    graph, vectors = random_graph()
    trainer = train(graph, vectors, None, TrainingOptions(**SMALL, epochs=1), 0)
    trainer.finish()
    expected, old = trainer.embed(), weakref.ref(graph)
    del graph

    def make():
        gc.collect()
        assert old() is None
        return random_graph()[0]

    trainer.move(make)
    np.testing.assert_array_equal(trainer.embed(), expected)


@pytest.mark.usefixtures("short_epochs")
def test_training_leaves_seeds_and_threads_as_they_were():
    graph, vectors = random_graph()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(graph, vectors, None, TrainingOptions(**SMALL, epochs=1), 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("short_epochs")
@pytest.mark.parametrize(
    "options",
    [{"init": "random"}, {"sampler": "dgl"}, {"fanout": "2,3"}, {"precision": "bfloat16"}],
)
def test_variants_train(options):
    graph, vectors = random_graph()
    given = None if options.get("init") == "random" else vectors
    model = train(graph, given, None, TrainingOptions(**{**SMALL, **options, "epochs": 1}), 0)
    assert np.isfinite(model.embed()).all()


def test_shorter_factors_train_alike_and_leave_weights_and_vectors_as_they_are():
    graph, vectors = random_graph()
    losses, models = {}, {}
    for precision in ("float32", "bfloat16"):
        options = TrainingOptions(**{**SMALL, "dropout": 0.0, "precision": precision})
        torch.manual_seed(0)
        models[precision] = trainer = Trainer(graph, vectors, None, options, 0)
        losses[precision] = [trainer.step(trainer.batches.draw()) for _ in range(30)]
    first, second = np.array(losses["float32"]), np.array(losses["bfloat16"])
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(first, second, atol=0.05)
    assert first[-5:].mean() < first[:5].mean() - 0.2
    weights = models["bfloat16"].encoder.state_dict()
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    # embedding multiplies in full, whatever the training did
    models["float32"].encoder.load_state_dict(weights)
    np.testing.assert_array_equal(models["float32"].embed(), models["bfloat16"].embed())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 1}, "no option 'speed'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"dropout": 1.0}, "dropout must be from 0"),
        ({"sampler": "gpu"}, "sampler must be one of torch, dgl"),
        ({"sampling": "all"}, "sampling must be one of stratified, uniform"),
        ({"precision": "int8"}, "precision must be one of float32, bfloat16"),
        ({"fanout": "3,3"}, "1 or 4 positive numbers"),
        ({"fanout": "3,x,3,3"}, "must be numbers"),
        ({"fanout": 0}, "positive"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TrainingOptions.checked(options)
