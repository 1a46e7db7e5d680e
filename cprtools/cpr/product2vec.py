"""Product2Vec: a product's features to its embedding, and attention over similar products."""

import torch
from torch import Tensor, nn

from cprtools.cpr.config import CprConfig


class Product2Vec(nn.Module):
    """theta = FFN(x), x the product's vector, price and embedded type and attributes.

    Source: Hao et al., CIKM 2020, Product2Vec. A product never seen has theta from its features.
    """

    def __init__(self, sizes: tuple[int, ...], dense_dim: int, config: CprConfig):
        super().__init__()
        tables = [nn.Embedding(size, config.attribute_dim) for size in sizes]
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
        self.tables = nn.ModuleList(tables)
        self.ffn = nn.Sequential(
            nn.Linear(dense_dim + len(sizes) * config.attribute_dim, config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_dim, config.embedding_dim),
        )

    def forward(self, dense: Tensor, codes: Tensor) -> Tensor:
        """(batch, dense_dim) float32 and (batch, columns) int64 to (batch, embedding_dim)."""
        embedded = [table(codes[:, i]) for i, table in enumerate(self.tables)]
        theta: Tensor = self.ffn(torch.cat([dense, *embedded], dim=1))
        return theta


def attention_weights(
    item: Tensor, neighbours: Tensor, is_real: Tensor, *, is_scaled: bool = True
) -> Tensor:
    """Softmax of the dot products over the real neighbours: (batch, width) float32.

    item: (batch, dim); neighbours: (batch, width, dim); is_real: (batch, width) bool, False for
    padding, which gets weight 0. A row sums to one, or to zero where it has no real neighbour.
    is_scaled: divide the dot products by sqrt(dim), so that attention is not one-hot from the
    start; the paper does not.
    """
    scores = (neighbours @ item[:, :, None])[:, :, 0]
    if is_scaled:
        scores = scores / item.shape[1] ** 0.5
    scores = scores.masked_fill(~is_real, torch.finfo(scores.dtype).min)
    weights: Tensor = scores.softmax(dim=1) * is_real
    return weights


def pool_neighbours(
    item: Tensor, neighbours: Tensor, is_real: Tensor, *, is_scaled: bool = True
) -> Tensor:
    """Embedding of the neighbourhood, the attention-weighted mean: (batch, dim)."""
    weights = attention_weights(item, neighbours, is_real, is_scaled=is_scaled)
    return (weights[:, None, :] @ neighbours)[:, 0, :]
