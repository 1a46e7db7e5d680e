"""Retrieval: the k best candidates of each query, exactly, with filters."""

from cprtools.retrieval.pool import Pool
from cprtools.retrieval.topk import top_k

__all__ = ["Pool", "top_k"]
