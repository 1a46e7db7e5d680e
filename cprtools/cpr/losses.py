"""Losses of the complement model, as functions of tensors."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# finite, so that a row whose every candidate is excluded gives no NaN
EXCLUDED = -1e4


class Entries(NamedTuple):
    """Some cells of a (batch, num_candidates) matrix: each (entries,)."""

    rows: Tensor
    columns: Tensor
    weights: Tensor


def squared_distance(left: Tensor, right: Tensor) -> Tensor:
    """Squared Euclidean distance over the last axis: (..., dim) and (..., dim) to (...)."""
    return (left - right).square().sum(dim=-1)


def hinge_loss(distance: Tensor, label: Tensor, margin: float, slack: float) -> Tensor:
    """Mean hinge of squared distances; label is +1 for true pairs, -1 for sampled ones.

    distance, label: (batch,) float32. Returns a scalar.
    Zero where a true pair is closer than margin - slack and a sampled one further than
    margin + slack: max(0, slack - y (margin - d^2)).
    Source: Hao et al., CIKM 2020, the loss of all three parts.
    """
    return (slack - label * (margin - distance)).clamp(min=0).mean()


def pair_hinge(true: Tensor, sampled: Tensor, margin: float, slack: float) -> Tensor:
    """Mean of the hinges of true and of sampled squared distances, each side with half the weight.

    true: (pairs,); sampled: (any number,) float32. Returns a scalar.
    """
    pulled = hinge_loss(true, torch.ones_like(true), margin, slack)
    pushed = hinge_loss(sampled, -torch.ones_like(sampled), margin, slack)
    return (pulled + pushed) / 2


def joint_loss(item: Tensor, type_: Tensor, alpha: float) -> Tensor:
    """The sum alpha item + (1 - alpha) type. Source: Hao et al., CIKM 2020, the joint objective."""
    return alpha * item + (1 - alpha) * type_


def sampled_softmax_loss(
    logits: Tensor, positives: Entries, known: Entries, log_rates: Tensor
) -> Tensor:
    """Weighted mean over the positives of -log softmax among all candidates, from a sample of them.

    logits: (batch, sample) float32. positives: the pairs to predict, all of them in the sample.
    known: pairs that the query side has seen; they compete with nobody. log_rates: (sample,) log
    of the chance that a candidate is in the sample. A candidate stands for 1 / rate others, except
    in rows where it is a positive, since there it is in the sample for certain. With log_rates 0
    this is the full softmax.
    Source: the logQ correction of Bengio and Senecal, 2008, with chances of inclusion.
    """
    corrected = logits - log_rates
    where = positives.rows, positives.columns
    corrected = corrected.index_put(where, logits[where])
    excluded = torch.full_like(known.weights, EXCLUDED)
    corrected = corrected.index_put((known.rows, known.columns), excluded)
    chosen = F.log_softmax(corrected, dim=1)[where]
    return -(positives.weights * chosen).sum() / positives.weights.sum()


def type_cross_entropy(log_probabilities: Tensor, pairs: Entries) -> Tensor:
    """Weighted mean of -log P(type | query), (batch, num_types), over the pairs: a scalar."""
    chosen = log_probabilities[pairs.rows, pairs.columns]
    return -(pairs.weights * chosen).sum() / pairs.weights.sum()
