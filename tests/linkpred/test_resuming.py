"""Graph training that is cut off and resumed ends where it would have ended."""

import numpy as np
import pytest
import torch

from cprtools.errors import SchemaError
from cprtools.graph.homogeneous import make_graph
from cprtools.linkpred.memory import memory_note
from cprtools.linkpred.model import GraphModel, _Validation
from cprtools.linkpred.options import TrainingOptions
from cprtools.linkpred.recipe import train
from cprtools.training.run import Run
from tests.training.cutting import CutError, cut_after, keep
from tests.training.few_steps import few_steps

SHORT = {"embedding_dim": 8, "num_layers": 2, "num_negatives": 16, "epochs": 4, "dropout": 0.3}
# 576 listings are 3 batches of 256, fewer than an epoch has at least
STEPS = 8


@pytest.fixture(autouse=True, scope="module")
def short_epochs():
    with few_steps(STEPS):
        yield


def same_model(one, other):
    assert one.epochs == other.epochs
    one, other = one.tables(), other.tables()
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].equals(other[name]), name


@pytest.fixture(
    scope="module",
    params=[{}, {"init": "random"}, {"sampler": "dgl"}, {"validation": 0}],
    ids=str,
)
def uncut(request, specialists):
    """Options, and the model that training without a pause makes of them."""
    chosen = {**SHORT, **request.param}
    return chosen, GraphModel.fit(specialists[0], seed=3, **chosen)


@pytest.mark.parametrize("done", [0, STEPS + 5, 3 * STEPS])
def test_a_fit_cut_off_in_any_epoch_ends_as_if_it_had_not_been(specialists, uncut, tmp_path, done):
    problem, _ = specialists
    chosen, whole = uncut
    with pytest.raises(CutError):
        run = Run(progress=cut_after(done, "gnn"), checkpoints=keep(tmp_path / "state"))
        GraphModel.fit(problem, seed=3, run=run, **chosen)
    seen = []

    def watch(steps, label, total):
        for step in steps:
            seen.append(step)
            yield step

    torch.manual_seed(99)
    run = Run(progress=watch, checkpoints=keep(tmp_path / "state", resume=True))
    same_model(GraphModel.fit(problem, seed=3, run=run, **chosen), whole)
    # whole epochs are kept, the begun one is repeated
    assert seen == list(range(done // STEPS * STEPS, 4 * STEPS))


class _Problems:
    """Stands for the rest of a command: what the two fits were given."""

    def __init__(self, problem):
        self.problem, self.views = problem, problem.matrix


@pytest.mark.parametrize("networks", [1, 2])
def test_cut_off_in_the_second_fit_the_first_is_not_trained_again(
    specialists, tmp_path, monkeypatch, networks
):
    problem, _ = specialists
    options = {**SHORT, "networks": networks}
    better = iter(range(100))
    # every epoch is better than the one before
    monkeypatch.setattr(_Validation, "measure", lambda self, nodes: next(better))
    whole = train(_Problems(problem), "gnn", seed=0, options=options, with_ranker=False)
    fits = []

    def second_breaks_off(steps, label, total):
        fits.append(total)
        return cut_after(STEPS if len(fits) == networks + 1 else -1, label)(steps, label, total)

    with pytest.raises(CutError):
        run = Run(progress=second_breaks_off, checkpoints=keep(tmp_path / "state"))
        train(_Problems(problem), "gnn", seed=0, options=options, with_ranker=False, run=run)
    assert whole.model.epochs > 1
    assert fits == [4 * STEPS] * networks + [whole.model.epochs * STEPS]
    trained = []

    def watch(steps, label, total):
        trained.append(total)
        return iter(steps)

    run = Run(progress=watch, checkpoints=keep(tmp_path / "state", resume=True))
    resumed = train(_Problems(problem), "gnn", seed=0, options=options, with_ranker=False, run=run)
    # of the first fit nothing is left to show
    epochs = whole.model.epochs
    assert trained == [(epochs - 1) * STEPS] + [epochs * STEPS] * (networks - 1)
    same_model(resumed.model, whole.model)


def test_a_fit_that_stopped_early_stays_stopped(specialists, tmp_path):
    problem, _ = specialists
    still = {**SHORT, "learning_rate": 1e-9, "patience": 1, "epochs": 30}
    whole = GraphModel.fit(problem, run=Run(checkpoints=keep(tmp_path / "state")), **still)
    assert whole.epochs < 30
    run = Run(progress=cut_after(0, "gnn"), checkpoints=keep(tmp_path / "state", resume=True))
    same_model(GraphModel.fit(problem, run=run, **still), whole)


@pytest.mark.parametrize("change", [{"epochs": 5}, {"sampler": "dgl"}, {"seed": 1}, {"views": 2.0}])
def test_a_checkpoint_of_other_settings_or_data_is_refused(specialists, tmp_path, change):
    problem, _ = specialists
    first = {**SHORT, "epochs": 1, "views": problem.matrix}
    GraphModel.fit(problem, run=Run(checkpoints=keep(tmp_path / "state")), **first)
    changed = {**first, **change}
    if "views" in change:
        changed["views"] = problem.matrix * change["views"]
    run = Run(checkpoints=keep(tmp_path / "state", resume=True))
    with pytest.raises(SchemaError, match="a checkpoint of other data, settings or version"):
        GraphModel.fit(problem, run=run, **changed)


def test_the_memory_that_training_takes_is_told_before_it_starts(specialists):
    problem, _ = specialists
    said = []

    def begins(steps, label, total):
        said.append(f"{label} begins")
        return iter(steps)

    model = GraphModel.fit(problem, run=Run(progress=begins, say=said.append), **SHORT)
    assert "GB of memory" in said[0] and said[1:] == ["gnn begins"]
    assert model.epochs > 0
    said.clear()
    GraphModel.fit(problem, networks=2, run=Run(progress=begins, say=said.append), **SHORT)
    # once: the networks are alike, and come one after the other
    assert "GB of memory" in said[0] and said[1:] == ["gnn 1 begins", "gnn 2 begins"]


def test_the_memory_note_counts_weights_and_warns_of_too_many(specialists):
    problem, _ = specialists
    graph = make_graph(problem.matrix)
    network = torch.nn.Linear(3, 2)
    said = memory_note(network, graph, problem.vectors, TrainingOptions(**SHORT))
    assert "(8 weights)" in said and "more than" not in said
    wide = TrainingOptions(**{**SHORT, "embedding_dim": 10**10})
    assert "more than" in memory_note(network, graph, None, wide)


@pytest.mark.gpu
def test_a_gpu_trains_about_the_same_model(specialists):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    problem, _ = specialists
    options = {**SHORT, "dropout": 0.0, "validation": 0}
    on_cpu = GraphModel.fit(problem, **options)
    on_gpu = GraphModel.fit(problem, run=Run(device="cuda"), **options)
    np.testing.assert_allclose(on_gpu.product_vectors, on_cpu.product_vectors, atol=0.05)
