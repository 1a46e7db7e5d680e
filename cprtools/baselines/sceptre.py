"""Sceptre: pairwise logistic models on the topics of the products' texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.baselines.contract import (
    FEATURES,
    FloatArray,
    IntArray,
    Problem,
    ReadTable,
    Recommender,
)
from cprtools.baselines.dense import stable_product
from cprtools.baselines.options import check_least, refuse_unknown, require_square
from cprtools.baselines.sparse import canonical
from cprtools.errors import SchemaError
from cprtools.tables import to_matrix, vector_array

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from cprtools.baselines.stored import Stored

DoubleArray = npt.NDArray[np.float64]
_PRODUCTS, _TOPICS = "sceptre_products", "sceptre_topics"
_SMALL = 3000
_PAIRS = 40_000


class Sceptre(Recommender):
    """Scores by P(linked) P(the link leads this way), both logistic in the topics t of the texts.

    Log-odds of a link are b + sum over topics of m_k t_qk t_ck, of the direction sum of
    d_k (t_ck - t_qk). Source: McAuley, Pandey and Leskovec, Inferring networks of substitutable and
    complementary products, KDD 2015. Departures: docs/methods/baselines.md.
    """

    method: ClassVar[str] = "sceptre"
    knows_by: ClassVar[str] = FEATURES
    search = (
        ("topics", [20, 40, 80, 160]),
        ("regularisation", [0.01, 0.1, 1.0, 10.0]),
    )

    def __init__(self, topics: FloatArray, link: FloatArray, bias: float, direction: FloatArray):
        self._topics = topics
        """(num_candidates, topics) float32, scaled as `_topic_shares` says."""
        self._link = link
        """(topics,) float32 m."""
        self._bias = np.float32(bias)
        self._direction = direction
        """(topics,) float32 d."""
        self._query_side = np.ascontiguousarray(topics * link, dtype=np.float32)
        self._lean = np.asarray(topics @ direction, dtype=np.float32)

    @classmethod
    def fit(
        cls,
        problem: Problem,
        *,
        seed: int = 0,
        topics: int = 80,
        regularisation: float = 0.1,
        **options: Any,
    ) -> Self:
        """Find the topics, then fit both models on the pairs and as many random ones.

        Raises SchemaError for sellers and for products without any text or attribute, UsageError
        for values out of range.
        """
        refuse_unknown(cls.method, options, ["topics", "regularisation"])
        check_least(cls.method, "topics", topics, 2)
        check_least(cls.method, "regularisation", regularisation, 1e-9)
        require_square(cls.method, problem)
        shares = _topic_shares(_documents(problem), topics, seed)
        true, sampled = _pairs(problem.matrix, seed)
        if not len(true):
            return cls(shares, np.zeros(topics, np.float32), 0.0, np.zeros(topics, np.float32))
        link, bias = _fit_link(shares, true, sampled, regularisation)
        direction = _fit_direction(problem.matrix, shares, true, regularisation)
        return cls(shares, link, bias, direction)

    def score(self, query_idx: IntArray) -> FloatArray:
        """P(linked) P(this way): (len(query_idx), num_candidates) float32."""
        linked = _logistic(stable_product(self._query_side[query_idx], self._topics) + self._bias)
        return linked * _logistic(self._lean[None, :] - self._lean[query_idx][:, None])

    def tables(self) -> dict[str, pa.Table]:
        """Topics of the products; m, d and the bias by topic."""
        by_topic = {
            "link": pa.array(self._link, pa.float32()),
            "direction": pa.array(self._direction, pa.float32()),
            "bias": pa.array(np.full(len(self._link), self._bias), pa.float32()),
        }
        return {
            _PRODUCTS: pa.table({"topics": vector_array(self._topics)}),
            _TOPICS: pa.table(by_topic),
        }

    @classmethod
    def load(cls, problem: Problem, read: ReadTable) -> Self:
        """The stored models. Raises SchemaError where they do not fit the problem."""
        return cls._over(to_matrix(read(_PRODUCTS).column("topics"), _PRODUCTS), problem, read)

    @classmethod
    def opened(cls, problem: Problem, stored: Stored) -> Recommender:
        """The same over topics that lie in their file."""
        return cls._over(stored.pooled(_PRODUCTS, "topics"), problem, stored.read)

    @classmethod
    def _over(cls, topics: FloatArray, problem: Problem, read: ReadTable) -> Self:
        table = read(_TOPICS)
        if len(topics) != problem.num_candidates or table.num_rows != topics.shape[1]:
            raise SchemaError(
                f"{_PRODUCTS}: topics of {len(topics)} products; need {problem.num_candidates}"
            )
        link, direction = (
            table.column(name).to_numpy().astype(np.float32) for name in ("link", "direction")
        )
        return cls(topics, link, table.column("bias")[0].as_py(), direction)

    @property
    def num_candidates(self) -> int:
        """Columns of what `score` returns."""
        return len(self._topics)


def _logistic(odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -80, 80))), dtype=np.float32)


def _documents(problem: Problem) -> csr_matrix:
    """Words of the title and attribute values of every product: (products, terms) of 0 and 1."""
    from scipy.sparse import csr_matrix, hstack

    columns = [(problem.types, problem.num_types)]
    for codes in problem.attributes.values():
        columns.append((codes, int(codes.max(initial=-1)) + 1))
    parts = [] if problem.words is None else [problem.words.astype(bool).astype(np.float64)]
    for codes, size in columns:
        known = np.flatnonzero(codes >= 0)
        entries = np.ones(len(known)), (known, codes[known])
        parts.append(csr_matrix(entries, shape=(len(codes), size)))
    documents = canonical(hstack(parts, format="csr"))
    if not documents.nnz:
        raise SchemaError("sceptre needs --products with a title or an attribute; found neither")
    return documents


def _topic_shares(documents: csr_matrix, topics: int, seed: int) -> FloatArray:
    """(products, topics) float32: each product's mixture of topics, zero without any word.

    Scaled by the root of the number of topics, so that a penalty on the coefficients means about
    the same for any number.
    """
    from sklearn.decomposition import LatentDirichletAllocation

    # many small steps over a large catalogue, many passes over a small one
    is_small = documents.shape[0] <= _SMALL
    model = LatentDirichletAllocation(
        topics,
        learning_method="batch" if is_small else "online",
        batch_size=256,
        max_iter=50 if is_small else 10,
        random_state=seed,
    )
    shares = model.fit_transform(documents) * np.sqrt(topics)
    shares[np.diff(documents.indptr) == 0] = 0
    return np.ascontiguousarray(shares, dtype=np.float32)


def _pairs(matrix: csr_matrix, seed: int) -> tuple[IntArray, IntArray]:
    """At most 40,000 known pairs, and as many random ones that are not known: (pairs, 2) each."""
    random = np.random.default_rng([seed, 5])
    entries = canonical(matrix).tocoo()
    if not entries.nnz:
        return np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64)
    known = np.stack([entries.row, entries.col], axis=1).astype(np.int64)
    if len(known) > _PAIRS:
        known = known[np.sort(random.choice(len(known), _PAIRS, replace=False))]
    drawn = random.integers(0, matrix.shape[1], (len(known), 2))
    is_known = np.asarray(matrix[drawn[:, 0], drawn[:, 1]]).ravel() > 0
    return known, drawn[~is_known & (drawn[:, 0] != drawn[:, 1])]


def _fit_link(
    topics: FloatArray, true: IntArray, sampled: IntArray, regularisation: float
) -> tuple[FloatArray, float]:
    pairs = np.concatenate([true, sampled])
    features = topics[pairs[:, 0]] * topics[pairs[:, 1]]
    labels = np.arange(len(pairs)) < len(true)
    weights, bias = _logistic_regression(features, labels, regularisation, with_bias=True)
    return weights.astype(np.float32), bias


def _fit_direction(
    matrix: csr_matrix, topics: FloatArray, true: IntArray, regularisation: float
) -> FloatArray:
    back = np.asarray(matrix[true[:, 1], true[:, 0]]).ravel()
    one_way = true[back == 0]
    difference = topics[one_way[:, 1]] - topics[one_way[:, 0]]
    if not difference.any():
        return np.zeros(topics.shape[1], dtype=np.float32)
    # each pair once as it is and once turned round
    features = np.concatenate([difference, -difference])
    labels = np.arange(len(features)) < len(difference)
    weights, _ = _logistic_regression(features, labels, regularisation, with_bias=False)
    return weights.astype(np.float32)


def _logistic_regression(
    features: FloatArray, labels: npt.NDArray[np.bool_], regularisation: float, *, with_bias: bool
) -> tuple[DoubleArray, float]:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    if labels.all():
        return np.zeros(features.shape[1]), 0.0
    with threadpool_limits(1, "blas"):
        model = LogisticRegression(
            C=1 / regularisation, fit_intercept=with_bias, max_iter=500, tol=1e-3
        )
        model.fit(features, labels)
    return np.asarray(model.coef_[0], dtype=np.float64), float(np.ravel(model.intercept_)[0])
