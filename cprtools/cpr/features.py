"""What is known of a product besides behaviour, as numbers: x_i of Product2Vec."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import FloatArray, IntArray, Problem
from cprtools.errors import SchemaError
from cprtools.tables import columns as c

TYPE = c.PRODUCT_TYPE


@dataclass(frozen=True)
class Encoding:
    """How values become inputs: by the products of the training, for later ones too."""

    sizes: Mapping[str, int]
    """Number of codes of the type and of each attribute, the unknown one included."""
    scales: Mapping[str, tuple[float, float]]
    """Mean and deviation of the log of the price and of each number, of what is known."""

    def table(self) -> pa.Table:
        """One row per column, in the order of the inputs."""
        names = [*self.sizes, *self.scales]
        scales = [None] * len(self.sizes) + list(self.scales.values())
        sizes = [*self.sizes.values()] + [None] * len(self.scales)
        return pa.table(
            {
                "column": pa.array(names, pa.string()),
                "size": pa.array(sizes, pa.int64()),
                "mean": pa.array([scale and scale[0] for scale in scales], pa.float64()),
                "deviation": pa.array([scale and scale[1] for scale in scales], pa.float64()),
            }
        )

    @classmethod
    def load(cls, table: pa.Table, label: str) -> "Encoding":
        """The stored encoding. Raises SchemaError where it is none."""
        try:
            rows = table.select(["column", "size", "mean", "deviation"]).to_pylist()
            sizes = {r["column"]: int(r["size"]) for r in rows if r["size"] is not None}
            scales = {
                r["column"]: (float(r["mean"]), float(r["deviation"]))
                for r in rows
                if r["size"] is None
            }
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(f"{label}: does not hold an encoding; {error}") from error
        if not all(np.isfinite(scale).all() and scale[1] > 0 for scale in scales.values()):
            raise SchemaError(f"{label}: means and deviations must be finite, deviations positive")
        return cls(sizes, scales)


@dataclass(frozen=True)
class Features:
    """Inputs of Product2Vec for every product."""

    dense: FloatArray
    """(num_products, width) float32: vector, whether there is one, then every number (the price
    first), each followed by whether it is known."""
    codes: IntArray
    """(num_products, columns) int64: type, then attributes; unknown has a code of its own."""
    sizes: tuple[int, ...]
    """Number of codes of each column, the unknown one included."""


def make_encoding(problem: Problem) -> Encoding:
    """Sizes and scales of these products."""
    sizes = {TYPE: problem.num_types + 1}
    for name, codes in problem.attributes.items():
        sizes[name] = int(codes.max(initial=-1)) + 2
    scales = {}
    for name, values in _numbers(problem).items():
        known = values[np.isfinite(values)].astype(np.float64)
        if len(known):
            scales[name] = (float(known.mean()), max(float(known.std()), 1e-6))
    return Encoding(sizes, scales)


def encode_features(
    problem: Problem, encoding: Encoding | None = None, *, start: int = 0
) -> Features:
    """The features of the products from `start` on; by default in an encoding of their own.

    Raises ValueError where types or attributes do not cover the candidates, SchemaError where the
    encoding is not one of such products.
    """
    encoding = encoding or make_encoding(problem)
    columns = {TYPE: problem.types, **problem.attributes}
    if any(len(codes) != problem.num_candidates for codes in columns.values()):
        raise ValueError("types and attributes need one entry per candidate")
    if list(columns) != list(encoding.sizes):
        raise SchemaError(
            f"the model's features are {', '.join(encoding.sizes)}; "
            f"its products have {', '.join(columns)}"
        )
    filled = []
    for name, codes in columns.items():
        size = encoding.sizes[name]
        if codes.max(initial=-1) >= size - 1:
            raise SchemaError(f"the model knows fewer values of {name} than its products have")
        filled.append(np.where(codes[start:] < 0, size - 1, codes[start:]))
    numbers = [
        _standardised(values[start:], encoding.scales.get(name))
        for name, values in _numbers(problem).items()
    ]
    return Features(
        dense=np.concatenate([_vectors(problem, start), *numbers], axis=1),
        codes=np.stack(filled, axis=1).astype(np.int64),
        sizes=tuple(encoding.sizes.values()),
    )


def dense_width(problem: Problem) -> int:
    """Columns of `dense`: the vectors and a flag if there are any, two of every number."""
    vectors = 0 if problem.vectors is None else int(problem.vectors.shape[1]) + 1
    return vectors + 2 * len(_numbers(problem))


def _vectors(problem: Problem, start: int) -> FloatArray:
    if problem.vectors is None:
        return np.zeros((problem.num_candidates - start, 0), dtype=np.float32)
    vectors = problem.vectors[start:]
    known = vectors.any(axis=1, keepdims=True)
    return np.concatenate([vectors, known], axis=1).astype(np.float32)


def _numbers(problem: Problem) -> dict[str, FloatArray]:
    """The log of the price, then the further numbers by name, NaN where unknown."""
    prices = problem.prices
    if prices is None:
        prices = np.full(problem.num_candidates, np.nan, dtype=np.float32)
    price = np.log1p(np.where(prices >= 0, prices, np.nan))
    return {c.PRICE: price, **dict(sorted(problem.numbers.items()))}


def _standardised(values: FloatArray, scale: tuple[float, float] | None) -> FloatArray:
    """(rows, 2) float32: by mean and deviation, 0 where unknown; and whether it is known."""
    result = np.zeros((len(values), 2), dtype=np.float32)
    if scale is not None:
        known = np.isfinite(values)
        result[known, 0] = (values[known].astype(np.float64) - scale[0]) / scale[1]
        result[known, 1] = 1
    return result
