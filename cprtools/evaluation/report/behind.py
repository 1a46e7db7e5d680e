"""Sections of the report on what lies behind the metrics: calibration, types, examples, inputs."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from cprtools.errors import percent
from cprtools.evaluation.report import charts
from cprtools.evaluation.report.gathering import MOST_TYPES, Example, Provenance, Transitions
from cprtools.evaluation.report.parts import DASH, bullets, figure, folded, scrolling, table
from cprtools.evaluation.results import Evaluation

EXAMPLES = "Drawn by the seed, not chosen. A tick: it was held out, and so it is right."
INPUTS = "As each file's own footer has it; `cprtools inspect FILE --trace` goes on from here."
_STRONGEST = 8


def calibration(first: Evaluation, evaluations: Sequence[Evaluation]) -> str:
    """Sellers: observed share against affinity. Complements: share that was bought, by score."""
    with_bins = [one for one in evaluations if one.calibration is not None]
    if not with_bins:
        return ""
    is_probability = first.kind == "sellers"
    series, rows = {}, []
    for one in with_bins:
        bins = one.calibration.to_pylist() if one.calibration is not None else []
        claim = "affinity" if is_probability else "score"
        series[one.method] = [
            (b[claim] if is_probability else float(b["bin"]), b["observed"]) for b in bins
        ]
        rows += [
            [escape(one.method), str(b["bin"]), f"{b['candidates']:,}", f"{b[claim]:.3f}",
             f"{b['observed']:.3f}"]
            for b in bins
        ]  # fmt: skip
    if is_probability:
        said = "On the diagonal an affinity means what it says, at equal odds of true and false."
        drawing = charts.lines(series, "mean affinity", "observed share", even=True)
        header = ["method", "bin", "candidates", "mean affinity", "observed at 1:1"]
    else:
        said = "A score is no probability; a higher one should be bought more often."
        drawing = charts.lines(
            series, "tenth by score, the highest last", "share bought", is_log=False
        )
        header = ["method", "tenth", "candidates", "mean score", "share bought"]
    chart = f'<div class="charts">{figure(said, drawing)}</div>'
    numbers = folded("The numbers", table("Calibration", header, rows))
    return charts.legend(list(series)) + chart + numbers


def transitions(found: Transitions | None) -> str:
    """Two heat maps, of what is shown and of what was bought, and the strongest in words."""
    if found is None:
        return ""
    source = _largest(found.shown.sum(axis=1))
    target = _largest(found.shown.sum(axis=0))
    maps = [
        _heat(f"Recommended among the first {found.k}", found.shown, found.names, source, target)
    ]
    if found.bought.any():
        maps.append(
            _heat(
                "Listed (held out)" if found.of_sellers else "Bought (held out)",
                found.bought,
                found.names,
                source,
                target,
            )
        )
    return bullets(_strongest(found)) + f'<div class="maps">{"".join(maps)}</div>'


def _largest(mass: "np.ndarray[Any, np.dtype[np.float64]]") -> list[int]:
    order = np.argsort(-mass, kind="stable")[:MOST_TYPES]
    return [int(i) for i in order if mass[i] > 0]


def _share(counts: "np.ndarray[Any, np.dtype[np.float64]]") -> Any:
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _strongest(found: Transitions) -> list[str]:
    """The largest steps to another type, by rows recommended."""
    shown, bought = _share(found.shown), _share(found.bought)
    others = found.shown.copy()
    np.fill_diagonal(others, 0)
    lines = []
    for cell in np.argsort(-others, axis=None, kind="stable")[:_STRONGEST]:
        i, j = divmod(int(cell), len(found.names))
        if not others[i, j]:
            break
        name = found.names[i]
        line = f"{name} → {found.names[j]}: {percent(shown[i, j], 0)} of what is recommended "
        line += f"to sellers of {name}" if found.of_sellers else f"beside {name}"
        if found.bought[i].any():
            what = "they turned out to list" if found.of_sellers else "was bought with it"
            line += f", {percent(bought[i, j], 0)} of what {what}"
        lines.append(line)
    return lines


def _heat(
    caption: str, counts: Any, names: Sequence[str], source: Sequence[int], target: Sequence[int]
) -> str:
    share = _share(counts)
    head = "".join(f'<th scope="col"><span>{escape(names[j])}</span></th>' for j in target)
    lines = []
    for i in source:
        cells = "".join(
            f'<td style="--v:{share[i, j] * 100:.0f}%">{_percent(share[i, j])}</td>' for j in target
        )
        lines.append(f'<tr><th scope="row">{escape(names[i])}</th>{cells}</tr>')
    return scrolling(
        caption,
        f'<table class="heat"><caption>{escape(caption)}: share of a row</caption><thead><tr>'
        f'<th scope="col">from ↓ to →</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>",
    )


def _percent(share: float) -> str:
    return percent(share, 0) if share >= 0.005 else ""


def examples(found: Sequence[Example], method: str) -> str:
    """A card to each query."""
    cards = []
    for one in found:
        rows = "".join(
            f'<li value="{row.rank}"{" class=hit" if row.is_true else ""}>'
            f"<b>{escape(row.name)}</b>{_tick(row.is_true)}"
            f"<small>{escape(' · '.join(filter(None, (row.kind, row.reason))))}</small></li>"
            for row in one.rows
        )
        wanted = "; ".join(one.held_out[:5]) + (
            f" and {len(one.held_out) - 5:,} more" if len(one.held_out) > 5 else ""
        )
        kind = f'<p class="kind">{escape(one.kind)}</p>' if one.kind else ""
        cards.append(
            f'<article class="card"><h3>{escape(one.name)}</h3>{kind}<ol>{rows}</ol>'
            f'<p class="held"><b>Held out:</b> {escape(wanted)}</p></article>'
        )
    if not cards:
        return ""
    return f'<p class="lead">By {escape(method)}.</p><div class="cards">{"".join(cards)}</div>'


def _tick(is_true: bool) -> str:
    return ' <span class="tick" role="img" aria-label="held out">✓</span>' if is_true else ""


def inputs(found: Sequence[Provenance]) -> str:
    """Every file: rows, digest, the command with its options, and what that one read."""
    header = ["file", "rows", "digest", "made by", "options", "made from"]
    rows = []
    for one in found:
        footer = one.footer
        made = f"{footer['command']} {footer['version']}" if footer else ""
        options = dict(sorted(footer.get("params", {}).items())) if footer else {}
        if footer:
            options["seed"] = footer.get("seed", 0)
        rows.append(
            [escape(one.name), f"{one.rows:,}", f"<code>{escape(one.digest[:16])}</code>",
             escape(made) or DASH, _options(options), _sources(footer.get("inputs", []))]
        )  # fmt: skip
    return table("Inputs", header, rows, words=len(header))


def _options(options: Mapping[str, Any]) -> str:
    if not options:
        return DASH
    said = escape("; ".join(f"{name} = {value}" for name, value in options.items()))
    return f"<details><summary>{len(options)}</summary>{said}</details>"


def _sources(entries: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"{escape(str(e['name']))} <small>{e['rows']:,} rows, "
        f"<code>{escape(str(e['digest'])[:16])}</code></small>"
        for e in entries
    ]
    return "".join(lines) or "a raw input, or not ours"
