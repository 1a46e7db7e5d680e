"""One self-contained HTML page: leaderboard, differences, segments, calibration, provenance."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Any

import pyarrow as pa

from cprtools import __version__
from cprtools.evaluation.inputs import footer_of
from cprtools.evaluation.rendering import interval, metric_name
from cprtools.evaluation.results import ALL, Comparison, Evaluation
from cprtools.evaluation.template import PAGE
from cprtools.tables import Folder, Source
from cprtools.tables import columns as c

_TITLES = {"complements": "Complements of products", "sellers": "Products for sellers"}
_SIDE = 320  # pixels of the calibration plot
_MARGIN = 40


@dataclass(frozen=True)
class Provenance:
    """One input as its own footer tells of it; empty texts for foreign files."""

    name: str
    command: str
    version: str
    seed: str
    params: str
    inputs: str


def provenance(opened: Iterable[Source | Folder]) -> list[Provenance]:
    """Where the inputs come from, one entry each."""
    found = []
    for place in opened:
        if isinstance(place, Folder):
            label = str(place.describe()["name"])
            found.append(Provenance(label, f"{place.kind} model", "", "", "", ""))
            continue
        footer = footer_of(place)
        found.append(
            Provenance(
                place.label,
                footer.get("command", ""),
                footer.get("version", ""),
                footer.get("seed", ""),
                footer.get("params", ""),
                _input_names(footer.get("inputs", "")),
            )
        )
    return found


def _input_names(text: str) -> str:
    try:
        return ", ".join(f"{one['name']} ({one['rows']:,} rows)" for one in json.loads(text))
    except (ValueError, KeyError, TypeError):
        return ""


def html_report(
    evaluations: Sequence[Evaluation],
    comparisons: Sequence[Comparison],
    inputs: Sequence[Provenance],
) -> str:
    """The page. The first evaluation is the one asked for, the others what it is held against."""
    first = evaluations[0]
    title = f"{_TITLES[first.kind]}: {first.method}"
    sections = [
        _section("Leaderboard", _leaderboard(evaluations)),
        _section("Differences", _differences(comparisons)),
        _section("Segments", _segments(evaluations)),
        _section("Calibration", "".join(map(_calibration, evaluations))),
        _section("Notes", _notes(evaluations)),
        _section("Inputs", _inputs(inputs)),
    ]
    facts = f"{len(first.queries):,} queries with held-out data; 95% intervals by bootstrap over "
    facts += f"queries, {len(first.replicates):,} resamples"
    return Template(PAGE).substitute(
        title=escape(title), facts=escape(facts), body="".join(sections), version=__version__
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>\n" if body else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Rows of HTML cells; the first `words` columns are text, the others numbers."""
    kinds = ["" if i < words else ' class="n"' for i in range(len(header))]
    head = "".join(f"<th{kind}>{escape(h)}</th>" for h, kind in zip(header, kinds, strict=True))
    lines = []
    for row in rows:
        cells = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    body = "\n".join(lines)
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{whole}</div>'


def _cell(row: dict[str, Any] | None, *, best: bool = False) -> str:
    if row is None:
        return "&ndash;"
    value = f"{row[c.VALUE]:.4f}"
    shown = f"<strong>{value}</strong>" if best else value
    return f"{shown}<small>{interval(row)}</small>"


def _by_name(metrics: pa.Table, segment: str) -> dict[str, dict[str, Any]]:
    return {metric_name(row): row for row in metrics.to_pylist() if row[c.SEGMENT] == segment}


def _leaderboard(evaluations: Sequence[Evaluation]) -> str:
    found = {one.method: _by_name(one.metrics, ALL) for one in evaluations}
    leading = [f"{metric}@{k}" for metric, k in evaluations[0].headline]
    rest = [name for rows in found.values() for name in rows if name not in leading]
    names = list(dict.fromkeys([*leading, *rest]))
    # better is not higher for every metric: only the headline has a winner
    best = {n: max(rows[n][c.VALUE] for rows in found.values() if n in rows) for n in leading}
    order = sorted(found, key=lambda method: -found[method][leading[-1]][c.VALUE])
    rows = []
    for name in names:
        cells = []
        for method in order:
            row = found[method].get(name)
            wins = len(order) > 1 and row is not None and row[c.VALUE] == best.get(name)
            cells.append(_cell(row, best=wins))
        rows.append([escape(name), *cells])
    return _table(["metric", *order], rows)


def _differences(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    sentences = [text for comparison in comparisons for text in comparison.sentences]
    said = "".join(f"<li>{escape(text)}</li>" for text in sentences)
    rows = [
        [escape(row[c.METHOD]), escape(metric_name(row)), _cell(row)]
        for comparison in comparisons
        for row in comparison.metrics.to_pylist()
        if row[c.SEGMENT] == ALL
    ]
    return f"<ul>{said}</ul>" + _table(["methods", "metric", "difference"], rows, words=2)


def _segments(evaluations: Sequence[Evaluation]) -> str:
    found = {one.method: one.metrics.to_pylist() for one in evaluations}
    shown = {name for name, _ in evaluations[0].headline}
    cells: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for method, rows in found.items():
        for row in rows:
            if row[c.SEGMENT] != ALL and row[c.METRIC] in shown:
                cells.setdefault((row[c.SEGMENT], metric_name(row)), {})[method] = row
    if not cells:
        return ""
    lines = []
    for (segment, name), by_method in cells.items():
        queries = max(row[c.QUERIES] for row in by_method.values())
        values = [_cell(by_method.get(method)) for method in found]
        lines.append([escape(segment), escape(name), f"{queries:,}", *values])
    lines.sort(key=lambda line: line[0])
    return _table(["segment", "metric", "queries", *found], lines, words=2)


def _calibration(one: Evaluation) -> str:
    if one.calibration is None:
        return ""
    bins = one.calibration.to_pylist()
    rows = [
        [str(b["bin"]), f"{b['candidates']:,}", f"{b['affinity']:.3f}", f"{b['observed']:.3f}"]
        for b in bins
    ]
    points = [(b["affinity"], b["observed"]) for b in bins]
    table = _table(["bin", "candidates", "mean affinity", "observed at 1:1"], rows)
    return f"<h3>{escape(one.method)}</h3><div class='side'>{_plot(points)}{table}</div>"


def _plot(points: Sequence[tuple[float, float]]) -> str:
    span = _SIDE - 2 * _MARGIN

    def place(x: float, y: float) -> str:
        return f"{_MARGIN + x * span:.1f},{_SIDE - _MARGIN - y * span:.1f}"

    dots = []
    for x, y in points:
        cx, cy = place(x, y).split(",")
        dots.append(f'<circle cx="{cx}" cy="{cy}" r="4"/>')
    path = " ".join(place(x, y) for x, y in points)
    corners = " ".join(place(x, y) for x, y in ((0, 1), (0, 0), (1, 0)))
    diagonal = f"{place(0, 0)} {place(1, 1)}"
    middle, bottom = _SIDE / 2, _SIDE - 10
    return (
        f'<svg viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}" height="{_SIDE}" role="img" '
        'aria-label="observed share against mean affinity">'
        f'<polyline class="axis" points="{corners}"/><polyline class="even" points="{diagonal}"/>'
        f'<polyline class="line" points="{path}"/>{"".join(dots)}'
        f'<text x="{middle}" y="{bottom}" text-anchor="middle">mean affinity, 0 to 1</text>'
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        "observed share, 0 to 1</text></svg>"
    )


def _notes(evaluations: Sequence[Evaluation]) -> str:
    lines = [f"{one.method}: {text}" for one in evaluations for text in (*one.warnings, *one.notes)]
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _inputs(inputs: Sequence[Provenance]) -> str:
    header = ["file", "written by", "version", "seed", "options", "made from"]
    rows = [
        [escape(text) for text in (i.name, i.command, i.version, i.seed, i.params, i.inputs)]
        for i in inputs
    ]
    return _table(header, rows, words=len(header))
