"""Sections of the report that show metrics: leaderboard, differences, curves, segments."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import pyarrow as pa

from cprtools.evaluation.rendering import metric_name
from cprtools.evaluation.report import charts
from cprtools.evaluation.report.parts import DASH, bullets, figure, folded, number, table
from cprtools.evaluation.results import ALL, Comparison, Evaluation, place_of
from cprtools.tables import columns as c

LEADERBOARD = "Best first. Whiskers are 95% intervals over the queries."
DIFFERENCES = "On the same queries and resamples: an interval that holds 0 is no clear difference."
OVER_K = "How much more is found by showing more."
WARM = "Queries and candidates with training data, and those without."
DIVERSITY = "Up is more accurate, right is more varied: a method at the top right has both."
COVERAGE = "The share of the catalogue that anybody is shown among the first k."
_WARM = {
    "complements": ("warm queries", "queries without co-purchases", "new products",
                    "warm candidates", "new candidates"),
    "sellers": ("no listings", "1-4 listings", "5-9 listings", "10-19 listings", "20-49 listings",
                "50+ listings"),
}  # fmt: skip
_NAN = float("nan")

Rows = dict[str, dict[str, Any]]


def leaderboard(evaluations: Sequence[Evaluation]) -> str:
    """A chart of the last headline metric, a table of the telling ones, and all of them folded."""
    found = {one.method: _by_name(one.metrics, ALL) for one in evaluations}
    leading = [f"{metric}@{k}" for metric, k in evaluations[0].headline]
    names = list(dict.fromkeys([*leading, *(name for rows in found.values() for name in rows)]))
    last = max((k for _, k in evaluations[0].headline), default=0)
    shown = [n for n in names if n in leading or n.endswith(f"@{last}") or "@" not in n]
    spans = {name: _span(rows[leading[-1]]) for name, rows in found.items() if leading[-1] in rows}
    chart = charts.spans(spans, list(found), leading[-1])
    whole = _metric_table("All metrics", names, found, leading)
    return (
        figure(f"{leading[-1]} of every method with its interval", chart)
        + _method_table(shown, found, leading)
        + folded("All metrics at every cut-off", whole)
    )


def _method_table(names: Sequence[str], found: dict[str, Rows], leading: Sequence[str]) -> str:
    best = _best(found, leading)
    rows = []
    for method, by_name in found.items():
        cells = [
            number(by_name.get(n), best=n in best and by_name.get(n, {}).get(c.VALUE) == best[n])
            for n in names
        ]
        rows.append([escape(method), *cells])
    return table("Methods, best first, with 95% intervals", ["method", *names], rows)


def _metric_table(
    caption: str, names: Sequence[str], found: dict[str, Rows], leading: Sequence[str]
) -> str:
    best = _best(found, leading)
    rows = []
    for name in names:
        values = [by_name.get(name) for by_name in found.values()]
        cells = [
            number(row, best=row is not None and row[c.VALUE] == best.get(name)) for row in values
        ]
        rows.append([escape(name), *cells])
    return table(caption, ["metric", *found], rows)


def _best(found: dict[str, Rows], leading: Sequence[str]) -> dict[str, float]:
    # better is not higher for every metric: only the headline has a winner
    if len(found) < 2:
        return {}
    return {n: max(rows[n][c.VALUE] for rows in found.values() if n in rows) for n in leading}


def differences(comparisons: Sequence[Comparison]) -> str:
    """The sentences, and every difference over all queries."""
    if not comparisons:
        return ""
    rows = [
        [escape(row[c.METHOD]), escape(metric_name(row)), number(row)]
        for comparison in comparisons
        for row in comparison.metrics.to_pylist()
        if row[c.SEGMENT] == ALL
    ]
    said = bullets(text for comparison in comparisons for text in comparison.sentences)
    whole = table("Paired differences", ["methods", "metric", "difference"], rows, words=2)
    return said + folded("Every paired difference", whole)


def over_k(curves: Sequence[Evaluation]) -> str:
    """Hit or recall and NDCG over k."""
    if not curves:
        return ""
    metrics = [m for m in ("Hit", "Recall", "NDCG") if any(_curve(one, m) for one in curves)]
    drawn = []
    for metric in metrics:
        series = {one.method: _curve(one, metric) for one in curves}
        drawn.append(
            figure(f"{metric}@k over k, logarithmic", charts.lines(series, "k", f"{metric}@k"))
        )
    names = charts.legend([one.method for one in curves])
    return f'{names}<div class="charts">{"".join(drawn)}</div>' + folded(
        "The numbers", _curve_table("Over the cut-off", curves, metrics)
    )


def coverage(curves: Sequence[Evaluation]) -> str:
    """The share of the catalogue, or without a catalogue the plain count, over k."""
    for metric in ("Coverage", "DistinctProducts"):
        series = {one.method: _curve(one, metric) for one in curves}
        if any(series.values()):
            chart = charts.lines(series, "k", f"{metric}@k")
            names = charts.legend(list(series))
            drawn = f'<div class="charts">{figure(f"{metric}@k over k, logarithmic", chart)}</div>'
            numbers = _curve_table("Coverage", curves, [metric])
            return names + drawn + folded("The numbers", numbers)
    return ""


def _curve(one: Evaluation, metric: str) -> list[tuple[float, float]]:
    return [(r.k, r.value) for r in sorted(one.results, key=lambda r: r.k)
            if r.metric == metric and r.segment == ALL]  # fmt: skip


def _curve_table(caption: str, curves: Sequence[Evaluation], metrics: Sequence[str]) -> str:
    ks = sorted({int(k) for one in curves for metric in metrics for k, _ in _curve(one, metric)})
    rows = []
    for one in curves:
        for metric in metrics:
            values = {int(k): value for k, value in _curve(one, metric)}
            cells = [f"{values[k]:.4f}" if k in values else DASH for k in ks]
            rows.append([escape(one.method), metric, *cells])
    return table(caption, ["method", "metric", *(f"k={k}" for k in ks)], rows, words=2)


def warm_and_new(evaluations: Sequence[Evaluation]) -> str:
    """The headline by how much was known in training, as dots with intervals."""
    metric, k = evaluations[0].headline[-1]
    groups: dict[str, dict[str, charts.Span]] = {}
    counts: dict[str, int] = {}
    for one in evaluations:
        for row in one.metrics.to_pylist():
            name = row[c.SEGMENT]
            if (row[c.METRIC], row[c.K]) == (metric, k) and name in _WARM[one.kind]:
                groups.setdefault(name, {})[one.method] = _span(row)
                counts[name] = row[c.QUERIES]
    # one scale for all, so that segments can be compared
    every = [v for found in groups.values() for span in found.values() for v in span]
    high = max((v for v in every if not math.isnan(v)), default=0.0)
    names = [one.method for one in evaluations]
    drawn = [
        figure(
            f"{name}: {counts[name]:,} {asked(evaluations[0])}",
            charts.spans(groups[name], names, f"{metric}@{k}", high),
        )
        for name in _WARM[evaluations[0].kind]
        if name in groups
    ]
    return f'<div class="charts">{"".join(drawn)}</div>' if drawn else ""


def segments(evaluations: Sequence[Evaluation]) -> str:
    """The headline metrics in every segment."""
    shown = {name for name, _ in evaluations[0].headline}
    cells: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for one in evaluations:
        for row in one.metrics.to_pylist():
            if row[c.SEGMENT] != ALL and row[c.METRIC] in shown:
                cells.setdefault((row[c.SEGMENT], metric_name(row)), {})[one.method] = row
    if not cells:
        return ""
    methods = [one.method for one in evaluations]
    lines = []
    for segment, name in sorted(cells, key=lambda cell: place_of(cell[0])):
        by_method = cells[segment, name]
        queries = max(row[c.QUERIES] for row in by_method.values())
        values = [number(by_method.get(method)) for method in methods]
        lines.append([escape(segment), escape(name), f"{queries:,}", *values])
    header = ["segment", "metric", "queries", *methods]
    return folded(f"All {len(lines):,} rows", table("Segments", header, lines, words=2))


def diversity(evaluations: Sequence[Evaluation]) -> str:
    """The headline against types in a list, novelty and coverage, a dot to a method."""
    metric, k = evaluations[0].headline[-1]
    found = {one.method: _by_name(one.metrics, ALL) for one in evaluations}
    drawn = []
    for other in ("TypesPerList", "Novelty", "Coverage"):
        name, headline = f"{other}@{k}", f"{metric}@{k}"
        points = {
            method: (rows[name][c.VALUE], rows[headline][c.VALUE])
            for method, rows in found.items()
            if name in rows and headline in rows
        }
        if points:
            drawn.append(
                figure(
                    f"{headline} against {name}",
                    charts.scatter(points, list(found), name, headline),
                )
            )
    return (
        f'{charts.legend(list(found))}<div class="charts">{"".join(drawn)}</div>' if drawn else ""
    )


def notes(evaluations: Sequence[Evaluation]) -> str:
    """What was left out or looks odd."""
    return bullets(
        f"{one.method}: {text}" for one in evaluations for text in (*one.warnings, *one.notes)
    )


def asked(one: Evaluation) -> str:
    """What the queries of this kind are."""
    return "sellers" if one.kind == "sellers" else "products"


def _by_name(metrics: pa.Table, segment: str) -> Rows:
    return {metric_name(row): row for row in metrics.to_pylist() if row[c.SEGMENT] == segment}


def _span(row: dict[str, Any]) -> charts.Span:
    low, high = row[c.CI_LOW], row[c.CI_HIGH]
    return row[c.VALUE], _NAN if low is None else low, _NAN if high is None else high
