"""How much memory the training of complements takes."""

from torch import Tensor, nn

from cprtools.cpr.config import CprConfig
from cprtools.training.run import COPIES, FLOAT_BYTES, KEPT, memory_line, num_weights

# the few scores a query in validation
_VALIDATION_ROWS = 128 * 4


def memory_note(network: nn.Module, config: CprConfig, num_products: int, num_types: int) -> str:
    """One line that says what training will take, beside the tables already read."""
    weights = num_weights(network)
    buffers: list[Tensor] = list(network.buffers())
    held = sum(buffer.numel() * buffer.element_size() for buffer in buffers)
    rows, scores = _batch_size(config, num_products)
    # source, target and the history that makes the source, twice while they are copied
    closed_form = 6 * num_products * config.embedding_dim
    batch = KEPT * (scores + rows * (config.hidden_dim + 4 * config.embedding_dim))
    # of each query of a batch the types that may follow
    types = KEPT * config.batch_size * (num_types + 1) if config.preset == "default" else 0
    entries = COPIES * weights + batch + closed_form + types
    entries += _VALIDATION_ROWS * num_products
    return memory_line(FLOAT_BYTES * entries + held, weights)


def _batch_size(config: CprConfig, num_products: int) -> tuple[int, int]:
    """Products that a batch embeds, and pairs that it scores."""
    if config.preset == "default":
        candidates = min(config.num_negatives + config.batch_size, num_products)
        return config.batch_size + candidates, config.batch_size * candidates
    pairs = config.batch_size * (1 + config.num_negatives)
    return config.batch_size + pairs, pairs
