"""What an evaluation gives, and the paired comparison of two."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cprtools.evaluation.coding import FloatArray
from cprtools.evaluation.resampling import Block, intervals, replicate
from cprtools.tables import METRICS
from cprtools.tables import columns as c

ALL = "all"


@dataclass(frozen=True)
class Result:
    """One metric of one segment on all its queries."""

    metric: str
    k: int
    segment: str
    value: float
    queries: int

    @property
    def key(self) -> tuple[str, int, str]:
        """What makes it the same metric for another method."""
        return self.metric, self.k, self.segment

    @property
    def name(self) -> str:
        """The metric as people write it: Recall@100."""
        return f"{self.metric}@{self.k}" if self.k else self.metric


@dataclass(frozen=True)
class Evaluation:
    """One method's metrics, and their values on the resamples for pairing with another method."""

    kind: str
    method: str
    queries: pa.Array
    results: tuple[Result, ...]
    replicates: FloatArray
    headline: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    calibration: pa.Table | None = None
    held_out: pa.Table | None = None
    """The pairs that were looked for, each once: query, product and weight (of complements the
    co-purchases, else 1); None where no details were asked for."""
    listed: pa.Table | None = None
    """What was recommended as it is measured, the first rows of each list: query, product and rank
    after what is never truth was taken out; None where no details were asked for."""

    @property
    def metrics(self) -> pa.Table:
        """The metrics table, sorted by metric, k and segment."""
        return to_table(self.method, self.results, self.replicates)


def told_once(measured: Sequence[Evaluation]) -> list[str]:
    """The notes of all, with the name of the method; what several methods share comes once, first.

    What is left out of the truth is the same for each of them.
    """
    first, *others = measured
    shared = [text for text in first.notes if others and all(text in one.notes for one in others)]
    named = [f"{one.method}: {t}" for one in measured for t in one.notes if t not in shared]
    return [*(f"all: {text}" for text in shared), *named]


@dataclass(frozen=True)
class Comparison:
    """Differences of one method's metrics to another's on the same queries and resamples."""

    metrics: pa.Table
    sentences: tuple[str, ...]


def by_merit(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The methods by falling headline metric, as given where equal."""

    def merit(one: Evaluation) -> float:
        metric, k = one.headline[-1]
        return next((-r.value for r in one.results if r.key == (metric, k, ALL)), 0.0)

    return sorted(evaluations, key=merit)


def measure(
    blocks: list[Block], facts: list[Result], num_queries: int, bootstrap: int, seed: int
) -> tuple[tuple[Result, ...], FloatArray]:
    """Results of all blocks, then the facts that have no interval; replicates column by column."""
    results = [
        Result(metric, k, block.segment, float(value), len(block.rows))
        for block in blocks
        for (metric, k), value in zip(block.measures, block.values(), strict=True)
    ]
    replicates = replicate(blocks, num_queries, bootstrap, seed)
    unknown = np.full((bootstrap, len(facts)), np.nan)
    return (*results, *facts), np.concatenate([replicates, unknown], axis=1)


def to_table(method: str, results: Iterable[Result], replicates: FloatArray) -> pa.Table:
    """Results with their intervals as a metrics table; those without any value are left out.

    Of a single query there is no interval: it is drawn every time, and none would vary.
    """
    results = list(results)
    low, high = intervals(np.array([r.value for r in results]), replicates)
    rows = sorted(
        (
            (r.metric, r.k, r.segment, r.value, *bounds, r.queries)
            for r, bounds in zip(results, _bounds(results, low, high), strict=True)
            if not np.isnan(r.value)
        ),
        key=lambda row: (*row[:2], place_of(row[2])),
    )
    by_column = list(zip(*rows, strict=True)) or [()] * 7
    arrays = [[method] * len(rows), *by_column]
    return pa.Table.from_arrays(
        [pa.array(list(a), f.type) for a, f in zip(arrays, METRICS.schema, strict=True)],
        schema=METRICS.schema,
    )


def place_of(segment: str) -> tuple[Any, ...]:
    """Where it stands among others: `all` first, then by the numbers in their names."""
    # every second part is a number
    parts = re.split(r"([0-9]+)", segment)
    return segment != ALL, [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _bounds(
    results: Sequence[Result], low: FloatArray, high: FloatArray
) -> Iterable[tuple[float | None, float | None]]:
    for result, *ends in zip(results, low.tolist(), high.tolist(), strict=True):
        is_known = result.queries > 1 and not np.isnan(ends[0])
        yield (ends[0], ends[1]) if is_known else (None, None)


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """What `first` has over `second`: differences with paired intervals, and the headline in words.

    Raises ValueError where the two were not measured on the same queries and resamples.
    """
    same = first.queries.equals(second.queries)
    if not same or len(first.replicates) != len(second.replicates):
        raise ValueError("two evaluations are paired by the same truth, bootstrap and seed")
    theirs = {result.key: column for column, result in enumerate(second.results)}
    shared = [(i, theirs[r.key]) for i, r in enumerate(first.results) if r.key in theirs]
    ours = [i for i, _ in shared]
    others = [j for _, j in shared]
    differences = [
        Result(*first.results[i].key, first.results[i].value - second.results[j].value,
               min(first.results[i].queries, second.results[j].queries))
        for i, j in shared
    ]  # fmt: skip
    replicates = first.replicates[:, ours] - second.replicates[:, others]
    method = f"{first.method} - {second.method}"
    metrics = to_table(method, differences, replicates)
    return Comparison(metrics, tuple(_sentences(first, second, metrics)))


def _sentences(first: Evaluation, second: Evaluation, metrics: pa.Table) -> Iterable[str]:
    rows = {(r[c.METRIC], r[c.K]): r for r in metrics.to_pylist() if r[c.SEGMENT] == ALL}
    for metric, k in first.headline:
        if (metric, k) in rows:
            yield _sentence(first.method, second.method, f"{metric}@{k}", rows[metric, k])


def _sentence(ours: str, theirs: str, name: str, row: dict[str, float]) -> str:
    value, interval = in_words(row)
    low, high = row[c.CI_LOW], row[c.CI_HIGH]
    if low is None:
        return f"{ours} - {theirs} on {name}: difference {value}, {interval}"
    if low > 0:
        return f"{ours} beats {theirs} on {name} by {value} {interval}"
    if high < 0:
        return f"{ours} does NOT beat {theirs} on {name}: difference {value} {interval}"
    return f"no clear difference between {ours} and {theirs} on {name}: {value} {interval}"


def in_words(row: Mapping[str, float]) -> tuple[str, str]:
    """A difference and its interval as a sentence holds them.

    With three digits after the point, or as many as it takes to tell each number from 0: else an
    interval above 0 could read as one that holds it.
    """
    numbers = [row[c.VALUE], *(row[end] for end in (c.CI_LOW, c.CI_HIGH) if row[end] is not None)]
    # below that it is the noise of the arithmetic
    sizes = [abs(number) for number in numbers if abs(number) > 1e-9]
    digits = max([3, *(math.ceil(-math.log10(size)) for size in sizes)])
    # no minus before what is rounded to 0
    value, *ends = [f"{round(number, digits) + 0.0:.{digits}f}" for number in numbers]
    return value, f"[{', '.join(ends)}]" if ends else "no interval"


def combine_tables(tables: Iterable[pa.Table]) -> pa.Table:
    """Metrics tables as one, sorted by method, metric, k and segment."""
    whole = pa.concat_tables(tables)
    rows = whole.select([c.METHOD, c.METRIC, c.K, c.SEGMENT]).to_pylist()
    keys = [(*row, place_of(segment)) for *row, segment in (r.values() for r in rows)]
    order = sorted(range(len(keys)), key=lambda i: keys[i])
    return whole.take(pa.array(order, pa.int64()))
