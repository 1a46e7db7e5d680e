"""Batches drawn from the known pairs: what the training loop feeds to the networks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix, hstack
from torch import Tensor

from cprtools.baselines.contract import IntArray
from cprtools.baselines.sparse import canonical, reweight
from cprtools.cpr.bags import Bags
from cprtools.cpr.config import CprConfig
from cprtools.cpr.losses import Entries

# at most so many pairs of one query are predicted at a time; the others stay in its history
_MAX_TARGETS = 20
# a small catalogue is gone through several times in one epoch
_LEAST_STEPS = 20
# share of queries that see only who leads to them, as products do that nobody bought first
_REVERSE_ONLY = 0.15


@dataclass(frozen=True)
class SoftmaxBatch:
    """Some queries, a part of their pairs as history, the others to predict among candidates."""

    queries: Tensor
    """(batch,) int64."""
    history: Bags
    candidates: Tensor
    """(sample,) int64, ascending."""
    is_known: Tensor
    """(sample,) float32, 0 where the identity is switched off."""
    log_rates: Tensor
    """(sample,) float32 log of the chance to be in the sample."""
    positives: Entries
    known: Entries


@dataclass(frozen=True)
class PairBatch:
    """Pairs, and sampled candidates for each: what the hinge losses take."""

    queries: Tensor
    """(batch,) int64."""
    candidates: Tensor
    """(batch,) int64."""
    negatives: Tensor
    """(batch, num_negatives) int64."""

    def all_candidates(self) -> Tensor:
        """The true candidate first, the sampled ones after it: (batch, 1 + num_negatives)."""
        return torch.cat([self.candidates[:, None], self.negatives], dim=1)


@dataclass(frozen=True)
class NeighbourBatch:
    """Products with similar neighbours, and the neighbourhood of another one."""

    items: Tensor
    """(batch,) int64."""
    neighbours: Tensor
    """(batch, width) int64; padding is product 0."""
    is_real: Tensor
    """(batch, width) bool."""
    others: Tensor
    """(batch,) int64: rows of the batch whose neighbourhood is the random one."""


def damped(matrix: csr_matrix) -> csr_matrix:
    """Pairs weighted log(1 + count), scaled so that a single count weighs 1."""
    weighted = reweight(matrix, "log")
    weighted.data /= np.float32(np.log(2))
    return weighted


def history_bags(forward: csr_matrix, reverse: csr_matrix) -> Bags:
    """Each row's complements, and after them the products that it completes, as history rows.

    forward, reverse: (rows, num_products) float32. Weights are divided by the root of their number,
    so that long histories count more than short ones but do not drown them.
    """
    both = canonical(hstack([_by_root(forward), _by_root(reverse)], format="csr"))
    return Bags(
        torch.from_numpy(both.indices.astype(np.int64)),
        torch.from_numpy(both.indptr[:-1].astype(np.int64)),
        torch.from_numpy(both.data.astype(np.float32)),
    )


def _by_root(matrix: csr_matrix) -> csr_matrix:
    sizes = np.diff(matrix.indptr)
    result = matrix.copy()
    result.data = (matrix.data / np.repeat(np.sqrt(np.maximum(sizes, 1)), sizes)).astype(np.float32)
    return result


class SoftmaxSampler:
    """Draws `SoftmaxBatch`es of queries that have pairs."""

    def __init__(self, matrix: csr_matrix, config: CprConfig, random: np.random.Generator):
        self._forward = damped(matrix)
        self._reverse = canonical(self._forward.T.tocsr())
        self._config = config
        self._random = random
        self._queries = np.flatnonzero(np.diff(self._forward.indptr))
        arrivals = np.diff(self._reverse.indptr)
        self.seen: IntArray = np.flatnonzero(np.diff(self._forward.indptr) + arrivals)
        self._target_rates = self._chances_to_be_target()

    @property
    def num_batches(self) -> int:
        """Batches of an epoch."""
        once = -(-len(self._queries) // self._config.batch_size)
        return min(max(once, _LEAST_STEPS), self._config.max_steps)

    def epoch(self) -> Iterator[SoftmaxBatch]:
        """Batches over the queries in random order, as many as `num_batches` says."""
        size, order = self._config.batch_size, self._queries[:0]
        for _ in range(self.num_batches):
            if not len(order):
                order = self._random.permutation(self._queries)
            yield self._batch(np.sort(order[:size]))
            order = order[size:]

    def _chances_to_be_target(self) -> npt.NDArray[np.float64]:
        """(products,) that it is some query's target in a batch, for the correction of the sample.

        1 - prod over queries q that lead to it of (1 - P(q is drawn) taken(q) / size(q)).
        """
        drawn = min(1.0, self._config.batch_size / max(1, len(self._queries)))
        sizes = np.diff(self._forward.indptr)
        _, taken = self._num_targets(sizes)
        with np.errstate(divide="ignore"):
            missed = np.log1p(-drawn * taken / np.maximum(sizes, 1))
        num_products = self._forward.shape[1]
        entries = np.repeat(missed, sizes)
        return -np.expm1(np.bincount(self._forward.indices, entries, minlength=num_products))

    def _num_targets(self, sizes: IntArray) -> tuple[npt.NDArray[np.float64], IntArray]:
        """Of rows of these sizes the pairs that should be predicted, and as many as are."""
        wanted = np.maximum(np.rint(self._config.history_dropout * sizes), sizes > 0)
        return wanted, np.minimum(wanted, _MAX_TARGETS).astype(np.int64)

    def _batch(self, queries: IntArray) -> SoftmaxBatch:
        forward, reverse = self._forward[queries], self._reverse[queries]
        is_target, is_history, scale = self._split(forward)
        targets = _where(forward, is_target)
        targets.data = targets.data * np.repeat(scale, np.diff(targets.indptr))
        history = _where(forward, is_history)
        cold = self._random.random(len(queries)) < self._config.identity_dropout
        one_way = cold | (self._random.random(len(queries)) < _REVERSE_ONLY)
        seen_back = _drop_rows(canonical(reverse - reverse.multiply(targets.astype(bool))), cold)
        bags = history_bags(_drop_rows(history, one_way), seen_back)
        return self._sample(queries, bags, targets, history)

    def _split(
        self, forward: csr_matrix
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """Masks over the entries: to predict and to show; and what a target of each row counts."""
        sizes = np.diff(forward.indptr)
        wanted, taken = self._num_targets(sizes)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        order = _shuffled(rows, self._random)
        place = np.empty(forward.nnz, dtype=np.int64)
        place[order] = np.arange(forward.nnz) - forward.indptr[rows]
        is_target = place < taken[rows]
        return is_target, ~is_target, (wanted / np.maximum(taken, 1)).astype(np.float32)

    def _sample(
        self, queries: IntArray, bags: Bags, targets: csr_matrix, history: csr_matrix
    ) -> SoftmaxBatch:
        candidates, rates = self.seen, np.ones(len(self.seen))
        if len(self.seen) > self._config.num_negatives:
            drawn = self._random.choice(self.seen, self._config.num_negatives, replace=False)
            candidates = np.union1d(drawn, targets.indices)
            chance = self._config.num_negatives / len(self.seen)
            rates = 1 - (1 - chance) * (1 - self._target_rates[candidates])
        is_known = self._random.random(len(candidates)) >= self._config.identity_dropout
        return SoftmaxBatch(
            queries=torch.from_numpy(queries),
            history=bags,
            candidates=torch.from_numpy(candidates.astype(np.int64)),
            is_known=torch.from_numpy(is_known.astype(np.float32)),
            log_rates=torch.from_numpy(np.log(rates).astype(np.float32)),
            positives=_entries(targets, candidates),
            known=_entries(history, candidates),
        )


class PairSampler:
    """Draws `PairBatch`es in proportion to the pairs' damped weights."""

    def __init__(self, matrix: csr_matrix, config: CprConfig, random: np.random.Generator):
        pairs = damped(matrix).tocoo()
        self._pairs = pairs.row.astype(np.int64), pairs.col.astype(np.int64)
        self._chances = pairs.data.astype(np.float64) / pairs.data.sum(dtype=np.float64)
        self._num_products = matrix.shape[1]
        self._config = config
        self._random = random

    @property
    def num_batches(self) -> int:
        """Batches of an epoch."""
        once = -(-len(self._chances) // self._config.batch_size)
        return min(max(once, _LEAST_STEPS), self._config.max_steps)

    def epoch(self) -> Iterator[PairBatch]:
        """About as many pairs as there are, drawn with replacement."""
        size = min(self._config.batch_size, len(self._chances))
        for _ in range(self.num_batches):
            chosen = self._random.choice(len(self._chances), size, p=self._chances)
            shape = len(chosen), self._config.num_negatives
            yield PairBatch(
                queries=torch.from_numpy(self._pairs[0][chosen]),
                candidates=torch.from_numpy(self._pairs[1][chosen]),
                negatives=torch.from_numpy(self._random.integers(self._num_products, size=shape)),
            )


class NeighbourSampler:
    """Draws `NeighbourBatch`es of products that have similar ones."""

    def __init__(self, similar: csr_matrix, config: CprConfig, random: np.random.Generator):
        self._similar = canonical(csr_matrix(similar, dtype=np.float32))
        self._items = np.flatnonzero(np.diff(self._similar.indptr))
        self._width = config.max_neighbours
        self._random = random

    @property
    def num_items(self) -> int:
        """Products with at least one similar product."""
        return len(self._items)

    def draw(self, size: int) -> NeighbourBatch:
        """A batch of at least two and at most `size` products; needs two products to draw from."""
        items = self._random.choice(self._items, min(size, len(self._items)), replace=False)
        rows = self._similar[items]
        counts = np.diff(rows.indptr)
        row_of = np.repeat(np.arange(len(items)), counts)
        order = _shuffled(row_of, self._random)
        place = np.arange(rows.nnz) - rows.indptr[row_of]
        kept = place < self._width
        neighbours = np.zeros((len(items), self._width), dtype=np.int64)
        neighbours[row_of[kept], place[kept]] = rows.indices[order][kept]
        shift = self._random.integers(1, len(items), size=len(items))
        return NeighbourBatch(
            items=torch.from_numpy(items.astype(np.int64)),
            neighbours=torch.from_numpy(neighbours),
            is_real=torch.from_numpy(np.arange(self._width) < counts[:, None]),
            others=torch.from_numpy((np.arange(len(items)) + shift) % len(items)),
        )


def _shuffled(rows: IntArray, random: np.random.Generator) -> IntArray:
    """An order of entries by their row, at random within each: (entries,), rows ascending."""
    # one key where two would do as well: sorting by two takes ten times as long
    return np.argsort(rows + random.random(len(rows)))


def _where(matrix: csr_matrix, mask: npt.NDArray[np.bool_]) -> csr_matrix:
    """The entries under the mask, (nnz,) bool."""
    ends = np.concatenate([[0], np.cumsum(mask)])[matrix.indptr]
    return csr_matrix((matrix.data[mask], matrix.indices[mask], ends), shape=matrix.shape)


def _drop_rows(matrix: csr_matrix, dropped: npt.NDArray[np.bool_]) -> csr_matrix:
    return _where(matrix, ~np.repeat(dropped, np.diff(matrix.indptr)))


def _entries(matrix: csr_matrix, candidates: IntArray) -> Entries:
    """The cells of the matrix that lie in these columns, numbered by their place among them."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    places = np.searchsorted(candidates, matrix.indices)
    places = np.minimum(places, len(candidates) - 1)
    inside = candidates[places] == matrix.indices
    return Entries(
        torch.from_numpy(rows[inside].astype(np.int64)),
        torch.from_numpy(places[inside].astype(np.int64)),
        torch.from_numpy(matrix.data[inside].astype(np.float32)),
    )
