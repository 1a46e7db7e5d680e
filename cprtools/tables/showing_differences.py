"""A difference of two files or folders as plain text or JSON; nothing in it steers a terminal."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cprtools.errors import percent
from cprtools.tables.differing import Difference, TableDifference
from cprtools.tables.showing import aligned, block, json_line, printable_lines

_TITLES = {
    "came": "came (only in the second)",
    "went": "went (only in the first)",
    "moved": "moved furthest",
    "changed": "changed",
}

# of two models nearly every such row came or went, however alike their answers are
_BY_PLACE = (
    "rows without a key name products by their place, which changes from model to model; "
    "to see what became of the answers, compare what both recommend"
)


def difference_text(found: Difference) -> str:
    """Lines to read: what came, went, moved or changed, some rows of each, and the footers."""
    said = "the same rows and columns" if found.is_empty else "they differ"
    lines = [f"{found.names[0]} -> {found.names[1]}: {said}"]
    for name, only in zip(found.names, found.only, strict=True):
        lines += block(f"only in {name}", [(member, "") for member in only])
    is_folder = len(found.tables) != 1 or found.tables[0].name != "table"
    if is_folder and any((t.came or t.went) and not t.key for t in found.tables):
        lines += ["", _BY_PLACE]
    for table in found.tables:
        lines += _table(table, f"{table.name}: " if is_folder else "")
    made = [(name, _change(pair)) for name, pair in found.footers.items()]
    lines += block("made otherwise", made)
    return printable_lines(line.rstrip() for line in lines)


def difference_json(found: Difference) -> str:
    """The same as one JSON object on one line."""
    return json_line({**asdict(found), "same": found.is_empty})


def _table(table: TableDifference, prefix: str) -> list[str]:
    by = f"by {', '.join(table.key)}" if table.key else "as whole rows, for want of a key"
    counts: list[tuple[str, Any]] = [
        ("before", f"{table.rows[0]:,}"),
        ("after", f"{table.rows[1]:,}"),
        ("same", f"{table.same:,}"),
        ("came", f"{table.came:,}"),
        ("went", f"{table.went:,}"),
    ]
    if table.key:
        counts.append(("changed", _changed(table)))
    if table.lists:
        counts.append(("moved", f"{int(table.lists['moved']):,}"))
    lines = block(f"{prefix}rows {by}", counts)
    lines += block(f"{prefix}lists", _lists(table.lists))
    lines += block(f"{prefix}columns", [(name, _change(p)) for name, p in table.columns.items()])
    for kind, rows in table.examples.items():
        if rows:
            lines += aligned(f"{prefix}{_TITLES[kind]}", list(rows[0]), rows)
    return lines


def _changed(table: TableDifference) -> str:
    each = ", ".join(f"{name} in {count:,}" for name, count in table.by_column.items())
    return f"{table.changed:,}" + (f": {each}" if each else "")


def _lists(lists: Mapping[str, float]) -> list[tuple[str, Any]]:
    if not lists:
        return []
    whole = [(n, f"{int(v):,}") for n, v in lists.items() if n not in ("kept", "moved")]
    return [*whole, ("kept of a list", percent(lists["kept"]))]


def _change(pair: tuple[Any, Any]) -> str:
    one, other = ("none" if value is None else value for value in pair)
    return f"{one} -> {other}"
