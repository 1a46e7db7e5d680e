"""A layer's arithmetic, in pieces of rows that fit the processor's cache, and its gradient.

Left to autograd, a step of training spends most of its time on fresh memory for large intermediate
tensors, and on gathers whose gradient adds up row by row. Here what the maps multiply, the sum
before the layer norm and a byte for each entry of the change are kept, and the gradient goes back
along the edges as one more sum over neighbours.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor

PIECE = 2048
"""Rows of a piece: 1 MB of states at 128 float32, and as much for each relation's means."""
_FILLED = 256
"""Rows of a shorter product come in multiples of it: torch compiles, and keeps, each of its sizes,
in half a millisecond and 0.7 MB."""
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

    rows: (num_dst,) int64, each destination's row of the state, None where these are its first;
    kept: (num_dst, dim) uint8, 0 where a change is set to zero, or None; gain: what the others are
    multiplied with; kinds: (num_dst,) int64 type of each destination; sender: the type that each
    relation's messages come from; is_trained: a gradient will be asked for; precision: of messages,
    of what maps multiply and of each product of a piece, the state's where None. Sums over pieces
    and the states themselves have the state's. short: the state in that precision, if it is there.
    """

    rows: Tensor | None
    relations: Sequence[Neighbours]
    kept: Tensor | None
    gain: float
    kinds: Tensor
    sender: Sequence[int]
    is_trained: bool
    precision: torch.dtype | None = None
    short: Tensor | None = None

    def rounded(self, numbers: Tensor) -> Tensor:
        """The numbers as a map multiplies them."""
        return numbers.to(self.precision or numbers.dtype)

    def filled(self, rows: Tensor) -> Tensor:
        """The rows, and below them zeros to a multiple of `_FILLED` where products are shorter."""
        lacking = 0 if self.precision is None else -len(rows) % _FILLED
        return F.pad(rows, (0, 0, 0, lacking)) if lacking else rows

    def own(self, state: Tensor, piece: slice) -> Tensor:
        """The destinations' own rows of the state."""
        return state[piece] if self.rows is None else state.index_select(0, self.rows[piece])

    def inputs(self, short: Tensor, piece: slice) -> tuple[Tensor, list[int]]:
        """What the maps of a piece multiply, and the relations that it has edges of.

        (rows, (1 + relations) * feature_dim): the own rows of the state, beside them the means,
        `filled`. short: the state as maps multiply it.
        """
        means = [(at, r.means(short, piece)) for at, r in enumerate(self.relations)]
        present = [(at, mean) for at, mean in means if mean is not None]
        parts = [self.own(short, piece), *(mean for _, mean in present)]
        return self.filled(torch.cat(parts, dim=1)), [at for at, _ in present]

    def pieces(self) -> list[slice]:
        """Rows to be handled together; of one type, as long as types come in runs."""
        count = len(self.kinds)
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
        _, bias, norm_weight, norm_bias, lift, shift, *_ = weights
        maps = _Maps(plan, weights)
        size = len(plan.kinds), len(norm_weight)
        short = plan.rounded(state) if plan.short is None else plan.short
        result = state.new_empty(size)
        before = state.new_empty(size) if plan.is_trained else result
        active = state.new_empty(size if plan.is_trained else (0, 0), dtype=torch.bool)
        moments = state.new_empty(2, size[0], 1)
        ctx.inputs = deque()
        for piece in plan.pieces():
            kind = plan.kinds[piece]
            inputs, present = plan.inputs(short, piece)
            if plan.is_trained:
                ctx.inputs.append((inputs, present))
            change = _mapped(inputs, maps.beside(present), bias, kind)
            if lift is not None:
                for number in present:
                    has = (plan.relations[number].counts(piece) > 0).to(change.dtype)
                    change.addr_(has, maps.shifts[number])
            change.relu_()
            if plan.kept is not None:
                change.mul_(plan.kept[piece].to(change.dtype))
            if maps.lift is None:
                y = plan.own(state, piece)
            else:
                y = _mapped(inputs[:, : state.shape[1]], maps.lift, shift, kind)
            if plan.is_trained:
                torch.gt(change, 0, out=active[piece])
            total = torch.add(y, change, alpha=plan.gain, out=before[piece])
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
            inputs, present = ctx.inputs.popleft()
            y = gradient.norm(gradients[0][piece], before[piece], moments[:, piece])
            # bytes become floats faster than bools do
            change = active[piece].view(torch.uint8).to(y.dtype).mul_(y).mul_(ctx.plan.gain)
            gradient.add(piece, inputs, present, change, y)
        return gradient.state(), None, *gradient.sums


class _Maps:
    """A layer's maps as they multiply, out of its weights in the order of `apply_layer`."""

    def __init__(self, plan: Plan, weights: Sequence[Tensor]) -> None:
        end = 6 + len(plan.relations)
        self._own, *self._relations = (plan.rounded(w) for w in (weights[0], *weights[6:end]))
        self.lift = None if weights[4] is None else plan.rounded(weights[4])
        self.shifts = weights[end:]

    def beside(self, relations: Sequence[int]) -> Tensor:
        """The own map beside those of the relations: (dim, (1 + len(relations)) * feature_dim)."""
        return torch.cat([self._own, *(self._relations[number] for number in relations)], dim=1)


class _Gradient:
    """Gradients of a layer's weights and, where wanted, of its input, piece by piece."""

    def __init__(
        self, state: Tensor, plan: Plan, weights: Sequence[Tensor], *, wanted: bool
    ) -> None:
        self.input, self.plan, self.weights, self.wanted = state, plan, weights, wanted
        self.maps = _Maps(plan, weights)
        self.sums = [None if w is None else torch.zeros_like(w) for w in weights]
        shape = len(plan.kinds), state.shape[1]
        self.own = state.new_empty(shape if wanted else 0)
        self.means = [
            state.new_empty(shape, dtype=plan.precision) for _ in plan.relations if wanted
        ]

    def norm(self, out: Tensor, before: Tensor, moments: Tensor) -> Tensor:
        """The gradient of what goes into the layer norm from that of what comes out."""
        weight, bias = self.weights[2:4]
        y, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            out, before, weight.shape, *moments, weight, bias, [True, True, True]
        )
        self.sums[2] += d_weight
        self.sums[3] += d_bias
        found: Tensor = y
        return found

    def add(
        self, piece: slice, inputs: Tensor, present: Sequence[int], change: Tensor, y: Tensor
    ) -> None:
        """Take in a piece's gradients of the change and of what it is added to.

        inputs, present: what `Plan.inputs` gave for it.
        """
        kind, size = self.plan.kinds[piece], self.input.shape[1]
        short = self.plan.filled(self.plan.rounded(change))
        places = [0, *(6 + number for number in present)]
        for place, part in zip(places, torch.split(short.T @ inputs, size, dim=1), strict=True):
            self.sums[place] += part
        _add_by_kind(self.sums[1], change, kind)
        if self.maps.lift is not None:
            lifted = self.plan.filled(self.plan.rounded(y))
            self.sums[4] += lifted.T @ inputs[:, :size]
            _add_by_kind(self.sums[5], y, kind)
            self._add_shifts(piece, present, change)
            y = (lifted @ self.maps.lift)[: len(y)] if self.wanted else y
        if self.wanted:
            gradients = (short @ self.maps.beside(present))[: len(y)]
            own, *means = torch.split(gradients, size, dim=1)
            torch.add(y, own, out=self.own[piece])
            for number, mean in zip(present, means, strict=True):
                counts = self.plan.relations[number].counts(piece).clamp(min=1)
                torch.div(mean, counts[:, None], out=self.means[number][piece])

    def _add_shifts(self, piece: slice, present: Sequence[int], change: Tensor) -> None:
        for number in present:
            has = (self.plan.relations[number].counts(piece) > 0).to(change.dtype)
            self.sums[6 + len(self.plan.relations) + number] += has @ change

    def state(self) -> Tensor | None:
        """The gradient of the layer's input: along each edge, from destination to source."""
        if not self.wanted:
            return None
        result = torch.empty_like(self.input)
        backward = [_turned(relation, len(result)) for relation in self.plan.relations]
        for start in range(0, len(result), PIECE):
            rows = result[start : start + PIECE]
            is_empty = True
            for (starts, targets), means in zip(backward, self.means, strict=True):
                part = _pooled(means, targets, starts[start : start + PIECE + 1], "sum")
                if part is not None:
                    rows.copy_(part) if is_empty else rows.add_(part)
                    is_empty = False
            if is_empty:
                rows.zero_()
        if self.plan.rows is not None:
            return result.index_add_(0, self.plan.rows, self.own)
        result[: len(self.own)] += self.own
        return result


def _turned(relation: Neighbours, num_sources: int) -> Neighbours:
    """The edges the other way: for each of the sources its destinations."""
    pointer, sources = relation
    ones = np.ones(len(sources), dtype=np.bool_)
    shape = len(pointer) - 1, num_sources
    edges = csr_matrix((ones, sources.cpu(), pointer.cpu()), shape=shape).tocsc()
    ends = (torch.from_numpy(ends).to(sources) for ends in (edges.indptr, edges.indices))
    return Neighbours(*ends)


def _mapped(x: Tensor, weight: Tensor, bias: Tensor, kind: Tensor) -> Tensor:
    """Rows through a map, and the bias of each row's type or, if it has one row, of all.

    x: (len(kind) or more, any).
    """
    is_alike = len(bias) == 1 or bool(kind[0] == kind[-1] and (kind == kind[0]).all())
    rows = bias if len(bias) == 1 else bias[kind[:1]] if is_alike else bias[kind]
    if x.dtype == bias.dtype:
        return torch.addmm(rows, x, weight.T)
    return rows + (x @ weight.T)[: len(kind)]


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
