"""Sellers that list nothing yet: what is popular in the category that they declared."""

import numpy as np
import numpy.typing as npt

from cprtools.answers.model import Model
from cprtools.answers.seller_reasons import MIN_SELLERS
from cprtools.retrieval.pool import Pool

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
EVERYWHERE = "all categories"


def lists_nothing(model: Model, seller_idx: IntArray) -> BoolArray:
    """Which of these sellers have no listing: (len(seller_idx),) bool."""
    return np.asarray(np.diff(model.stage.problem.matrix.indptr)[seller_idx] == 0)


def popular_products(
    model: Model, pool: Pool, allowed: BoolArray
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """The allowed products, most listed first, and the affinity where no more is known of a seller.

    allowed: (pool,) bool. Of p = (sellers that list it + 1/2) / (sellers + 1) the affinity is
    the probability at a 1:1 prior over the allowed products, as the calibration's: one half where
    p is their mean. Fewer than MIN_SELLERS sellers count as none: their number is not shown.
    """
    cols = pool.members[allowed]
    if not len(cols):
        return cols, np.zeros(0)
    counts = model.popularity[cols].astype(np.float64)
    counts[counts < MIN_SELLERS] = 0
    sellers = np.count_nonzero(np.diff(model.stage.problem.matrix.indptr))
    share = (counts + 0.5) / (sellers + 1)
    mean = share.mean()
    listed, unlisted = share / mean, (1 - share) / (1 - mean)
    order = np.argsort(-counts, kind="stable")
    # of products that are all alike the mean differs in the last bit: one half is the default
    # threshold, and all of them would miss it
    return cols[order], np.round(listed / (listed + unlisted), 12)[order]


def starter_reason(model: Model, col: int, category: str | None) -> str:
    """Why this product; category: the one that was answered for, None for all of them."""
    is_popular = model.popularity[col] >= MIN_SELLERS
    place = category or EVERYWHERE
    return f"{'popular' if is_popular else 'in demand'} in {place}; the seller lists nothing yet"
