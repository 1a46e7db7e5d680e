"""Retrieval: the k best candidates of each query, exactly, with filters."""

from typing import TYPE_CHECKING

from cprtools import on_demand

if TYPE_CHECKING:
    from cprtools.retrieval.pool import Pool
    from cprtools.retrieval.topk import first_rows, top_k

__getattr__ = on_demand(
    __name__,
    {
        "pool": "Pool",
        "topk": "first_rows top_k",
    },
)

__all__ = ["Pool", "first_rows", "top_k"]
