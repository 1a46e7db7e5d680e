"""The evidence that the second stage learns from: candidates of queries with held-out pairs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from cprtools.ranking.two_stage import TwoStage, known_mask, query_blocks

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Collected:
    """Retrieved candidates of queries with held-out pairs: what a ranker is fitted on."""

    features: FloatArray
    """(rows, features) float32."""
    counts: FloatArray
    """(rows,) float32 weight of the held-out pair, 0 where there is none."""
    groups: IntArray
    """(rows,) query of each row, ascending."""
    cols: IntArray
    """(rows,) candidate of each row."""

    @classmethod
    def joined(cls, parts: "list[Collected]") -> "tuple[Collected, IntArray]":
        """One after the other, groups numbered on, and the (rows,) query of each row."""
        # a part without candidates does not know how many features there are
        parts = [part for part in parts if len(part.groups)] or parts[:1]
        queries = [part.groups for part in parts]
        step = max(int(found.max(initial=-1)) for found in queries) + 1
        groups = np.concatenate([found + i * step for i, found in enumerate(queries)])
        features = np.concatenate([part.features for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        cols = np.concatenate([part.cols for part in parts])
        return cls(features, counts, groups, cols), np.concatenate(queries)


@dataclass(frozen=True)
class DrawnAsNew:
    """Candidates all of whose pairs were held out: the ranker learns from them.

    Where it is used candidates do not look like that, so the calibration leaves them out.
    """

    which: BoolArray
    """(candidates,) bool."""
    weight: float
    """What a pair held out of them counts. Of others a part is held out: at full weight a
    candidate without history would seem that much likelier."""


def collect_evidence(
    stage: TwoStage, positives: csr_matrix, *, keep_known: bool = False, seed: int = 0
) -> Collected:
    """Evidence about the candidates of at most `max_queries` queries of `positives`."""
    queries = np.flatnonzero(np.diff(positives.indptr)).astype(np.int64)
    limit = stage.settings.max_queries
    if len(queries) > limit:
        # where pairs recur most purchases follow few queries: these weigh more, but not alone
        sums = np.asarray(positives[queries].sum(axis=1)).ravel()
        chances = np.sqrt(sums) / np.sqrt(sums).sum() if keep_known else None
        drawn = np.random.default_rng(seed).choice(queries, limit, replace=False, p=chances)
        queries = np.sort(drawn)
    return evidence_of(stage, queries, positives, keep_known=keep_known)


def evidence_of(
    stage: TwoStage,
    queries: IntArray,
    positives: csr_matrix | None = None,
    *,
    keep_known: bool = False,
) -> Collected:
    """Evidence about the candidates of these queries, ascending; without positives no counts."""
    features, counts, groups, cols = [], [], [], []
    for block in query_blocks(queries, len(stage.pool.members), len(stage.sources)):
        allowed = known_mask(stage.problem, block, stage.pool, keep_known=keep_known)
        pairs = stage.evidence_block(block, allowed)
        features.append(pairs.features)
        if positives is None:
            counts.append(np.zeros(len(pairs.cols), np.float32))
        else:
            held_out = np.asarray(positives[block[pairs.rows], pairs.cols])
            counts.append(held_out.ravel().astype(np.float32))
        groups.append(block[pairs.rows])
        cols.append(pairs.cols)
    if not features:
        features, counts = [np.zeros((0, 1), np.float32)], [np.zeros(0, np.float32)]
        groups = cols = [np.zeros(0, np.int64)]
    return Collected(
        np.concatenate(features),
        np.concatenate(counts),
        np.concatenate(groups),
        np.concatenate(cols),
    )


def usual_rows(
    found: Collected, positives: csr_matrix, drawn_as_new: DrawnAsNew | None
) -> BoolArray:
    """(rows,) those of usual candidates, of queries from which such a candidate was held out."""
    if drawn_as_new is None:
        return np.ones(len(found.cols), dtype=bool)
    is_usual = ~drawn_as_new.which
    asked = positives[:, is_usual].getnnz(axis=1) > 0
    return np.asarray(asked[found.groups] & is_usual[found.cols])
