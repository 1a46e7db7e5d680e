"""Rows of large tables are updated where they have a gradient, as AdamW would."""

import torch
from torch import nn

from cprtools.cpr.config import CprConfig
from cprtools.cpr.optimiser import TableAdamW
from cprtools.cpr.training import num_epochs

RATE = 0.1


def after_steps(rows: list[int], *, is_sparse: bool, decay: float, steps: int) -> torch.Tensor:
    torch.manual_seed(0)
    table = nn.Embedding(4, 3, sparse=is_sparse)
    goal = torch.randn(4, 3)
    kind = TableAdamW if is_sparse else torch.optim.AdamW
    optimiser = kind(table.parameters(), lr=RATE, weight_decay=decay)
    chosen = torch.tensor(rows)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = (table(chosen) - goal[chosen]).square().sum()
        torch.autograd.backward(loss)
        optimiser.step()
    return table.weight.detach().clone()


def test_where_every_row_has_a_gradient_it_is_adamw():
    # row 1 twice: its gradients add up
    rows = [0, 1, 1, 2, 3]
    ours = after_steps(rows, is_sparse=True, decay=0.0, steps=40)
    theirs = after_steps(rows, is_sparse=False, decay=0.0, steps=40)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_rows_without_a_gradient_stay_where_they_are():
    before = after_steps([0], is_sparse=True, decay=0.0, steps=0)
    after = after_steps([0], is_sparse=True, decay=0.0, steps=20)
    assert torch.equal(before[1:], after[1:])
    assert not torch.allclose(before[0], after[0])


def test_the_decay_reaches_every_row_in_sixteens_of_steps():
    start = after_steps([0], is_sparse=True, decay=0.5, steps=0)
    fifteen, forty = (after_steps([0], is_sparse=True, decay=0.5, steps=n) for n in (15, 40))
    assert torch.equal(fifteen[1:], start[1:])
    # by 40 steps 32 are accounted for: (1 - 0.1 * 0.5)^32
    torch.testing.assert_close(forty[1:], start[1:] * 0.95**32, rtol=1e-5, atol=0)


def test_a_dense_gradient_is_updated_by_adamw_itself():
    torch.manual_seed(1)
    layers = [nn.Linear(3, 2) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    for layer, kind in zip(layers, (TableAdamW, torch.optim.AdamW), strict=True):
        optimiser = kind(layer.parameters(), lr=RATE)
        torch.autograd.backward(layer(torch.ones(1, 3)).square().sum())
        optimiser.step()
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_a_large_catalogue_has_fewer_epochs_but_three():
    config = CprConfig(epochs=20, total_steps=2000)
    assert [num_epochs(config, batches) for batches in (20, 100, 160, 5000)] == [20, 20, 12, 3]
