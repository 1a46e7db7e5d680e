import pytest
import torch

from cprtools.linkpred import messages
from cprtools.linkpred.messages import Neighbours, Plan, Weights, apply_layer

EDGES = [
    # from row, to destination, ascending by destination: one relation a list
    [(3, 0), (4, 0), (6, 0), (0, 2), (6, 2)],
    [(5, 1), (1, 1), (2, 3), (2, 4), (5, 4)],
]
ROWS = [1, 0, 2, 5, 6]


def neighbours(edges):
    counts = torch.bincount(torch.tensor([to for _, to in edges]), minlength=len(ROWS))
    pointer = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    return Neighbours(pointer, torch.tensor([source for source, _ in edges]))


def by_autograd(state, plan, w):
    """The definition in Weights, a destination at a time."""
    types = plan.kinds.tolist()
    out = []
    rows = range(len(types)) if plan.rows is None else plan.rows.tolist()
    for place, row in enumerate(rows):
        y = state[row] if w.lift is None else w.lift @ state[row] + w.shift[types[place]]
        change = w.own @ y + w.bias
        for edges, sender, relation in zip(EDGES, plan.sender, w.relations, strict=True):
            sources = [source for source, to in edges if to == place]
            if sources:
                mean = sum(state[source] for source in sources) / len(sources)
                lifted = mean if w.lift is None else w.lift @ mean + w.shift[sender]
                change = change + relation @ lifted
        change = torch.relu(change) * plan.kept[place] * plan.gain
        norm = w.norm_weight.shape, w.norm_weight, w.norm_bias
        out.append(torch.nn.functional.layer_norm(y + change, *norm))
    return torch.stack(out)


@pytest.mark.parametrize("rows", [ROWS, None])
@pytest.mark.parametrize("is_lifted", [False, True])
@pytest.mark.parametrize("kinds", [[0, 0, 0, 1, 1], [0, 1, 0, 1, 0]])
@pytest.mark.parametrize(("piece", "many"), [(2, 256), (100, 0)])
def test_values_and_gradients_are_those_of_the_definition(
    monkeypatch, rows, is_lifted, kinds, piece, many
):
    monkeypatch.setattr(messages, "PIECE", piece)
    monkeypatch.setattr(messages, "_MANY", many)
    draw = torch.Generator().manual_seed(1)

    def leaf(*shape):
        made = torch.randn(*shape, generator=draw, dtype=torch.float64)
        return made.requires_grad_()

    size = 3 if is_lifted else 4
    state, lift, shift = leaf(7, size), leaf(4, 3), leaf(2, 4)
    both = [leaf(4, 4), leaf(4), leaf(4), leaf(4)], [leaf(4, 4), leaf(4, 4)]
    lifting = (lift, shift) if is_lifted else (None, None)
    weights = Weights(*both[0], *lifting, both[1])
    kept = (torch.rand(len(ROWS), 4, generator=draw) < 0.7).to(torch.uint8)
    relations = [neighbours(edges) for edges in EDGES]
    own = None if rows is None else torch.tensor(rows)
    plan = Plan(own, relations, kept, 1.5, torch.tensor(kinds), [0, 1], True)
    found, expected = apply_layer(state, plan, weights), by_autograd(state, plan, weights)
    torch.testing.assert_close(found, expected)
    leaves = [state, *both[0], *both[1], *(x for x in lifting if x is not None)]
    pull = torch.randn(found.shape, generator=draw, dtype=torch.float64)
    gradients = torch.autograd.grad(expected, leaves, pull)
    for one, other in zip(torch.autograd.grad(found, leaves, pull), gradients, strict=True):
        torch.testing.assert_close(one, other)
    # of numbers with 8 bits the same within their rounding
    shorter = plan._replace(precision=torch.bfloat16)
    short = apply_layer(state, shorter, weights)
    given = shorter._replace(short=state.detach().to(torch.bfloat16))
    assert torch.equal(apply_layer(state, given, weights), short)
    assert short.dtype == torch.float64
    assert not torch.equal(short, found)
    torch.testing.assert_close(short, expected, rtol=0.05, atol=0.05)
    for one, other in zip(torch.autograd.grad(short, leaves, pull), gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.1)


def test_shorter_products_have_few_sizes():
    state = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    plan = Plan(None, [neighbours(edges) for edges in EDGES], None, 1.0, torch.zeros(5), [], True)
    rows, present = plan.inputs(state, slice(0, 5))
    assert rows.shape == (5, 12)
    assert present == [0, 1]
    # every size that torch has not met costs it time and memory for good
    shorter = plan._replace(precision=torch.bfloat16)
    filled, _ = shorter.inputs(state.to(torch.bfloat16), slice(0, 5))
    assert len(filled) == messages._FILLED
    torch.testing.assert_close(filled[:5], rows.to(torch.bfloat16), rtol=0.02, atol=0.02)
    assert not filled[5:].any()
