"""A problem as the tables of a model folder, and back: what every stored method builds on."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import (
    POOL,
    STARTS,
    DoubleArray,
    IntArray,
    Problem,
    ReadTable,
)
from cprtools.baselines.sparse import matrix_table, row_starts, table_matrix
from cprtools.baselines.stored import BACKWARD, RANGES, SUMS, TYPE_SUMS
from cprtools.errors import SchemaError
from cprtools.tables import columns as c
from cprtools.tables import to_matrix, vector_array

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_SQUARES = ("co_purchases", "similar", "co_views", "recent")


def problem_tables(problem: Problem) -> dict[str, pa.Table]:
    """Members `interactions`, `codes`, and where there is one `text_vectors` and product pairs."""
    codes = {"type_idx": pa.array(problem.types, pa.int32())}
    for name, values in problem.attributes.items():
        codes[f"attribute_{name}"] = pa.array(values, pa.int32())
    for name, numbers in problem.numbers.items():
        codes[f"number_{name}"] = pa.array(numbers, pa.float32())
    if problem.prices is not None:
        codes[c.PRICE] = pa.array(problem.prices, pa.float32())
    if problem.is_candidate is not None:
        codes["is_candidate"] = pa.array(problem.is_candidate)
    members = {"codes": pa.table(codes), **_sparse("interactions", problem.matrix)}
    if problem.words is not None:
        members |= _sparse("words", problem.words)
    if problem.vectors is not None:
        members["text_vectors"] = pa.table({c.VECTOR: vector_array(problem.vectors)})
    if problem.context is not None:
        members |= _sparse("context", problem.context)
    for name in _SQUARES:
        matrix = getattr(problem, name)
        if matrix is not None:
            members |= _sparse(name, matrix.astype(np.float32))
    return members


def _sparse(name: str, matrix: "csr_matrix") -> dict[str, pa.Table]:
    return {name: matrix_table(matrix), name + STARTS: row_starts(matrix)}


def place_tables(
    problem: Problem, members: Mapping[str, pa.Table], by_candidate: Sequence[str]
) -> dict[str, pa.Table]:
    """What answers that read the model in place need of sellers' tables beside them.

    Members `sums`, `ranges` and `ranges_counts` (see `Sums`), and those with a row for each
    candidate, `by_candidate`, once more for the candidates that may be returned alone.
    """
    margins = problem.margins
    ranges = [range_sizes(codes) for codes in (problem.types, *problem.attributes.values())]
    ends = np.cumsum([len(counts) for counts in ranges])
    found = {
        SUMS: pa.table({"weight": margins.weight, "number": margins.number}),
        RANGES: pa.table({"end": ends}),
        RANGES + "_counts": pa.table({"count": np.concatenate(ranges)}),
    }
    if problem.is_candidate is None or problem.is_candidate.all():
        return found
    pool = pa.array(np.flatnonzero(problem.is_candidate))
    wanted = [*by_candidate, *(name for name in ("text_vectors",) if name in members)]
    return found | {name + POOL: members[name].take(pool) for name in wanted}


def complement_places(problem: Problem) -> dict[str, pa.Table]:
    """What answers that read a model of complements in place need beside its tables.

    Members `sums`, `type_sums` (see `Sums`), and `backward`, the known pairs by their candidates.
    """
    margins = problem.margins
    sums = {
        "weight": margins.weight,
        "number": margins.number,
        "towards": problem.weight_towards,
        "given": problem.weight_given,
    }
    if problem.recent is not None:
        sums["recent"] = problem.recent_towards
    return {
        SUMS: pa.table(sums),
        TYPE_SUMS: pa.table({"pairs": type_pairs(problem)}),
        **_sparse(BACKWARD, problem.wide.T.tocsr()),
    }


def type_pairs(problem: Problem) -> DoubleArray:
    """(num_types,) float64 known pairs from a product with a type towards each type."""
    rows = np.repeat(problem.types, np.diff(problem.matrix.indptr))
    types = problem.types[problem.matrix.indices]
    known = (rows >= 0) & (types >= 0)
    return np.bincount(types[known], minlength=problem.num_types).astype(np.float64)


def range_sizes(codes: IntArray) -> IntArray:
    """Candidates with each code of an attribute: (codes,) int64."""
    return np.bincount(codes[codes >= 0], minlength=int(codes.max(initial=0)) + 1)


def load_problem(
    read: ReadTable, has: frozenset[str], num_queries: int, num_types: int, is_square: bool
) -> Problem:
    """The stored problem. Raises SchemaError where its tables do not fit together."""
    codes = read("codes")
    n = codes.num_rows
    try:
        squares = {
            name: table_matrix(read(name), (n, n), name) if name in has else None
            for name in _SQUARES
        }
        matrix = table_matrix(read("interactions"), (num_queries, n), "interactions")
        types = codes.column("type_idx").to_numpy().astype(np.int64)
        if n and (types.max() >= num_types or types.min() < -1):
            raise ValueError("a type index lies outside the types")
        attributes = _named(codes, "attribute_", np.int64)
        for name, values in attributes.items():
            # there are no more names than products: more would be counted in vain
            if n and (values.max() >= n or values.min() < -1):
                raise ValueError(f"a code of {name} lies outside its names")
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise SchemaError(f"the model's tables do not fit together; {error}") from error
    from scipy.sparse import csr_matrix

    similar = squares["similar"]
    return Problem(
        matrix=matrix,
        types=types,
        num_types=num_types,
        vectors=_vectors(read, has, n),
        words=_any_width(read, "words", n) if "words" in has else None,
        attributes=attributes,
        prices=_optional(codes, c.PRICE),
        numbers=_named(codes, "number_", np.float32),
        is_candidate=_optional(codes, "is_candidate"),
        co_purchases=squares["co_purchases"],
        similar=None if similar is None else csr_matrix(similar, dtype=bool),
        co_views=squares["co_views"],
        recent=squares["recent"],
        context=_any_width(read, "context", n) if "context" in has else None,
        is_square=is_square,
    )


def _named(codes: pa.Table, prefix: str, kind: type) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): codes.column(name).to_numpy().astype(kind)
        for name in codes.column_names
        if name.startswith(prefix)
    }


def _any_width(read: ReadTable, name: str, n: int) -> "csr_matrix":
    table = read(name)
    # what a column stands for is not needed: rows are only compared with each other
    width = max(table.column("candidate_idx").to_numpy(), default=0) + 1
    return table_matrix(table, (n, int(width)), name)


def _optional(codes: pa.Table, name: str) -> np.ndarray | None:
    if name not in codes.column_names:
        return None
    values: np.ndarray = codes.column(name).to_numpy(zero_copy_only=False)
    return values


def _vectors(read: ReadTable, has: frozenset[str], n: int) -> np.ndarray | None:
    if "text_vectors" not in has:
        return None
    vectors = to_matrix(read("text_vectors").column(c.VECTOR), "text_vectors")
    if len(vectors) != n:
        raise SchemaError("the model's tables do not fit together; text_vectors has other rows")
    return vectors
