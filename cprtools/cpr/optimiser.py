"""AdamW for networks with tables of a row per product, of which a batch touches a few."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# steps between two decays of a whole table: its other rows stay where they are meanwhile
_DECAY_EVERY = 16


class TableAdamW(torch.optim.AdamW):
    """AdamW that updates only the rows of a table that have a gradient, where it is sparse.

    A step then costs as much on a large catalogue as on a small one. Moments of the other rows
    wait (lazy Adam, as in torch.optim.SparseAdam), and the decoupled decay of Loshchilov and
    Hutter, ICLR 2019, is applied to the whole table every 16 steps, for all of them.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient."""
        kept: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self._update_rows(table, group)
                    kept.append((table, table.grad))
                    # AdamW itself refuses sparse gradients, and passes over none
                    table.grad = None
        result = super().step(closure)  # type: ignore[no-untyped-call]
        for table, gradient in kept:
            table.grad = gradient
        return result

    def _update_rows(self, table: Tensor, group: dict[str, Any]) -> None:
        assert table.grad is not None
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        state["step"] += 1
        gradient = table.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        first_rate, second_rate = group["betas"]
        first = state["exp_avg"][rows].lerp_(values, 1 - first_rate)
        second = state["exp_avg_sq"][rows].lerp_(values.square(), 1 - second_rate)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = first, second
        steps = float(state["step"])
        spread = (second / (1 - second_rate**steps)).sqrt_().add_(group["eps"])
        table.index_add_(0, rows, first / spread, alpha=-group["lr"] / (1 - first_rate**steps))
        if steps % _DECAY_EVERY == 0:
            table.mul_((1 - group["lr"] * group["weight_decay"]) ** _DECAY_EVERY)
