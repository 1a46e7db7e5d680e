"""Pieces of HTML: sections, tables and figures. Cells and bodies are HTML, all else is text."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from cprtools.evaluation.rendering import interval
from cprtools.tables import columns as c

DASH = "&ndash;"


def section(title: str, body: str, said: str = "") -> str:
    """A section with its heading, and a sentence on how to read it; empty without a body."""
    if not body:
        return ""
    name = anchor(title)
    lead = f'<p class="lead">{escape(said)}</p>' if said else ""
    heading = f'<h2 id="{name}">{escape(title)}</h2>'
    return f'<section aria-labelledby="{name}">{heading}{lead}{body}</section>\n'


def anchor(title: str) -> str:
    """The id of a section's heading, one of our own titles."""
    return title.lower().replace(" ", "-").replace(",", "")


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> str:
    """Rows of HTML cells; the first `words` columns are text, the others numbers."""
    kinds = ["" if i < words else ' class="n"' for i in range(len(header))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(h)}</th>' for h, kind in zip(header, kinds, strict=True)
    )
    lines = []
    for row in rows:
        first, *others = zip(row, kinds, strict=True)
        cells = "".join(f"<td{kind}>{cell}</td>" for cell, kind in others)
        lines.append(f'<tr><th scope="row"{first[1]}>{first[0]}</th>{cells}</tr>')
    body = "\n".join(lines)
    return scrolling(
        caption,
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>",
    )


def scrolling(label: str, body: str) -> str:
    """What may be wider than the page; a keyboard can scroll it, too."""
    return f'<div class="wide" tabindex="0" role="group" aria-label="{escape(label)}">{body}</div>'


def folded(summary: str, body: str) -> str:
    """What opens on demand, without any script."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def figure(caption: str, drawing: str) -> str:
    """A drawing with its caption."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def bullets(lines: Iterable[str]) -> str:
    """Sentences as a list; empty without any."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def number(row: dict[str, Any] | None, *, best: bool = False) -> str:
    """The value of a metric's row, its interval under it."""
    if row is None:
        return DASH
    value = f"{row[c.VALUE]:.4f}" if abs(row[c.VALUE]) < 1000 else f"{row[c.VALUE]:,.0f}"
    shown = f"<strong>{value}</strong>" if best else value
    return f"{shown}<small>{interval(row)}</small>"
