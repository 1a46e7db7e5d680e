"""Why a product is recommended to a seller, in words, written from the evidence about the pair.

A seller's reasons name its own listings and aggregates over at least `MIN_SELLERS` sellers only.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from cprtools.answers.model import Model
from cprtools.baselines.catalogue import encode
from cprtools.tables import columns as c

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

MIN_SELLERS = 5
_PARTS = 2
# a cosine below this is no likeness that a person would see
_LIKENESS = 0.5
_LONGEST_NAME = 40
_DEFAULT = "in demand in this category"


class SellerReasons:
    """Writes the reasons of many pairs at once; what depends on the model alone is made once."""

    def __init__(self, model: Model):
        self.problem = model.stage.problem
        self.model = model
        self.brand_codes, self.brand_names = encode(model.catalogue.table.column(c.BRAND))

    def __call__(self, seller_idx: IntArray, cols: IntArray) -> list[str]:
        """One line for each (seller, product) pair; both arguments are (pairs,) int64."""
        if not len(cols):
            return []
        sellers, rows = np.unique(seller_idx, return_inverse=True)
        listed = self.problem.matrix[sellers]
        # the pieces of evidence in falling order of what they tell a seller
        pieces = (
            self._brands(listed, rows, cols),
            self._bought_with(listed, rows, cols),
            self._nearest(listed, rows, cols),
            self._popularity(cols),
        )
        return [
            "; ".join([text for text in parts if text][:_PARTS]) or _DEFAULT
            for parts in zip(*pieces, strict=True)
        ]

    def _brands(self, listed: csr_matrix, rows: IntArray, cols: IntArray) -> list[str]:
        codes = self.brand_codes[listed.indices]
        owner = np.repeat(np.arange(listed.shape[0]), np.diff(listed.indptr))
        width = len(self.brand_names) + 1
        # unknown brands come last, and are asked for by nobody
        counts = csr_matrix(
            (np.ones(len(codes), np.int64), (owner, np.where(codes < 0, width - 1, codes))),
            shape=(listed.shape[0], width),
        )
        wanted = self.brand_codes[cols]
        number = np.asarray(counts[rows, np.maximum(wanted, 0)]).ravel()
        number[wanted < 0] = 0
        return [
            f"you list {count} of {self.brand_names[code]}" if count else ""
            for count, code in zip(number.tolist(), wanted.tolist(), strict=True)
        ]

    def _bought_with(self, listed: csr_matrix, rows: IntArray, cols: IntArray) -> list[str]:
        pairs = self.problem.co_purchases
        if pairs is None:
            return [""] * len(cols)
        own = csr_matrix((np.ones_like(listed.data), listed.indices, listed.indptr), listed.shape)
        counts = pairs[cols].multiply(own[rows]).tocsr()
        linked = np.diff(counts.indptr)
        texts = [""] * len(cols)
        for row in np.flatnonzero(linked).tolist():
            span = slice(counts.indptr[row], counts.indptr[row + 1])
            best = counts.indices[span][counts.data[span].argmax()]
            more = f" and {linked[row] - 1} more of yours" if linked[row] > 1 else ""
            texts[row] = f"bought together with your {self._name(best)}{more}"
        return texts

    def _nearest(self, listed: csr_matrix, rows: IntArray, cols: IntArray) -> list[str]:
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
            cosines = vectors[cols[asked]] @ vectors[own].T
            best = cosines.argmax(axis=1)
            for place, at in zip(asked.tolist(), best.tolist(), strict=True):
                texts[place] = f"like your {self._name(own[at])}"
            for place in asked[cosines.max(axis=1) < _LIKENESS].tolist():
                texts[place] = ""
        return texts

    def _popularity(self, cols: IntArray) -> list[str]:
        counts = self.model.popularity[cols].astype(np.int64).tolist()
        return [f"listed by {n} sellers" if n >= MIN_SELLERS else "" for n in counts]

    def _name(self, col: int) -> str:
        table = self.model.catalogue.table
        title = table.column(c.TITLE)[int(col)].as_py()
        text: str = title if title else table.column(c.PRODUCT_ID)[int(col)].as_py()
        return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1].rstrip() + "…"
