"""The loop over epochs that both models share: keep the best, stop early, store the state."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from cprtools.training.checkpoint import Checkpoint


@dataclass
class Loop:
    """What a training loop carries from epoch to epoch."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    random: np.random.Generator | None = None
    """Of the samplers; None where every epoch begins with seeds of its own."""
    epoch: int = 0
    """Epochs done."""
    hits: list[float] = field(default_factory=list)
    """The measure of each."""
    best: dict[str, Tensor] | None = None
    """Weights of the best of them; None where nothing was measured."""
    is_finished: bool = False

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are kept, from 1: the last one where nothing was measured."""
        return 1 + int(np.argmax(self.hits)) if self.hits else self.epoch

    @property
    def stale(self) -> int:
        """Epochs since the best one."""
        return len(self.hits) - self.best_epoch if self.hits else 0

    def keep_best(self, hit: float) -> None:
        """Add the measure of an epoch, and its weights where it is the best so far."""
        if hit > max(self.hits, default=-1.0):
            weights = self.network.state_dict()
            self.best = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self.hits.append(hit)

    def begin(self, epochs: int, checkpoint: "Checkpoint | None") -> tuple[int, int]:
        """Take up what the checkpoint holds; the first epoch to do, and the one to stop before."""
        if checkpoint is not None:
            checkpoint.restore(self)
        return self.epoch, self.epoch if self.is_finished else epochs

    def run(
        self,
        epochs: Iterable[int],
        one_epoch: Callable[[int], None],
        measure: Callable[[], float] | None,
        patience: int,
        checkpoint: "Checkpoint | None",
    ) -> None:
        """Go through the epochs, or until `patience` of them brought no better measure.

        In the end the network has the weights of the best epoch.
        """
        for epoch in epochs:
            one_epoch(epoch)
            self.epoch = epoch + 1
            if measure is not None:
                self.keep_best(measure())
            if self.stale >= patience:
                break
            if checkpoint is not None:
                checkpoint.save(self)
        if not self.is_finished and self.best is not None:
            self.network.load_state_dict(self.best)
        self.is_finished = True
        if checkpoint is not None:
            checkpoint.save(self)
