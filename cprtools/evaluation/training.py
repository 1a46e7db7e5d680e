"""What the training pairs say about an evaluation: known pairs, seen products, popularity."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cprtools.evaluation.coding import BoolArray, FloatArray, IntArray, codes, flags, numbers
from cprtools.tables import columns as c


@dataclass(frozen=True)
class Training:
    """Training pairs in the codes of a vocabulary of n ids; pair keys are query * n + candidate."""

    forbidden: IntArray
    """Sorted keys that are neither truth nor recommended: complements, unless they are kept, and
    similar pairs both ways."""
    similar: IntArray
    """Sorted keys of the similar pairs among them, both ways."""
    bought: IntArray
    """Sorted keys of the pairs with a co-purchase."""
    is_query: BoolArray
    """(n,) has complement co-purchases of its own."""
    is_seen: BoolArray
    """(n,) occurs in any row, on either side."""
    purchases: FloatArray
    """(n,) co-purchases of the id as a candidate."""
    num_products: int
    """Distinct ids in the table."""
    customers: FloatArray | None
    """(n,) customers who bought the id, 0 where it is in no pair; None where nobody counted."""


def read_training(train: pa.Table, ids: pa.Array, *, keep_known: bool = False) -> Training:
    """The training pairs (query_id, candidate_id, co_purchase?, complement?, similar?) as codes.

    Without a `complement` column every row that was bought together counts as one, which without
    counts is every row; `ids` must hold every id of the table.
    keep_known: known complements are truth like any other pair, as they recur in later orders.
    """
    n = len(ids)
    query = codes(train.column(c.QUERY_ID), ids)
    candidate = codes(train.column(c.CANDIDATE_ID), ids)
    count = numbers(train, c.CO_PURCHASE, 1)
    is_flagged = c.COMPLEMENT in train.column_names
    complement = flags(train, c.COMPLEMENT, False) if is_flagged else count > 0
    similar = flags(train, c.SIMILAR, False)
    pair = query * n + candidate
    reverse = candidate * n + query
    seen = np.zeros(n, dtype=bool)
    seen[query] = seen[candidate] = True
    is_query = np.zeros(n, dtype=bool)
    is_query[query[complement]] = True
    known = pair[:0] if keep_known else pair[complement]
    both_ways = np.unique(np.concatenate([pair[similar], reverse[similar]]))
    return Training(
        forbidden=np.unique(np.concatenate([known, both_ways])),
        similar=both_ways,
        bought=np.unique(pair[count > 0]),
        is_query=is_query,
        is_seen=seen,
        purchases=np.bincount(candidate, weights=count, minlength=n).astype(np.float64),
        num_products=int(seen.sum()),
        customers=_customers(train, query, candidate, n),
    )


def _customers(train: pa.Table, query: IntArray, candidate: IntArray, n: int) -> FloatArray | None:
    counts = numbers(train, c.QUERY_COUNT, 0)
    if not counts.any():
        return None
    customers = np.zeros(n)
    np.maximum.at(customers, query, counts)
    # a product may be bought often and only ever after another one
    np.maximum.at(customers, candidate, numbers(train, c.CANDIDATE_COUNT, 0))
    return customers
