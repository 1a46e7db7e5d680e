"""An inspection as plain text or JSON; nothing in it can steer a terminal."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from cprtools.errors import printable
from cprtools.tables.inspection import Inspection
from cprtools.tables.piping import title_of
from cprtools.tables.tracing import FOUND, Trace

_WIDTH = 40


def as_text(found: Inspection, traces: Sequence[Trace] | None = None) -> str:
    """Lines to read: what there is, its columns, first rows, how it was made, and the trace."""
    what = f"{found.kind}, " if found.kind != "table" else ""
    files = "1 file" if found.files == 1 else f"{found.files:,} files"
    lines = [f"{found.name}: {what}{found.rows:,} rows, {_size(found.size)} in {files}"]
    lines += block("facts", found.facts.items())
    for table in found.tables:
        title = f"{table.name}: {table.rows:,} rows" if found.kind != "table" else "columns"
        lines += block(title, table.columns)
        lines += _differing(table.differing)
        lines += aligned("first rows", [name for name, _ in table.columns], table.first)
    lines += _made_by(found.footer)
    if traces is not None:
        lines += ["", "trace", *_tree(traces, 1)]
        if not traces:
            lines.append("  no inputs are recorded" if found.footer else "  a raw input")
    return printable_lines(lines)


def _differing(differing: Mapping[str, Mapping[str, int]]) -> list[str]:
    each = [
        f"{name} is " + ", ".join(f"{kind} in {n:,}" for kind, n in types.items())
        for name, types in differing.items()
    ]
    title = "  the files disagree on types, those of the first one are shown: "
    return [printable(title + "; ".join(each))] if each else []


def printable_lines(lines: Iterable[str]) -> str:
    """Lines of text in which nothing can steer a terminal."""
    return "".join(printable(line) + "\n" for line in lines)


def as_json(found: Inspection, traces: Sequence[Trace] | None = None) -> str:
    """The same as one JSON object on one line."""
    result: dict[str, Any] = {
        "name": found.name,
        "kind": found.kind,
        "rows": found.rows,
        "size": found.size,
        "files": found.files,
        "facts": found.facts,
        "tables": [
            {
                "name": table.name,
                "rows": table.rows,
                "columns": dict(table.columns),
                "first": list(table.first),
                **({"differing": table.differing} if table.differing else {}),
            }
            for table in found.tables
        ],
        "footer": found.footer or None,
    }
    if traces is not None:
        result["trace"] = [_trace_dict(each) for each in traces]
    return json_line(result)


def json_line(value: Any) -> str:
    """A value as JSON on one line; what JSON cannot hold is null or text."""
    return json.dumps(_plain(value), allow_nan=False) + "\n"


def _trace_dict(each: Trace) -> dict[str, Any]:
    return {
        "name": each.name,
        "rows": each.rows,
        "digest": each.digest,
        "status": each.status,
        "path": each.path,
        "command": each.footer.get("command"),
        "inputs": [_trace_dict(below) for below in each.inputs],
    }


def block(title: str, pairs: Iterable[tuple[str, Any]]) -> list[str]:
    """A title and aligned name-value lines, or nothing without a pair."""
    shown = [(printable(str(name)), _value(value)) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    return ["", title, *(f"  {name:<{width}}  {value}" for name, value in shown)] if shown else []


def _made_by(footer: Mapping[str, Any]) -> list[str]:
    if not footer:
        return ["", "no cprtools footer: not made by a command of ours"]
    title = f"made by cprtools {footer['version']} {footer.get('command', '')}".rstrip()
    facts = [*sorted(footer.get("params", {}).items()), ("seed", footer.get("seed", 0))]
    inputs = [(i["name"], f"{i['rows']:,} rows, digest {i['digest']}") for i in footer["inputs"]]
    return block(title, facts) + block("from", inputs)


def aligned(title: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A title and rows in columns, or nothing without a row."""
    if not rows:
        return []
    cells = [[_clip(printable(name)) for name in names]]
    cells += [[_clip(printable(_value(row.get(name)))) for name in names] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    texts = ["  ".join(f"{v:<{w}}" for v, w in zip(row, widths, strict=True)) for row in cells]
    return ["", title, *(f"  {text}".rstrip() for text in texts)]


def _tree(traces: Sequence[Trace], depth: int) -> list[str]:
    lines = []
    for each in traces:
        lines.append("  " * depth + _trace_line(each))
        lines += _tree(each.inputs, depth + 1)
    return lines


def _trace_line(each: Trace) -> str:
    name = title_of(each.name)
    origin = f", made by {each.footer['command']}" if each.footer.get("command") else ""
    if each.status == FOUND:
        where = f" as {each.path}" if each.path != each.name else ""
        return f"{name}: found{where}, {each.rows:,} rows{origin or ', a raw input'}"
    if each.path is not None:
        return f"{name}: changed since; {each.path} holds other rows than the {each.rows:,} read"
    return f"{name}: not found, {each.rows:,} rows were read{origin}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """The value as JSON can hold it; what is no number is null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | float | None) else str(value)


def _clip(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _size(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
