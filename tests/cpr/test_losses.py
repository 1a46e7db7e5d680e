import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cprtools.cpr.losses import (
    Entries,
    hinge_loss,
    joint_loss,
    pair_hinge,
    sampled_softmax_loss,
    squared_distance,
    type_cross_entropy,
)
from tests.cpr import oracle_losses as oracle


def entries(cells):
    rows, columns, weights = zip(*cells, strict=True) if cells else ((), (), ())
    return Entries(
        torch.tensor(rows, dtype=torch.int64),
        torch.tensor(columns, dtype=torch.int64),
        torch.tensor(weights, dtype=torch.float64),
    )


def one_hinge(distance, label, margin=10.0, slack=1.0):
    return hinge_loss(torch.tensor([distance]), torch.tensor([label]), margin, slack).item()


@pytest.mark.parametrize(
    ("distance", "label", "expected"),
    [
        (3.0, +1.0, 0),  # 1 - (10 - 3) = -6: near and true, nothing to pay
        (9.0, +1.0, 0),  # 1 - (10 - 9) = 0: just near enough
        (9.5, +1.0, 0.5),  # 1 - (10 - 9.5)
        (14.0, +1.0, 5),  # 1 - (10 - 14): far and true
        (3.0, -1.0, 8),  # 1 + (10 - 3): near and sampled
        (10.5, -1.0, 0.5),  # 1 + (10 - 10.5)
        (11.0, -1.0, 0),  # 1 + (10 - 11) = 0: just far enough
        (14.0, -1.0, 0),
    ],
)
def test_hinge_pays_for_far_true_pairs_and_near_sampled_ones(distance, label, expected):
    assert one_hinge(distance, label) == expected


def test_hinge_moves_true_pairs_together_and_sampled_pairs_apart():
    for label, sign in ((1.0, +1), (-1.0, -1)):
        distance = torch.tensor([10.0], requires_grad=True)
        hinge_loss(distance, torch.tensor([label]), 10.0, 1.0).backward()
        assert distance.grad.item() == sign


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.data())
def test_hinge_equals_the_slow_loop(data):
    size = data.draw(st.integers(1, 8))
    numbers = st.floats(0, 30, width=32)
    distances = data.draw(st.lists(numbers, min_size=size, max_size=size))
    labels = data.draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=size, max_size=size))
    margin, slack = data.draw(numbers), data.draw(numbers)
    found = hinge_loss(torch.tensor(distances), torch.tensor(labels), margin, slack).item()
    assert found == pytest.approx(oracle.hinge(distances, labels, margin, slack), abs=1e-4)


def test_both_sides_of_a_pair_hinge_weigh_half():
    true, sampled = torch.tensor([12.0]), torch.tensor([8.0, 9.0, 20.0])
    # true: 1 - (10 - 12) = 3; sampled: (3 + 2 + 0) / 3
    assert pair_hinge(true, sampled, 10.0, 1.0).item() == pytest.approx(1 / 2 * (3 + 5 / 3))


def test_joint_loss_weighs_items_by_alpha():
    assert joint_loss(torch.tensor(2.0), torch.tensor(7.0), 0.8).item() == pytest.approx(3.0)


def test_softmax_loss_by_hand():
    # e^0 = 1 and e^log(3) = 3; the known candidate 2 is out: P = 3 / (1 + 3)
    logits = torch.tensor([[0.0, np.log(3.0), 5.0]], dtype=torch.float64)
    loss = sampled_softmax_loss(
        logits, entries([(0, 1, 1.0)]), entries([(0, 2, 1.0)]), torch.zeros(3)
    )
    assert loss.item() == pytest.approx(-np.log(3 / 4))


def test_a_rarely_sampled_candidate_stands_for_others():
    # candidate 0 is drawn one time in four, so it counts 4 times: P = 1 / (1 + 4)
    logits = torch.zeros((1, 2), dtype=torch.float64)
    rates = torch.tensor([np.log(1 / 4), np.log(1 / 2)])
    loss = sampled_softmax_loss(logits, entries([(0, 1, 1.0)]), entries([]), rates)
    assert loss.item() == pytest.approx(-np.log(1 / 5))


def random_softmax(seed):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(4, 9))
    cells = random.permutation([(row, column) for row in range(4) for column in range(9)])
    positives = [(int(r), int(c), float(random.uniform(0.5, 3))) for r, c in cells[:7]]
    known = [(int(r), int(c), 1.0) for r, c in cells[7:12]]
    return logits, positives, known, np.log(random.uniform(0.1, 1, 9))


@pytest.mark.parametrize("seed", range(5))
def test_softmax_loss_equals_the_slow_loop(seed):
    logits, positives, known, rates = random_softmax(seed)
    found = sampled_softmax_loss(
        torch.tensor(logits), entries(positives), entries(known), torch.tensor(rates)
    )
    expected = oracle.sampled_softmax(logits, positives, {(r, c) for r, c, _ in known}, rates)
    assert found.item() == pytest.approx(expected)


def test_the_corrected_sample_estimates_the_full_partition():
    random = np.random.default_rng(0)
    logits, rate = torch.tensor(random.normal(size=(1, 400))), 0.25
    nobody = entries([])
    full = sampled_softmax_loss(logits, entries([(0, 0, 1.0)]), nobody, torch.zeros(400)).item()
    corrected, naive = [], []
    for _ in range(200):
        sample = np.flatnonzero((random.random(400) < rate) | (np.arange(400) == 0))
        some = logits[:, sample]
        rates = torch.full((len(sample),), np.log(rate))
        positives = entries([(0, 0, 1.0)])
        corrected.append(sampled_softmax_loss(some, positives, nobody, rates).item())
        naive.append(sampled_softmax_loss(some, positives, nobody, torch.zeros_like(rates)).item())
    assert np.mean(corrected) == pytest.approx(full, abs=0.03)
    assert np.mean(naive) < full - 1


def test_type_cross_entropy_by_hand():
    logs = torch.log(torch.tensor([[0.5, 0.5], [0.2, 0.8]]))
    loss = type_cross_entropy(logs, entries([(0, 0, 3.0), (1, 1, 1.0), (1, 0, 2.0)]))
    expected = -(3 * np.log(0.5) + 1 * np.log(0.8) + 2 * np.log(0.2)) / 6
    assert loss.item() == pytest.approx(expected)


def test_gradients_of_the_losses_are_right():
    random = np.random.default_rng(1)

    def numbers(*shape):
        return torch.tensor(random.normal(size=shape), requires_grad=True)

    # distances away from the kink of the hinge, where no derivative exists
    labels = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    left, right = numbers(3, 5), numbers(3, 5)
    assert torch.autograd.gradcheck(
        lambda a, b: hinge_loss(squared_distance(a, b), labels, 4.3, 0.7), (left, right)
    )
    logits, positives, known, rates = random_softmax(3)
    assert torch.autograd.gradcheck(
        lambda x: sampled_softmax_loss(x, entries(positives), entries(known), torch.tensor(rates)),
        (torch.tensor(logits, requires_grad=True),),
    )
    pairs = entries([(0, 0, 1.0), (1, 2, 2.0), (1, 2, 0.5), (2, 1, 0.5)])
    assert torch.autograd.gradcheck(
        lambda x: type_cross_entropy(F.log_softmax(x, 1), pairs), (numbers(3, 4),)
    )


def test_known_pairs_get_no_gradient():
    logits = torch.zeros((1, 3), requires_grad=True)
    loss = sampled_softmax_loss(
        logits,
        Entries(torch.tensor([0]), torch.tensor([0]), torch.ones(1)),
        Entries(torch.tensor([0]), torch.tensor([1]), torch.ones(1)),
        torch.zeros(3),
    )
    loss.backward()
    np.testing.assert_allclose(logits.grad, [[-1 / 2, 0, 1 / 2]], atol=1e-6)
