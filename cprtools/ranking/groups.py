"""What products of the same kind lead to: evidence for queries that have no pairs of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cprtools.baselines.contract import Problem
from cprtools.tables import columns as c

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# queries without any pair that every group is smoothed by
_SMOOTHING = 3


@dataclass(frozen=True)
class Groups:
    """Products that share some attributes, and the share of a group that leads to a candidate."""

    members: csr_matrix
    """(products, groups) float32, 1 where a product belongs; one of unknown kind has no group."""
    shares: csr_matrix
    """(groups, candidates) float32: queries that lead there / (queries with pairs + 3)."""
    sizes: FloatArray
    """(products,) float32 log(1 + number of queries with pairs in the product's group)."""

    def scores(self, query_idx: IntArray) -> FloatArray:
        """Shares of the queries' groups: (len(query_idx), num_candidates) float32."""
        dense: FloatArray = (self.members[query_idx] @ self.shares).toarray()
        return dense


def build_groups(problem: Problem) -> dict[str, Groups]:
    """Groups of every kind."""
    return {name: _group(problem, columns) for name, columns in kinds_of_groups(problem).items()}


def kinds_of_groups(problem: Problem) -> dict[str, list[IntArray]]:
    """By kind the columns whose codes a group shares; codes below 0 make none.

    By type, by brand, by both, and by all attributes but the brand, if there are any.
    """
    brand = problem.attributes.get(c.BRAND)
    kinds: dict[str, list[IntArray]] = {"type": [problem.types]}
    if brand is not None:
        kinds |= {"brand": [brand], "type_and_brand": [problem.types, brand]}
    # a path that ends early is a path, too: unknown entries count as a value
    path = [codes + 1 for name, codes in sorted(problem.attributes.items()) if name != c.BRAND]
    if path:
        kinds["attributes"] = path
    return {f"alike_{name}": columns for name, columns in kinds.items()}


def group_share(queries: FloatArray) -> FloatArray:
    """What each query that leads to a candidate adds to its share: (groups,) float32."""
    return np.asarray(1 / (queries + _SMOOTHING), dtype=np.float32)


def group_size(queries: FloatArray) -> FloatArray:
    """Log of 1 + queries with pairs: (groups,) float32."""
    return np.log1p(queries).astype(np.float32)


def _group(problem: Problem, columns: list[IntArray]) -> Groups:
    from scipy.sparse import csr_matrix, diags

    codes = np.stack(columns, axis=1)
    known = np.flatnonzero((codes >= 0).all(axis=1))
    names, group = np.unique(codes[known], axis=0, return_inverse=True)
    shape = (problem.num_candidates, max(len(names), 1))
    ones = np.ones(len(known), dtype=np.float32)
    members = csr_matrix((ones, (known, group.ravel())), shape=shape)
    leads = problem.matrix.copy()
    leads.data = np.ones_like(leads.data)
    queries = members.T @ (np.diff(leads.indptr) > 0).astype(np.float32)
    shares = (diags(group_share(queries)) @ (members.T @ leads)).tocsr()
    return Groups(members, shares.astype(np.float32), group_size(members @ queries))
