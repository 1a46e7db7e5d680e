"""Why a product is recommended to a seller, in words, written from the evidence about the pair.

A seller's reasons name its own listings and aggregates over at least `MIN_SELLERS` sellers only.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cprtools.answers.model import Model
from cprtools.baselines.rows import find_sorted, owners
from cprtools.tables import columns as c

if TYPE_CHECKING:
    from cprtools.baselines.rows import Sparse

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

MIN_SELLERS = 5
_PARTS = 2
# a cosine below this is no likeness that a person would see
_LIKENESS = 0.5
_LONGEST_NAME = 40
# cosines that are in memory together
_AT_ONCE = 1 << 22
_DEFAULT = "no single reason stands out"


class SellerReasons:
    """Writes the reasons of many pairs at once; what depends on the model alone is made once."""

    def __init__(self, model: Model):
        self.problem = model.stage.problem
        self.model = model
        self.brand_codes = model.brand_codes
        self._names: dict[int, str] = {}

    def __call__(self, seller_idx: IntArray, cols: IntArray) -> list[str]:
        """One line for each (seller, product) pair; both arguments are (pairs,) int64."""
        if not len(cols):
            return []
        # a seller's own products are named again and again, and other sellers have others
        self._names.clear()
        sellers, rows = np.unique(seller_idx, return_inverse=True)
        listed = self.problem.matrix[sellers]
        # the pieces of evidence in falling order of what they tell a seller
        pieces = (
            self._brands(listed, rows, cols),
            self._bought_with(listed, rows, cols),
            self._nearest(listed, rows, cols),
            self._popularity(cols),
        )
        texts = [
            "; ".join([text for text in parts if text][:_PARTS])
            for parts in zip(*pieces, strict=True)
        ]
        bare = np.array([not text for text in texts])
        if bare.any():
            of_category = iter(self._categories(listed, rows[bare], cols[bare]))
            texts = [text or next(of_category) or _DEFAULT for text in texts]
        return texts

    def _brands(self, listed: "Sparse", rows: IntArray, cols: IntArray) -> list[str]:
        return [
            f"you list {count} of {self.model.brand_name(col)}" if count else ""
            for count, col in zip(
                _alike(listed, rows, cols, self.brand_codes), cols.tolist(), strict=True
            )
        ]

    def _categories(self, listed: "Sparse", rows: IntArray, cols: IntArray) -> list[str]:
        codes, names = self.model.categories()
        return [
            f"you list {count} in {names[code]}" if count else ""
            for count, code in zip(
                _alike(listed, rows, cols, codes), codes[cols].tolist(), strict=True
            )
        ]

    def _bought_with(self, listed: "Sparse", rows: IntArray, cols: IntArray) -> list[str]:
        pairs = self.problem.co_purchases
        texts = [""] * len(cols)
        if pairs is None:
            return texts
        size = self.problem.num_candidates
        partners = pairs[cols]
        pair = owners(partners)
        owner = owners(listed)
        own = np.sort(owner * size + listed.indices)
        linked = np.flatnonzero(find_sorted(own, rows[pair] * size + partners.indices)[1])
        # of each pair the partner bought most often, of equal ones the first
        best = linked[np.lexsort((partners.indices[linked], -partners.data[linked], pair[linked]))]
        found, first, number = np.unique(pair[best], return_index=True, return_counts=True)
        for at, start, count in zip(found.tolist(), first.tolist(), number.tolist(), strict=True):
            more = f" and {count - 1} more of yours" if count > 1 else ""
            name = self._name(int(partners.indices[best[start]]))
            texts[at] = f"bought together with your {name}{more}"
        return texts

    def _nearest(self, listed: "Sparse", rows: IntArray, cols: IntArray) -> list[str]:
        vectors = self.problem.vectors
        texts = [""] * len(cols)
        if vectors is None:
            return texts
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], np.arange(listed.shape[0] + 1))
        for row in range(listed.shape[0]):
            own = listed.indices[listed.indptr[row] : listed.indptr[row + 1]]
            asked = order[bounds[row] : bounds[row + 1]]
            if not len(own):
                continue
            # of a large seller the full ranking: tens of thousands by tens of thousands
            size, mine = max(1, _AT_ONCE // len(own)), vectors[own]
            for start in range(0, len(asked), size):
                part = asked[start : start + size]
                is_like, best = _nearest_of(vectors[cols[part]], mine)
                near = own[best[is_like]].tolist()
                for place, col in zip(part[is_like].tolist(), near, strict=True):
                    texts[place] = f"like your {self._name(col)}"
        return texts

    def _popularity(self, cols: IntArray) -> list[str]:
        counts = self.model.popularity[cols].astype(np.int64).tolist()
        return [f"listed by {n} sellers" if n >= MIN_SELLERS else "" for n in counts]

    def _name(self, col: int) -> str:
        if col not in self._names:
            text = self.model.text(c.TITLE, col) or self.model.text(c.PRODUCT_ID, col) or ""
            is_long = len(text) > _LONGEST_NAME
            self._names[col] = text[: _LONGEST_NAME - 1].rstrip() + "…" if is_long else text
        return self._names[col]


def _nearest_of(vectors: FloatArray, own: FloatArray) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """Whether any row of `own` is near enough to each of these, and the nearest: (rows,) each."""
    cosines = vectors @ own.T
    return cosines.max(axis=1) >= _LIKENESS, cosines.argmax(axis=1)


def _alike(listed: "Sparse", rows: IntArray, cols: IntArray, codes: IntArray) -> list[int]:
    """Of each pair how many products of its row of `listed` have the product's code, if it has any.

    codes: (products,) integers, -1 unknown.
    """
    width = int(codes.max(initial=0)) + 1
    own = codes[listed.indices].astype(np.int64)
    keys, counts = np.unique((owners(listed) * width + own)[own >= 0], return_counts=True)
    wanted = codes[cols].astype(np.int64)
    at, is_listed = find_sorted(keys, rows * width + wanted)
    number = np.where(is_listed & (wanted >= 0), counts[at] if len(counts) else 0, 0)
    return list(number.tolist())
