"""Training that is cut off and resumed ends where it would have ended."""

import numpy as np
import pytest
import torch

from cprtools.cpr import training
from cprtools.cpr.config import make_config
from cprtools.cpr.memory import memory_note
from cprtools.cpr.recipe import TRAINED, Factorisation, SourceFitter
from cprtools.errors import SchemaError, UsageError
from cprtools.tables import open_folder
from cprtools.training.checkpoint import Checkpoints
from cprtools.training.run import Run, make_run, on_device
from tests.cpr.market import SMALL, make_market
from tests.training.cutting import FOOTER, CutError, cut_after, keep
from tests.training.few_steps import few_steps

SHORT = {
    **SMALL, "epochs": 5, "validation_fraction": 0.2, "pretrain_epochs": 1, "batch_size": 128,
    "num_negatives": 50,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def short_epochs():
    with few_steps():
        yield


@pytest.fixture(scope="module")
def market():
    return make_market(num_types=3, num_brands=2, copies=8)


def same_form(one, other):
    for name in ("source", "target", "bias"):
        for part in (lambda trained: trained.form, lambda trained: trained.form.transitions):
            np.testing.assert_array_equal(getattr(part(one), name), getattr(part(other), name))
    np.testing.assert_array_equal(one.form.embeddings, other.form.embeddings)
    assert one.hits == other.hits


@pytest.fixture(scope="module", params=["default", "paper", "article"])
def uncut(request, market):
    """Settings, and what training without a pause makes of them."""
    config = make_config({**SHORT, "preset": request.param}, seed=3)
    return config, training.train(market.problem, config)


@pytest.mark.parametrize("done", [0, 1, 3])
def test_a_run_cut_off_ends_as_if_it_had_not_been(market, uncut, tmp_path, done):
    config, whole = uncut
    assert len(whole.hits) == 5
    with pytest.raises(CutError):
        run = Run(progress=cut_after(done, "p-companion"), checkpoints=keep(tmp_path / "state"))
        training.train(market.problem, config, run)
    seen = []

    def watch(steps, label, total):
        for step in steps:
            seen.append((label, step))
            yield step

    torch.manual_seed(99)
    run = Run(progress=watch, checkpoints=keep(tmp_path / "state", resume=True))
    same_form(training.train(market.problem, config, run), whole)
    assert [step for label, step in seen if label == "p-companion"] == list(range(done, 5))
    assert any(label == "product2vec" for label, _ in seen) == (done == 0)


def test_a_finished_fit_is_not_repeated_and_the_next_goes_on(market, tmp_path):
    config = make_config(SHORT, seed=0)
    other = make_config({**SHORT, "learning_rate": 0.02}, seed=0)
    expected = [training.train(market.problem, each) for each in (config, other)]
    first = keep(tmp_path / "state")
    training.train(market.problem, config, Run(checkpoints=first))
    with pytest.raises(CutError):
        run = Run(progress=cut_after(2, "p-companion"), checkpoints=first)
        training.train(market.problem, other, run)
    again = keep(tmp_path / "state", resume=True)
    nothing = Run(progress=cut_after(0, "p-companion"), checkpoints=again)
    same_form(training.train(market.problem, config, nothing), expected[0])
    same_form(training.train(market.problem, other, Run(checkpoints=again)), expected[1])


def test_a_run_that_stopped_early_stays_stopped(market, tmp_path):
    still = {"learning_rate": 0.0, "identity_learning_rate": 0.0, "patience": 2, "epochs": 30}
    config = make_config({**SHORT, **still}, seed=0)
    whole = training.train(market.problem, config, Run(checkpoints=keep(tmp_path / "state")))
    assert len(whole.hits) == 1 + 2
    run = Run(
        progress=cut_after(0, "p-companion"), checkpoints=keep(tmp_path / "state", resume=True)
    )
    same_form(training.train(market.problem, config, run), whole)


@pytest.mark.parametrize("options", [{"margin": 3.0}, {"epochs": 6}])
def test_a_checkpoint_of_other_settings_or_data_is_refused(market, tmp_path, options):
    config = make_config(SHORT, seed=0)
    training.train(market.problem, config, Run(checkpoints=keep(tmp_path / "state")))
    others = make_config({**SHORT, **options}, seed=0), config
    problems = market.problem, make_market(num_types=3, num_brands=2, copies=8, seed=1).problem
    for problem, changed in zip(problems, others, strict=True):
        run = Run(checkpoints=keep(tmp_path / "state", resume=True))
        with pytest.raises(SchemaError, match="a checkpoint of other data, settings or version"):
            training.train(problem, changed, run)


def test_a_checkpoint_of_other_settings_is_refused_before_other_sources_are_tuned(
    market, tmp_path, monkeypatch
):
    training.train(
        market.problem, make_config(SHORT, seed=0), Run(checkpoints=keep(tmp_path / "state"))
    )
    monkeypatch.setattr(Factorisation, "fit", lambda *_, **__: pytest.fail("was tuned"))
    fit = SourceFitter(
        {**SHORT, "epochs": 6, "run": Run(checkpoints=keep(tmp_path / "state", resume=True))}, 0
    )
    with pytest.raises(SchemaError, match="a checkpoint of other data, settings or version"):
        fit(market.problem)


def test_resuming_from_nothing_begins_and_without_resume_the_old_state_is_replaced(
    market, tmp_path
):
    config, other = make_config(SHORT, seed=0), make_config({**SHORT, "epochs": 2}, seed=0)
    place = tmp_path / "state"
    run = Run(checkpoints=keep(place, resume=True))
    same_form(training.train(market.problem, config, run), training.train(market.problem, config))
    training.train(market.problem, other, Run(checkpoints=keep(place)))
    training.train(market.problem, other, Run(checkpoints=keep(place, resume=True)))
    folder = open_folder(str(place), ("checkpoint",))
    assert sorted(folder.manifest["members"]) == ["state_1", "tensors_1"]


def test_a_state_is_written_only_some_time_after_the_last(market, tmp_path):
    config = make_config(SHORT, seed=0)
    seldom = Checkpoints(str(tmp_path / "state"), FOOTER, every_seconds=3600)
    with pytest.raises(CutError):
        training.train(
            market.problem, config, Run(progress=cut_after(3, "p-companion"), checkpoints=seldom)
        )
    assert not (tmp_path / "state").exists()


def test_the_options_of_a_run_belong_together():
    def run_of(method, device="cpu", checkpoint=None, resume=False):
        return make_run(
            TRAINED, method, device, checkpoint, resume, FOOTER, progress=None, say=print
        )

    with pytest.raises(UsageError, match="--resume needs --checkpoint"):
        run_of("p-companion", resume=True)
    with pytest.raises(UsageError, match="for p-companion, not for mf"):
        run_of("mf", checkpoint="x")
    with pytest.raises(UsageError, match="must be one of cpu, cuda, got 'tpu'"):
        run_of("p-companion", device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device was found"):
            run_of("p-companion", device="cuda")
    assert run_of("mf") is None


def test_every_tensor_of_a_batch_moves(market):
    config = make_config(SHORT, seed=0)
    session = training.Session(market.problem, config, market.problem.matrix)
    batch = next(session.sampler.epoch())
    moved = on_device(batch, "meta")
    tensors = [moved.queries, moved.candidates, *moved.history, *moved.positives, *moved.known]
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert type(moved.history) is type(batch.history)


@pytest.mark.gpu
@pytest.mark.parametrize("preset", ["default", "paper", "article"])
def test_a_gpu_trains_about_the_same_model(market, preset):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    config = make_config({**SHORT, "preset": preset, "dropout": 0.0}, seed=0)
    on_cpu = training.train(market.problem, config)
    on_gpu = training.train(market.problem, config, Run(device="cuda"))
    np.testing.assert_allclose(on_gpu.form.bias, on_cpu.form.bias, atol=0.05)


def test_the_memory_note_counts_weights_and_warns_of_too_many(market):
    config = make_config(SHORT, seed=0)
    network = training.Session(market.problem, config, market.problem.matrix).network
    weights = sum(parameter.numel() for parameter in network.parameters())
    said = memory_note(network, config, market.problem.num_candidates, 3)
    assert f"({weights:,} weights)" in said
    assert "more than" not in said
    assert "more than" in memory_note(network, config, 10**12, 3)


@pytest.mark.parametrize(("preset", "least", "most"), [("default", 2, 3), ("paper", 0, 2)])
def test_the_memory_note_counts_the_types_that_may_follow_a_batch(market, preset, least, most):
    config = make_config({**SHORT, "preset": preset, "batch_size": 1024}, seed=0)
    network = training.Session(market.problem, config, market.problem.matrix).network
    # not from all to all, which would be 40 GB
    said = memory_note(network, config, market.problem.num_candidates, num_types=100_000)
    assert least <= float(said.split("takes about ")[1].split(" GB")[0]) <= most
