"""Why a product is recommended, in words, written from the evidence about the pair.

A seller's reasons name its own listings and aggregates over at least `MIN_SELLERS` sellers only.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from cprtools.answers.model import Model
from cprtools.tables import columns as c

IntArray = npt.NDArray[np.int64]

MIN_SELLERS = 5
_PARTS = 2
# a cosine below this is no likeness that a person would see
_LIKENESS = 0.5


def complement_reasons(model: Model, query_idx: IntArray, cols: IntArray) -> list[str]:
    """One line for each (query, candidate) pair; both arguments are (pairs,) int64."""
    problem = model.stage.problem
    together = np.asarray(problem.matrix[query_idx, cols]).ravel()
    popularity = model.popularity
    names = model.catalogue.type_names
    brands = model.strings(c.BRAND)
    reasons = []
    for query, col, count in zip(query_idx.tolist(), cols.tolist(), together.tolist(), strict=True):
        parts = []
        if count >= 1:
            parts.append(f"bought together {_times(count)}")
        own, other = problem.types[query], problem.types[col]
        if own >= 0 and other >= 0 and own != other:
            parts.append(f"{names[other]} completes {names[own]}")
        if brands[query] is not None and brands[query] == brands[col]:
            parts.append(f"same brand {brands[col]}")
        if popularity[col] >= 1:
            parts.append(f"bought with other products {_times(popularity[col])}")
        reasons.append("; ".join(parts[:_PARTS]) or "nearest by its features")
    return reasons


def seller_reasons(model: Model, seller_idx: IntArray, cols: IntArray) -> list[str]:
    """One line for each (seller, product) pair; both arguments are (pairs,) int64."""
    describe = _SellerEvidence(model)
    reasons = []
    for seller, col in zip(seller_idx.tolist(), cols.tolist(), strict=True):
        parts = [text for text in describe(seller, col) if text][:_PARTS]
        reasons.append("; ".join(parts) or "in demand in this category")
    return reasons


class _SellerEvidence:
    """The pieces of evidence in falling order of what they tell a seller."""

    def __init__(self, model: Model):
        self.problem = model.stage.problem
        self.ids = model.product_ids
        self.titles = model.strings(c.TITLE)
        self.brands = model.strings(c.BRAND)
        self.listed_by = model.popularity

    def __call__(self, seller: int, col: int) -> Iterator[str]:
        matrix = self.problem.matrix
        listed = matrix.indices[matrix.indptr[seller] : matrix.indptr[seller + 1]]
        pieces: list[Callable[[IntArray, int], str]] = [
            self._brand,
            self._bought_with,
            self._nearest,
            self._popularity,
        ]
        for piece in pieces:
            yield piece(listed, col)

    def _brand(self, listed: IntArray, col: int) -> str:
        brand = self.brands[col]
        count = sum(1 for other in listed if self.brands[other] == brand) if brand else 0
        return f"you list {count} of {brand}" if count else ""

    def _bought_with(self, listed: IntArray, col: int) -> str:
        if self.problem.co_purchases is None or not len(listed):
            return ""
        counts = np.asarray(self.problem.co_purchases[[col]][:, listed].toarray()).ravel()
        linked = int((counts > 0).sum())
        if not linked:
            return ""
        best = int(listed[counts.argmax()])
        more = f" and {linked - 1} more of yours" if linked > 1 else ""
        return f"bought together with your {self._name(best)}{more}"

    def _nearest(self, listed: IntArray, col: int) -> str:
        if self.problem.vectors is None or not len(listed):
            return ""
        cosines = self.problem.vectors[listed] @ self.problem.vectors[col]
        best = int(cosines.argmax())
        return f"like your {self._name(int(listed[best]))}" if cosines[best] >= _LIKENESS else ""

    def _popularity(self, listed: IntArray, col: int) -> str:
        count = int(self.listed_by[col])
        return f"listed by {count} sellers" if count >= MIN_SELLERS else ""

    def _name(self, col: int) -> str:
        title = self.titles[col]
        text = title if title else str(self.ids[col])
        return text if len(text) <= 40 else text[:39].rstrip() + "…"


def _times(count: float) -> str:
    return "once" if count < 2 else f"{count:,.0f} times"
