"""The one contract of every recommender, trained or simple, for both systems."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.baselines.rows import Beside, Rows
from cprtools.baselines.sparse import column_sums, row_sums
from cprtools.errors import UsageError
from cprtools.retrieval import top_k

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from cprtools.baselines.rows import Sparse
    from cprtools.baselines.stored import Stored

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
ReadTable = Callable[[str], pa.Table]

STARTS = "_starts"
"""Ending of the member that says where the rows of a sparse matrix start."""
POOL = "_pool"
"""Ending of the member that repeats rows of the candidates that may be returned."""


@dataclass(frozen=True)
class Sums:
    """What a problem's known pairs add up to, by candidate."""

    weight: FloatArray
    """(num_candidates,) float32."""
    number: IntArray
    """(num_candidates,) queries of the pairs."""
    ranges: Mapping[str, IntArray] = field(default_factory=dict)
    """Candidates with each code of an attribute, (codes,) each."""
    towards: DoubleArray | None = None
    given: DoubleArray | None = None
    """Complements: what `weight_towards` and `weight_given` are."""
    recent: DoubleArray | None = None
    """Complements: (num_candidates,) weight of the recent pairs towards each candidate."""
    type_pairs: DoubleArray | None = None
    """Complements: (num_types,) known pairs from a product with a type towards each type."""


@dataclass(frozen=True)
class Problem:
    """What there is to learn from: queries x candidates, and what is known of the candidates.

    Complements: queries and candidates are the same products (`is_square`), the weight of (q, c) is
    the co-purchase count of the complement pair. Sellers: queries are sellers, the weight is 1.
    Candidates are numbered by falling popularity, then id, so a tie between scores, which goes to
    the lower index, goes to the more popular product.
    """

    matrix: "csr_matrix"
    """(num_queries, num_candidates) float32, positive weights of the known pairs."""
    types: IntArray
    """(num_candidates,) product type in [0, num_types), -1 where unknown."""
    num_types: int
    vectors: FloatArray | None = None
    """(num_candidates, dim) unit rows; zero rows for products without a vector."""
    words: "csr_matrix | None" = None
    """(num_candidates, words) float32 unit rows: the titles' words, weighted by rarity."""
    attributes: Mapping[str, IntArray] = field(default_factory=dict)
    """Categorical columns, such as category and brand: (num_candidates,) codes, -1 unknown."""
    prices: FloatArray | None = None
    """(num_candidates,) price, NaN where unknown."""
    numbers: Mapping[str, FloatArray] = field(default_factory=dict)
    """Further number columns: (num_candidates,) float32, NaN where unknown."""
    is_candidate: BoolArray | None = None
    """(num_candidates,) may be recommended (sellers: high demand); None: all."""
    co_purchases: "csr_matrix | None" = None
    """Sellers: (num_candidates, num_candidates) float32, symmetric co-purchase counts."""
    similar: "csr_matrix | None" = None
    """Complements: (num_candidates, num_candidates) bool, symmetric similar pairs."""
    co_views: "csr_matrix | None" = None
    """Complements: (num_candidates, num_candidates) float32 co-view counts."""
    context: "csr_matrix | None" = None
    """Complements: (num_candidates, ids outside) float32 known pairs towards ids outside the
    catalogue. They are never candidates, and tell which products go with the same things."""
    earlier: "csr_matrix | None" = None
    later: "csr_matrix | None" = None
    """Complements: (num_candidates, num_candidates) float32 counts of two parts of the orders
    behind `matrix`: settings and ranker are chosen by foretelling the later one from the earlier
    one. None: by predicting pairs that are held out at random."""
    recent: "csr_matrix | None" = None
    earlier_recent: "csr_matrix | None" = None
    """Complements: (num_candidates, num_candidates) float32 counts of the last of the orders behind
    `matrix`, and of the last of those behind `earlier`. None: no order is known to be recent."""
    earlier_similar: "csr_matrix | None" = None
    earlier_co_views: "csr_matrix | None" = None
    """Complements: `similar` and `co_views` as they were known with `earlier` alone."""
    is_square: bool = False
    sums: "Sums | None" = None
    """Of a model that is read in place; else they are taken from the matrix."""
    backward: "Rows | None" = None
    """Complements, of a model that is read in place: `wide` by its columns."""

    @cached_property
    def margins(self) -> "Sums":
        """Weight and number of the known pairs towards each candidate."""
        if self.sums is not None:
            return self.sums
        weight = np.asarray(self.matrix.sum(axis=0)).ravel()
        return Sums(weight, np.bincount(self.matrix.indices, minlength=self.num_candidates))

    @cached_property
    def weight_towards(self) -> DoubleArray:
        """(num_candidates,) float64 weight of the known pairs towards each candidate."""
        if self.sums is not None and self.sums.towards is not None:
            return self.sums.towards
        return column_sums(self.matrix)

    @cached_property
    def weight_given(self) -> DoubleArray:
        """(num_queries,) float64 weight of the known pairs from each query."""
        if self.sums is not None and self.sums.given is not None:
            return self.sums.given
        return row_sums(self.matrix)

    @cached_property
    def recent_towards(self) -> DoubleArray:
        """(num_candidates,) float64 weight of the recent pairs towards each candidate."""
        if self.sums is not None and self.sums.recent is not None:
            return self.sums.recent
        if self.recent is None:
            return np.zeros(self.num_candidates)
        return column_sums(self.recent)

    @cached_property
    def towards(self) -> "Sparse":
        """Complements: the known pairs by their candidates; row q holds what leads to q."""
        if self.backward is not None:
            return self.backward
        turned: csr_matrix = self.matrix.T.tocsr()
        return turned

    @property
    def wide(self) -> "csr_matrix":
        """(num_queries, num_candidates or more) float32: the matrix, and beside it the context."""
        if self.context is None:
            return self.matrix
        if isinstance(self.matrix, Rows) and isinstance(self.context, Rows):
            return Beside(self.matrix, self.context)
        from scipy.sparse import hstack

        return hstack([self.matrix, self.context], format="csr")

    @property
    def num_queries(self) -> int:
        """Rows of the matrix."""
        return int(self.matrix.shape[0])

    @property
    def num_candidates(self) -> int:
        """Columns of the matrix."""
        return int(self.matrix.shape[1])


# what a method knows a product by: known pairs or listings, its type, its vectors, all there is
PAIRS, TYPES, VECTORS, FEATURES = "pairs", "types", "vectors", "features"


class NotInPlace(Exception):  # noqa: N818 - a way to go, not an error
    """A model, or a method of it, that has to be read as a whole."""


class Recommender(ABC):
    """Scores every candidate for some queries; higher is better, 0 or less means no evidence.

    Scoring needs numpy and scipy only: a model answers without torch. What may be returned (known
    pairs, filters) is decided by the caller, not here.
    """

    method: ClassVar[str]
    """The name on the command line."""
    search: ClassVar[Sequence[tuple[str, Sequence[Any]]]] = ()
    """Options of `fit` worth tuning with their ordered values, in the order of climbing."""
    knows_by: ClassVar[str] = PAIRS
    """What the scores of a product are made of: PAIRS alone, TYPES, VECTORS or FEATURES."""

    @classmethod
    @abstractmethod
    def fit(cls, problem: Problem, *, seed: int = 0, **options: Any) -> Self:
        """Learn from the problem. Raises SchemaError where it lacks what the method needs."""

    @classmethod
    def choose_settings(
        cls, problem: Problem, *, seed: int, say: Callable[[str], None]
    ) -> dict[str, Any] | None:
        """Options of `fit`, for a method with its own way to choose them; None: climb `search`.

        What was tried goes to `say`.
        """
        return None

    @abstractmethod
    def score(self, query_idx: IntArray) -> FloatArray:
        """Scores of all candidates: (len(query_idx), num_candidates) float32."""

    def best(self, query_idx: IntArray, k: int, allowed: BoolArray) -> tuple[IntArray, FloatArray]:
        """The k best allowed candidates of each query, as `top_k` gives them.

        allowed: (len(query_idx), num_candidates) bool.
        """
        return top_k(self.score(query_idx), k, allowed)

    def type_scores(self, query_idx: IntArray) -> FloatArray | None:
        """Scores of all product types, (len(query_idx), num_types) float32, if there are any."""
        return None

    def factors(self) -> tuple[FloatArray, FloatArray] | None:
        """Query and candidate vectors whose dot products are the scores, if there are such.

        (num_queries, dim) and (num_candidates, dim) float32: what an approximate index needs.
        """
        return None

    def restricted(self, pool: IntArray) -> "Recommender":
        """The same model where these candidates are all there are: it is asked, not stored.

        pool: (pool,) int64 ascending candidate indices; they become 0, 1, ... of what it scores.
        Methods that can leave the others out of the work do so.
        """
        return _Restricted(self, pool)

    @classmethod
    def candidate_members(cls) -> Sequence[str]:
        """Members with a row for each candidate, of which `opened` reads those of the pool."""
        return ()

    @abstractmethod
    def tables(self) -> dict[str, pa.Table]:
        """What `load` needs beside the problem; member names start with the method's name."""

    @classmethod
    @abstractmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The fitted recommender from its stored tables and the stored problem."""

    @classmethod
    def opened(cls, problem: Problem, stored: "Stored") -> "Recommender":
        """The stored recommender over the candidates of the problem, read in place.

        Raises NotInPlace for methods that are read as a whole.
        """
        raise NotInPlace(cls.method)

    def extended(self, problem: Problem) -> Self:
        """The same model where products that it never saw follow those that it knows.

        problem: that of the fit with further products at the end, which have no pairs. They get
        the scores that the fit would have given them. Raises UsageError for methods that cannot.
        """
        raise UsageError(
            f"--products: {self.method} knows only the products that it was trained on; train it "
            "again with the new ones, or train another --method"
        )

    def score_pairs(self, query_idx: IntArray, candidate_idx: IntArray) -> FloatArray:
        """Scores of single pairs, (pairs,) float32; both arguments are (pairs,) int64."""
        result = np.empty(len(query_idx), dtype=np.float32)
        queries, inverse = np.unique(query_idx, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        bounds = np.searchsorted(inverse[order], np.arange(len(queries) + 1))
        block = max(1, 20_000_000 // max(1, self.num_candidates))
        for start in range(0, len(queries), block):
            scores = self.score(queries[start : start + block])
            rows = order[bounds[start] : bounds[min(start + block, len(queries))]]
            result[rows] = scores[inverse[rows] - start, candidate_idx[rows]]
        return result

    @property
    @abstractmethod
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""


class Wrapped(Recommender):
    """A fitted model that is asked in another way; what is stored is the model itself."""

    def __init__(self, model: Recommender):
        self.method = model.method  # type: ignore[misc]
        self.knows_by = model.knows_by  # type: ignore[misc]
        self._model = model

    @classmethod
    def fit(cls, problem: Problem, *, seed: int = 0, **options: Any) -> Self:
        """Not fitted itself. Raises ValueError."""
        raise ValueError(f"{cls.__name__} wraps a fitted model")

    def type_scores(self, query_idx: IntArray) -> FloatArray | None:
        """Those of the model."""
        return self._model.type_scores(query_idx)

    def tables(self) -> dict[str, pa.Table]:
        """Those of the model."""
        return self._model.tables()

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """Not stored itself. Raises ValueError."""
        raise ValueError(f"{cls.__name__} wraps a loaded model")


class _Restricted(Wrapped):
    """Scores everything, and hands out what is asked for."""

    def __init__(self, model: Recommender, pool: IntArray):
        super().__init__(model)
        self._pool = pool

    def score(self, query_idx: IntArray) -> FloatArray:
        return self._model.score(query_idx)[:, self._pool]

    @property
    def num_candidates(self) -> int:
        return len(self._pool)
