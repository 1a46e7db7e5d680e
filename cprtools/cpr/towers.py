"""The two towers of the triplet baseline."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cprtools.cpr.config import CprConfig
from cprtools.cpr.features import Features
from cprtools.cpr.product2vec import Product2Vec


class TwoTowers(nn.Module):
    """A product's features to a unit vector as query, and by other weights to one as candidate."""

    dense: Tensor
    codes: Tensor

    def __init__(self, features: Features, config: CprConfig):
        super().__init__()
        self.register_buffer("dense", torch.from_numpy(features.dense), persistent=False)
        self.register_buffer("codes", torch.from_numpy(features.codes), persistent=False)
        width = features.dense.shape[1]
        self.query = Product2Vec(features.sizes, width, config)
        self.candidate = Product2Vec(features.sizes, width, config)

    def source(self, products: Tensor) -> Tensor:
        """As query: (batch,) int64 to unit rows, (batch, embedding_dim) float32."""
        return F.normalize(self.query(self.dense[products], self.codes[products]), dim=1)

    def target(self, products: Tensor) -> Tensor:
        """As candidate: (batch,) int64 to unit rows, (batch, embedding_dim) float32."""
        return F.normalize(self.candidate(self.dense[products], self.codes[products]), dim=1)


def triplet_loss(true: Tensor, sampled: Tensor, is_other: Tensor, margin: float) -> Tensor:
    """Mean of max(0, margin - true + sampled) over the triplets that violate the margin.

    true: (batch,) cosines of the pairs; sampled: (batch, negatives) cosines; is_other: (batch,
    negatives) bool, False where the sampled candidate is a true one. Returns a scalar, 0 where no
    triplet violates the margin. Source: Schroff et al., FaceNet, CVPR 2015; easy triplets left out
    of the mean as in Hermans et al., 2017.
    """
    violations = (margin - true[:, None] + sampled).clamp(min=0) * is_other
    return violations.sum() / (violations > 0).sum().clamp(min=1)
