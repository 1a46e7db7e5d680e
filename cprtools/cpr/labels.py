"""Which pairs complements are learnt from: the flags of the cleaning, or all, or those between."""

import pyarrow as pa

from cprtools.tables import columns as c
from cprtools.tables.light import pc

LABELS = ("weighed", "cleaned", "all")
"""What is learnt as a complement: flagged pairs and those that views speak less against than
purchases for, flagged pairs alone, or every pair that was bought together."""


def labelled(pairs: pa.Table, labels: str) -> pa.Table:
    """The pairs, with `complement` saying of each whether it is learnt as one.

    `weighed`: complements, and pairs bought together more often than viewed together, and than one
    was bought after a view of the other. Of two bestsellers some customers always looked at one and
    bought the other alone: the flag would take the strongest pairs away. `cleaned`: complements as
    they are flagged (Hao et al., CIKM 2020, 3). `all`: every co-purchase. Raises ValueError for
    other labels.
    """
    if labels not in LABELS:
        raise ValueError(f"labels must be one of {LABELS}, got {labels!r}")
    pairs = _without_nulls(pairs)
    views = (c.CO_VIEW, c.PURCHASE_AFTER_VIEW)
    # what is not told cannot be weighed
    if labels == "cleaned" or (labels == "weighed" and {*views} - {*pairs.column_names}):
        return pairs
    bought = pairs.column(c.CO_PURCHASE)
    learnt = pc.greater(bought, 0)
    if labels == "weighed":
        for name in views:
            learnt = pc.and_(learnt, pc.less(pairs.column(name), bought))
        learnt = pc.or_(learnt, pairs.column(c.COMPLEMENT))
    return pairs.set_column(pairs.column_names.index(c.COMPLEMENT), c.COMPLEMENT, learnt)


def _without_nulls(pairs: pa.Table) -> pa.Table:
    """A join of one's own leaves null what was never counted; compared with it, all is unknown."""
    counts = (c.CO_PURCHASE, c.CO_VIEW, c.PURCHASE_AFTER_VIEW)
    filled = {**dict.fromkeys(counts, 0), c.COMPLEMENT: False, c.SIMILAR: False}
    for name in filled.keys() & {*pairs.column_names}:
        column = pairs.column(name)
        if column.null_count:
            place = pairs.column_names.index(name)
            pairs = pairs.set_column(place, name, pc.fill_null(column, filled[name]))
    return pairs
