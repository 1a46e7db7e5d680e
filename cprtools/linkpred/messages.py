"""A layer's arithmetic, in pieces of rows that fit the processor's cache, and its gradient.

Left to autograd, a step of training spends most of its time on fresh memory for large intermediate
tensors, and on gathers whose gradient adds up row by row. Here only the sum before the layer norm
is kept, and the gradient goes back along the edges as one more sum over neighbours.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor

PIECE = 4096
"""Rows of a piece: 2 MB at 128 float32."""
_MANY = 256
"""Changes of type after which rows are not worth telling apart by it."""


class Neighbours(NamedTuple):
    """Edges of one relation, ascending by destination.

    pointer: (num_dst + 1,) int64, where each destination's sources start; sources: (edges,) int64
    rows of the state that messages come from.
    """

    pointer: Tensor
    sources: Tensor

    def means(self, state: Tensor, piece: slice) -> Tensor | None:
        """Mean over each destination's sources, zeros where it has none; None where none has."""
        pointer = self.pointer[piece.start : piece.stop + 1]
        return _pooled(state, self.sources, pointer, "mean")

    def counts(self, piece: slice) -> Tensor:
        """Sources of each destination."""
        pointer = self.pointer[piece.start : piece.stop + 1]
        return pointer[1:] - pointer[:-1]


class Plan(NamedTuple):
    """Where a layer's inputs come from.

    rows: (num_dst,) int64, each destination's row of the state; kept: (num_dst, dim) uint8, 0 where
    a change is set to zero, or None; gain: what the others are multiplied with; kinds: (num_dst,)
    int64 type of each destination; sender: the type that each relation's messages come from;
    is_trained: a gradient will be asked for.
    """

    rows: Tensor
    relations: Sequence[Neighbours]
    kept: Tensor | None
    gain: float
    kinds: Tensor
    sender: Sequence[int]
    is_trained: bool

    def pieces(self) -> list[slice]:
        """Rows to be handled together; of one type, as long as types come in runs."""
        count = len(self.rows)
        ends = (self.kinds[1:] != self.kinds[:-1]).nonzero().squeeze(1) + 1
        starts = [0, *ends.tolist(), count] if len(ends) < _MANY else [0, count]
        return [
            slice(start, min(start + PIECE, stop))
            for begin, stop in pairwise(starts)
            for start in range(begin, stop, PIECE)
        ]


class Weights(NamedTuple):
    """What a layer learns; x of a destination and means m_r over its neighbours give

    y = lift x + shift, change = relu(own y + bias + sum_r relations[r] (lift m_r + shift)),
    layer_norm(y + change), without lift and shift where these are None.

    lift: (dim, feature_dim); shift: (2, dim), by type; own: (dim, dim); relations: (dim, dim) each.
    """

    own: Tensor
    bias: Tensor
    norm_weight: Tensor
    norm_bias: Tensor
    lift: Tensor | None
    shift: Tensor | None
    relations: Sequence[Tensor]


def apply_layer(state: Tensor, plan: Plan, weights: Weights) -> Tensor:
    """New states of the destinations, (num_dst, dim), from rows of `state`, (any, feature_dim)."""
    own, bias, lift, shift = weights.own, weights.bias[None], weights.lift, weights.shift
    shifts: list[Tensor] = []
    relations = list(weights.relations)
    if lift is not None and shift is not None:
        # one product takes a mean of initial vectors through both maps
        own, bias = own @ lift, shift @ own.T + bias
        shifts = [shift[sender] @ r.T for sender, r in zip(plan.sender, relations, strict=True)]
        relations = [relation @ lift for relation in relations]
    norm = weights.norm_weight, weights.norm_bias
    flat = [own, bias, *norm, lift, shift, *relations, *shifts]
    found: Tensor = _Layer.apply(state, plan, *flat)  # type: ignore[no-untyped-call]
    return found


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state: Tensor, plan: Plan, *weights: Tensor) -> Tensor:
        own, bias, norm_weight, norm_bias, lift, shift, *maps = weights
        size = len(plan.rows), len(norm_weight)
        result = state.new_empty(size)
        kept = size if plan.is_trained else (0, 0)
        before, active = state.new_empty(kept), state.new_empty(kept, dtype=torch.bool)
        moments = state.new_empty(2, size[0], 1)
        for piece in plan.pieces():
            x = state.index_select(0, plan.rows[piece])
            kind = plan.kinds[piece]
            change = _mapped(x, own, bias, kind)
            for number, neighbours in enumerate(plan.relations):
                mean = neighbours.means(state, piece)
                if mean is not None:
                    change.addmm_(mean, maps[number].T)
                    if lift is not None:
                        has = (neighbours.counts(piece) > 0).to(x.dtype)
                        change.addr_(has, maps[len(plan.relations) + number])
            change.relu_()
            if plan.kept is not None:
                change.mul_(plan.kept[piece].to(change.dtype))
            y = x if lift is None else _mapped(x, lift, shift, kind)
            total = torch.add(y, change, alpha=plan.gain)
            if plan.is_trained:
                torch.gt(change, 0, out=active[piece])
                before[piece] = total
            result[piece], moments[0, piece], moments[1, piece] = torch.native_layer_norm(
                total, norm_weight.shape, norm_weight, norm_bias, 1e-5
            )
        ctx.save_for_backward(state, before, active, moments, *weights)
        ctx.plan = plan
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        state, before, active, moments, *weights = ctx.saved_tensors
        gradient = _Gradient(state, ctx.plan, weights, wanted=ctx.needs_input_grad[0])
        for piece in ctx.plan.pieces():
            change, y = gradient.norm(gradients[0][piece], before[piece], moments[:, piece])
            # bytes become floats faster than bools do
            change.mul_(active[piece].view(torch.uint8).to(change.dtype)).mul_(ctx.plan.gain)
            gradient.add(piece, change, y)
        return gradient.state(), None, *gradient.sums


class _Gradient:
    """Gradients of a layer's weights and, where wanted, of its input, piece by piece."""

    def __init__(
        self, state: Tensor, plan: Plan, weights: Sequence[Tensor], *, wanted: bool
    ) -> None:
        self.input, self.plan, self.weights = state, plan, weights
        self.sums = [None if w is None else torch.zeros_like(w) for w in weights]
        self.sum = torch.zeros_like(state) if wanted else None
        if wanted:
            shape = len(plan.relations), len(plan.rows), state.shape[1]
            self.means = state.new_empty(shape)

    def norm(self, out: Tensor, before: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of what goes into the layer norm from that of what comes out, twice."""
        weight, bias = self.weights[2:4]
        y, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            out, before, weight.shape, *moments, weight, bias, [True, True, True]
        )
        self.sums[2] += d_weight
        self.sums[3] += d_bias
        return y.clone(), y

    def add(self, piece: slice, change: Tensor, y: Tensor) -> None:
        """Take in a piece's gradients of the change and of what it is added to."""
        own, lift, *maps = self.weights[0], *self.weights[4:5], *self.weights[6:]
        x = self.input.index_select(0, self.plan.rows[piece])
        kind = self.plan.kinds[piece]
        self.sums[0].addmm_(change.T, x)
        _add_by_kind(self.sums[1], change, kind)
        if lift is not None:
            self.sums[4].addmm_(y.T, x)
            _add_by_kind(self.sums[5], y, kind)
        for number in range(len(self.plan.relations)):
            self._relation(piece, change, number, maps[number])
        if self.sum is not None:
            back = y if lift is None else y @ lift
            self.sum.index_add_(0, self.plan.rows[piece], back.addmm_(change, own))

    def _relation(self, piece: slice, change: Tensor, number: int, transform: Tensor) -> None:
        neighbours = self.plan.relations[number]
        mean = neighbours.means(self.input, piece)
        if mean is None:
            return
        self.sums[6 + number].addmm_(change.T, mean)
        counts = neighbours.counts(piece)
        if self.weights[4] is not None:
            has = (counts > 0).to(change.dtype)
            self.sums[6 + len(self.plan.relations) + number] += has @ change
        if self.sum is not None:
            part = torch.mm(change, transform, out=self.means[number, piece])
            part.div_(counts.clamp(min=1)[:, None])

    def state(self) -> Tensor | None:
        """The gradient of the layer's input: along each edge, from destination to source."""
        if self.sum is None:
            return None
        for number, (pointer, sources) in enumerate(self.plan.relations):
            shape = len(pointer) - 1, len(self.sum)
            ones = np.ones(len(sources), dtype=np.bool_)
            edges = csr_matrix((ones, sources.cpu(), pointer.cpu()), shape=shape).tocsc()
            targets = torch.from_numpy(edges.indices).to(sources)
            starts = torch.from_numpy(edges.indptr).to(pointer)
            for start in range(0, len(self.sum), PIECE):
                span = starts[start : start + PIECE + 1]
                part = _pooled(self.means[number], targets, span, "sum")
                if part is not None:
                    self.sum[start : start + PIECE] += part
        return self.sum


def _mapped(x: Tensor, weight: Tensor, bias: Tensor, kind: Tensor) -> Tensor:
    """Rows through a map, and the bias of each row's type or, if it has one row, of all."""
    is_alike = len(bias) == 1 or bool(kind[0] == kind[-1] and (kind == kind[0]).all())
    if is_alike:
        return torch.addmm(bias[0 if len(bias) == 1 else kind[0]], x, weight.T)
    return bias[kind].addmm_(x, weight.T)


def _add_by_kind(total: Tensor, rows: Tensor, kind: Tensor) -> None:
    if len(total) == 1:
        total += rows.sum(dim=0)
    else:
        total += F.one_hot(kind, len(total)).to(rows.dtype).T @ rows


def _pooled(state: Tensor, sources: Tensor, pointer: Tensor, mode: str) -> Tensor | None:
    """Sum or mean of the states of each list; pointer: (lists + 1,) where lists start and end."""
    first, last = int(pointer[0]), int(pointer[-1])
    if first == last:
        return None
    return F.embedding_bag(sources[first:last], state, pointer[:-1] - first, mode=mode)
