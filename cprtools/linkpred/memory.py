"""How much memory the training of the graph model takes."""

from dataclasses import fields
from math import prod

import numpy as np
from torch import nn

from cprtools.graph.homogeneous import RELATIONS, FloatArray, HomogeneousGraph
from cprtools.linkpred.options import TrainingOptions
from cprtools.training.run import COPIES, FLOAT_BYTES, KEPT, memory_line, num_weights

# states of all nodes while a layer makes the next ones
_STATES = 4


def memory_note(
    network: nn.Module,
    graph: HomogeneousGraph,
    vectors: FloatArray | None,
    options: TrainingOptions,
) -> str:
    """One line that says what training will take, beside the tables already read."""
    weights = num_weights(network)
    arrays = [getattr(graph, field.name) for field in fields(graph)]
    # of the sampler's, the batches' and the features' own arrays as much again
    held = 2 * sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
    dim, given = options.embedding_dim, 0
    if vectors is not None:
        given = vectors.shape[1]
        # those of products and sellers, and as much again while they are made
        held += 2 * (vectors.nbytes + FLOAT_BYTES * graph.num_sellers * given)
    everything = _STATES * graph.num_nodes * (dim + given)
    entries = COPIES * weights + max(everything, _batch_entries(graph, options, max(dim, given)))
    return memory_line(FLOAT_BYTES * entries + held, weights)


def _batch_entries(graph: HomogeneousGraph, options: TrainingOptions, width: int) -> int:
    """Numbers that a step keeps: states of all that is sampled around a batch, and its logits.

    And what each layer's maps multiplied, vectors of `width` numbers at most.
    """
    candidates = options.batch_size + options.num_negatives
    roots = options.batch_size + candidates
    sizes = options.fanouts()
    *around, ends = (
        min(graph.num_nodes, roots * prod(1 + size for size in sizes[at:]))
        for at in range(len(sizes) + 1)
    )
    destinations = sum(around[1:]) + ends
    states = KEPT * (options.batch_size * candidates + sum(around) * options.embedding_dim)
    return states + (1 + len(RELATIONS)) * destinations * width
