import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cprtools.cpr.bags import Bags, bag_sums


@pytest.fixture
def bags():
    # an empty bag first, last and between; row 5 twice in one bag, row 3 in none
    indices = torch.tensor([5, 0, 5, 2, 1, 2, 4])
    offsets = torch.tensor([0, 0, 3, 3, 5, 7])
    weights = torch.tensor([0.5, 2.0, 1.0, -1.0, 0.25, 3.0, 1.5])
    return Bags(indices, offsets, weights)


def _table():
    table = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    return table.requires_grad_()


def test_sums_and_gradient_are_those_of_the_library(bags):
    ours, theirs = _table(), _table()
    upstream = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    found = bag_sums(ours, bags)
    expected = F.embedding_bag(
        bags.indices, theirs, bags.offsets, mode="sum", per_sample_weights=bags.weights
    )
    assert torch.equal(found, expected)
    found.backward(upstream)
    expected.backward(upstream)
    np.testing.assert_allclose(ours.grad.to_dense(), theirs.grad, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_of_the_rows_that_a_bag_holds(bags):
    table = _table()
    bag_sums(table, bags).sum().backward()
    assert table.grad.is_sparse
    assert table.grad._indices()[0].tolist() == [0, 1, 2, 4, 5]


def test_without_entries_the_gradient_has_no_rows():
    table = _table()
    nothing = Bags(
        torch.zeros(0, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), torch.zeros(0)
    )
    found = bag_sums(table, nothing)
    assert torch.equal(found, torch.zeros(3, 4))
    found.sum().backward()
    assert table.grad.is_sparse and not table.grad._indices().numel()
