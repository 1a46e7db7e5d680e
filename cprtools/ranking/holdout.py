"""Pairs held out inside the training part, for the ranker to learn from."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, diags, triu

from cprtools.baselines.contract import Problem
from cprtools.baselines.rows import owners
from cprtools.baselines.sparse import canonical
from cprtools.baselines.tuning import divide_later

BoolArray = npt.NDArray[np.bool_]
# co-purchases looked at: to estimate a share, and in one go
_SAMPLED, _AT_ONCE = 100_000, 1_000_000
# between the seeds of two draws: far from the next seed that a user would take
_NEXT_DRAW = 1000


def hold_out_listings(
    problem: Problem,
    *,
    fraction: float = 0.2,
    min_rows: int = 5,
    products: float = 0.0,
    purchases_at_sellers: bool = False,
    seed: int = 0,
) -> tuple[Problem, csr_matrix]:
    """Sellers: `fraction` of the listings of each seller with at least `min_rows`, rounded down.

    products: the share of products all of whose listings are held out as well, whoever lists
    them, as if nobody listed them yet.
    purchases_at_sellers: what was bought together was bought at a seller that lists both, so that
    it tells of the listings held out; the co-purchases that those explain are left out as well.
    Returns the problem without all that, and the listings (queries x candidates, candidates only).
    """
    matrix = problem.matrix
    held = _share_of_each(matrix, fraction, min_rows, seed)
    if products:
        is_new = np.random.default_rng([seed, 1]).random(matrix.shape[1]) < products
        held |= is_new[matrix.indices]
    if problem.is_candidate is not None:
        held &= problem.is_candidate[matrix.indices]
    inner, positives = _divide(problem, held)
    if purchases_at_sellers:
        inner = replace(inner, co_purchases=_still_explained(problem, inner, seed))
    return inner, positives


def shares_at_sellers(problem: Problem) -> tuple[float, float]:
    """Of the co-purchases, or of some if they are many, the share with a seller of both products.

    And that share by chance: of as many pairs of these same products, one side of them permuted.
    A seller that lists everything explains both. 0 where there are none.
    """
    pairs = problem.co_purchases
    if pairs is None or not pairs.nnz:
        return 0.0, 0.0
    some = slice(None, None, max(1, pairs.nnz // _SAMPLED))
    left, right = owners(pairs)[some], pairs.indices[some]
    mixed = np.random.default_rng(0).permutation(right)
    # with itself every listed product has a seller
    others = left != mixed
    together = _number_of_both(problem.matrix, left, right) > 0
    by_chance = _number_of_both(problem.matrix, left[others], mixed[others]) > 0
    return float(together.mean()), float(by_chance.mean()) if len(by_chance) else 0.0


def _still_explained(problem: Problem, inner: Problem, seed: int) -> csr_matrix | None:
    """Co-purchases as if the listings held out had never been.

    Each purchase is as likely to have been made at any seller of both products: of those of two
    products as many stay as `inner` has sellers of both, drawn at random. Where no seller of the
    problem lists both, all stay.
    """
    pairs = problem.co_purchases
    if pairs is None or not pairs.nnz:
        return pairs
    # they are symmetric
    half = triu(pairs, 1)
    left, right, counts = half.row, half.col, half.data
    before, after = (_number_of_both(part.matrix, left, right) for part in (problem, inner))
    share = np.where(before > 0, after / np.maximum(before, 1), 1.0)
    kept = np.random.default_rng([seed, 2]).binomial(np.ceil(counts).astype(np.int64), share)
    values = np.minimum(kept, counts).astype(np.float32)
    some = values > 0
    upper = csr_matrix((values[some], (left[some], right[some])), shape=pairs.shape)
    return canonical((upper + upper.T).tocsr())


def _number_of_both(
    matrix: csr_matrix, left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]
) -> npt.NDArray[np.int64]:
    """Of pairs of products the number of sellers that list both, (pairs,)."""
    by_product = matrix.T.tocsr()
    parts = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(left), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        both = by_product[left[part]].multiply(by_product[right[part]])
        parts.append(both.getnnz(axis=1).astype(np.int64))
    return np.concatenate(parts)


def unlisted_by_draw(
    problem: Problem,
    inner: Problem,
    *,
    fraction: float = 0.2,
    min_rows: int = 5,
    seed: int = 0,
) -> BoolArray:
    """Products that nobody lists in `inner` only since they were drawn as new, (products,).

    inner: of `hold_out_listings` with the same arguments. Where the model is used there are no
    such products: one without a listing there is one that had few.
    """
    matrix = problem.matrix
    left = matrix.indices[~_share_of_each(matrix, fraction, min_rows, seed)]
    listed_else = np.bincount(left, minlength=matrix.shape[1]) > 0
    return np.asarray(listed_else & (inner.matrix.getnnz(axis=0) == 0), dtype=bool)


def share_held_out(problem: Problem, positives: csr_matrix, unlisted: BoolArray) -> float:
    """Of the listings of candidates that were not drawn as new, the share that was held out.

    positives: of `hold_out_listings`; unlisted: of `unlisted_by_draw`. 1 where there are none.
    """
    others = ~unlisted
    if problem.is_candidate is not None:
        others &= problem.is_candidate
    listed = int(others[problem.matrix.indices].sum())
    return float(others[positives.indices].sum() / listed) if listed else 1.0


def _share_of_each(matrix: csr_matrix, fraction: float, min_rows: int, seed: int) -> BoolArray:
    """(listings,) which of the matrix's entries are held out of each seller's."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    sizes = np.diff(matrix.indptr)
    share = np.where(sizes >= min_rows, (sizes * fraction).astype(np.int64), 0)
    order = np.lexsort((rng.random(len(rows)), rows))
    place = np.arange(len(rows)) - np.repeat(matrix.indptr[:-1], sizes)
    held = np.zeros(len(rows), dtype=bool)
    held[order] = place < share[rows]
    return held


def hold_out_pairs(
    problem: Problem,
    *,
    pairs: float = 0.1,
    queries: float = 0.1,
    products: float = 0.1,
    seed: int = 0,
) -> tuple[Problem, csr_matrix]:
    """Complements: unordered pairs, queries without pairs of their own, and new products.

    A share `pairs` of the unordered pairs, all pairs from a share `queries` of the queries, and all
    pairs that touch a share `products` of the products leave the training part: the three cases of
    DESIGN.md 7. Returns the problem without them, and them.
    """
    matrix = problem.matrix
    n = matrix.shape[0]
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    cols = matrix.indices
    low, high = np.minimum(rows, cols).astype(np.int64), np.maximum(rows, cols).astype(np.int64)
    _, unordered = np.unique(low * n + high, return_inverse=True)
    held = (rng.random(unordered.max(initial=-1) + 1) < pairs)[unordered]
    is_cold = rng.random(n) < queries
    held |= is_cold[rows]
    is_new = rng.random(n) < products
    held |= is_new[rows] | is_new[cols]
    inner, positives = _divide(problem, held)
    if problem.context is not None:
        kept = diags((~(is_new | is_cold)).astype(np.float32)) @ problem.context
        inner = replace(inner, context=canonical(kept.tocsr()))
    return _forget_behaviour(inner, is_new), positives


def draws(problem: Problem, seed: int) -> Iterator[tuple[Problem, csr_matrix]]:
    """Complements: `hold_out_pairs` again and again, first by the seed itself; no end."""
    for number in count():
        yield hold_out_pairs(problem, seed=seed + _NEXT_DRAW * number)


def hold_out_later(problem: Problem) -> tuple[Problem, csr_matrix]:
    """Complements: the problem of the earlier orders, and the counts of the later ones.

    Raises ValueError where there are none.
    """
    earlier, later = divide_later(problem)
    inner = replace(
        problem,
        matrix=earlier,
        earlier=None,
        later=None,
        recent=problem.earlier_recent,
        similar=problem.earlier_similar,
        co_views=problem.earlier_co_views,
        earlier_recent=None,
        earlier_similar=None,
        earlier_co_views=None,
    )
    return inner, later


def _divide(problem: Problem, held: BoolArray) -> tuple[Problem, csr_matrix]:
    matrix = problem.matrix
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))

    def part(mask: BoolArray) -> csr_matrix:
        values = matrix.data[mask], (rows[mask], matrix.indices[mask])
        return csr_matrix(values, shape=matrix.shape, dtype=np.float32)

    return replace(problem, matrix=part(~held)), part(held)


def _forget_behaviour(problem: Problem, is_new: BoolArray) -> Problem:
    """A new product has no views either: its co-views and similar pairs go too."""
    keep = (~is_new).astype(np.float32)

    def without(matrix: csr_matrix | None) -> csr_matrix | None:
        if matrix is None:
            return None
        kept = (diags(keep) @ matrix.astype(np.float32) @ diags(keep)).tocsr()
        kept.eliminate_zeros()
        return kept.astype(matrix.dtype)

    return replace(problem, similar=without(problem.similar), co_views=without(problem.co_views))
