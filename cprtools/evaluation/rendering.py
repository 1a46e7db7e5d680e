"""A metrics table as text: aligned for people, CSV and JSON lines for programs."""

import io
import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv

from cprtools.errors import printable
from cprtools.evaluation.results import ALL, Evaluation, by_merit
from cprtools.tables import columns as c

FORMATS = ("table", "parquet", "csv", "json")


def render(metrics: pa.Table, form: str) -> str:
    """The metrics as `table`, `csv` or `json` (one object a line)."""
    if form == "json":
        return "".join(json.dumps(row) + "\n" for row in metrics.to_pylist())
    if form == "csv":
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(metrics, buffer)
        return buffer.getvalue().decode()
    return _aligned(metrics)


def metric_name(row: dict[str, object]) -> str:
    """Recall@100, or the bare name of a metric without k."""
    return f"{row[c.METRIC]}@{row[c.K]}" if row[c.K] else str(row[c.METRIC])


def interval(row: dict[str, object]) -> str:
    """[low, high], empty where there is none."""
    if row[c.CI_LOW] is None:
        return ""
    return f"[{row[c.CI_LOW]:.4f}, {row[c.CI_HIGH]:.4f}]"


def leaderboard(evaluations: Sequence[Evaluation]) -> str:
    """The headline metrics with their intervals, a line to a method, the best first."""
    names = [f"{metric}@{k}" for metric, k in evaluations[0].headline]
    lines = [("method", *names)]
    for one in by_merit(evaluations):
        rows = {metric_name(r): r for r in one.metrics.to_pylist() if r[c.SEGMENT] == ALL}
        cells = [f"{rows[n][c.VALUE]:.4f} {interval(rows[n])}" if n in rows else "" for n in names]
        lines.append((one.method, *cells))
    return _columns(lines, left=len(lines[0]))


def _aligned(metrics: pa.Table) -> str:
    header = ("method", "metric", "segment", "value", "95% interval", "queries")
    lines = [header]
    for row in metrics.to_pylist():
        texts = (str(row[c.METHOD]), metric_name(row), str(row[c.SEGMENT]))
        value = f"{row[c.VALUE]:.4f}"
        lines.append((*texts, value, interval(row), f"{row[c.QUERIES]:,}"))
    return _columns(lines, left=3)


def _columns(lines: Sequence[tuple[str, ...]], left: int) -> str:
    """Lines of aligned cells, the first `left` columns to the left, the others to the right."""
    # names come from a user's file
    shown = [[printable(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    texts = []
    for line in shown:
        sized = list(zip(line, widths, strict=True))
        cells = [*(t.ljust(w) for t, w in sized[:left]), *(t.rjust(w) for t, w in sized[left:])]
        texts.append("  ".join(cells).rstrip() + "\n")
    return "".join(texts)
