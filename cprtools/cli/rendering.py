"""Tables as a person or a text tool reads them."""

import csv
import io
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from cprtools.errors import printable

if TYPE_CHECKING:
    import pyarrow as pa

# columns that repeat on every row of a single query are said once, above the table
_HEADINGS = ("query_id", "seller_id")
# shown below a row: the base and the five largest pieces, a line each
_EVIDENCE = "evidence"
_PIECES = 6
_RATIOS = {"title": 3, "category": 2, "product_type": 2, "reason": 4}
_RIGHT = ("rank", "score", "type_score", "affinity", "price", "value", "ci_low", "ci_high")


def as_text(table: "pa.Table", kind: str) -> str:
    """`json`: one object a line; `csv`: a header and rows, quoted where needed."""
    rows = table.to_pylist()
    if kind == "json":
        return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow(table.column_names)
    writer.writerows([_field(row[name]) for name in table.column_names] for row in rows)
    return "".join(lines)


def _field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


class _Lines(list[str]):
    """Rows of a CSV writer that end in a newline alone; by itself it leaves \\r unquoted."""

    def write(self, row: str) -> None:
        """Take one row."""
        self.append(row.removesuffix("\r\n") + "\n")


def print_table(table: "pa.Table", output: str, empty: str) -> None:
    """A readable table: one per query on a terminal, plain aligned text into a file or a pipe.

    empty: what is said where it has no rows.
    """
    from rich.console import Console

    from cprtools import tables

    buffer = io.StringIO()
    on_terminal = output == "-" and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else 160
    console = Console(
        file=buffer, width=width, force_terminal=on_terminal, highlight=False, emoji=False
    )
    heading = next((name for name in _HEADINGS if name in table.column_names), None)
    for title, rows in _groups(table, heading):
        console.print(_render(title, rows, [n for n in _in_order(table) if n != heading]))
    if not table.num_rows:
        console.print(empty)
    data = buffer.getvalue().encode()
    if output == "-":
        tables.write_stdout(data, binary=False)
    else:
        tables.write_text(buffer.getvalue(), output)


def _in_order(table: "pa.Table") -> list[str]:
    """The columns as a person reads them: what it is, then how good, then why."""
    names = [name for name in table.column_names if name != _EVIDENCE]
    if "reason" not in names:
        return names
    # products without titles need no place for them
    names = [n for n in names if n != "title" or table.column(n).null_count < table.num_rows]
    first = [name for name in ("rank", "product_id", "title") if name in names]
    return [*first, *(name for name in names if name not in (*first, "reason")), "reason"]


def _groups(table: "pa.Table", heading: str | None) -> list[tuple[str, list[dict[str, Any]]]]:
    rows = table.to_pylist()
    if heading is None:
        return [("", rows)]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[heading], []).append(row)
    label = heading.removesuffix("_id")
    return [(f"{label} {_cell(key)}", members) for key, members in groups.items()]


def _render(title: str, rows: list[dict[str, Any]], names: list[str]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    view = Table(
        title=Text(title) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in names:
        justify: Any = "right" if name in _RIGHT else "left"
        is_whole = name in (*_RIGHT, "product_id")
        # the words get what the numbers leave, and the reason the largest part of it
        view.add_column(
            Text(_cell(name)),
            justify=justify,
            overflow="fold",
            no_wrap=is_whole,
            ratio=_RATIOS.get(name),
        )
    for row in rows:
        # Text, not markup: a title such as "[red]" must show as it is
        view.add_row(*(Text(_cell(row[name])) for name in names))
        if row.get(_EVIDENCE):
            lines = Text("\n".join(_evidence_lines(row[_EVIDENCE])))
            view.add_row(*(lines if name == "reason" else Text("") for name in names))
    return view


def _evidence_lines(pieces: list[dict[str, Any]]) -> list[str]:
    """What a score is made of, a line each: the first pieces, the others' sum, and the whole."""
    first, rest = pieces[:_PIECES], pieces[_PIECES:]
    lines = [_line(p["added"], _words(p["name"]), p["value"]) for p in first]
    if rest:
        others = sum(p["added"] for p in rest)
        lines.append(_line(others, f"{len(rest)} more pieces of evidence", None))
        lines.append(_line(others + sum(p["added"] for p in first), "in all", None))
    return lines


def _line(added: float | None, words: str, value: float | None) -> str:
    amount = " " * 6 if added is None else f"{added:+.2f}".rjust(6)
    return f"{amount}  {words}" + ("" if value is None else f" = {value:.3g}")


def _words(name: str) -> str:
    from cprtools.answers.evidence import in_words

    return printable(in_words(name))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return printable(str(value))
