"""Tables as a person or a text tool reads them."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Iterable
from math import isfinite
from typing import TYPE_CHECKING, Any

from cprtools.errors import printable

if TYPE_CHECKING:
    import pyarrow as pa

# columns that repeat on every row of a single query are said once, above the table
_HEADINGS = ("query_id", "seller_id")
# shown below a row: the base and the five largest pieces, a line each
_EVIDENCE = "evidence"
_PIECES = 6
# of a column of words
_LEAST_WIDTH = 6
# longer ids go over several lines, too
_LONGEST_ID = 40
_FLOATS = ("halffloat", "float", "double")
_RIGHT = ("rank", "score", "type_score", "affinity", "price", "value", "ci_low", "ci_high")


def as_text(table: "pa.Table", kind: str) -> str:
    """`json`: one object a line; `csv`: a header and rows, quoted where needed.

    NaN and infinity, such as data frames write for an unknown price, are missing: JSON has no
    word for them, and readers of CSV take `nan` for text.
    """
    rows = table.to_pylist()
    numbers = [field.name for field in table.schema if str(field.type) in _FLOATS]
    for row in rows:
        row.update({name: None for name in numbers if not isfinite(row[name] or 0)})
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
    """A readable table for each query: as wide as the terminal, or as 160 characters.

    Where a terminal has no room for the reasons beside their rows, they go below them.
    empty: what is said where the table has no rows.
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
        names = [n for n in _in_order(table) if n != heading]
        console.print(_view(title, rows, names, width if on_terminal else None))
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


def _view(title: str, rows: list[dict[str, Any]], names: list[str], width: int | None) -> Any:
    from rich.cells import cell_len

    natural = {
        name: max(cell_len(_cell(one)) for one in (name, *(row[name] for row in rows)))
        for name in names
    }
    if (
        width is not None
        and "reason" in names
        and 1 + sum(size + 2 for size in natural.values()) > width
    ):
        return _stacked(title, rows, natural, width)
    return _side_by_side(title, rows, natural)


def _side_by_side(title: str, rows: list[dict[str, Any]], natural: dict[str, int]) -> Any:
    from rich.text import Text

    view = _columns(natural, title=Text(title) if title else None, title_justify="left")
    for row in rows:
        view.add_row(*_cells(row, natural))
        if row.get(_EVIDENCE):
            lines = Text("\n".join(_evidence_lines(row[_EVIDENCE])))
            view.add_row(*(lines if name == "reason" else Text("") for name in natural))
    return view


def _stacked(title: str, rows: list[dict[str, Any]], natural: dict[str, int], width: int) -> Any:
    """Reason and evidence of a row on lines of their own, as long as the terminal is wide.

    Where its numbers would not fit into a line, either, all that it has is on lines of their own.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    shown = {name: size for name, size in natural.items() if name != "reason"}
    widths = _fitted(shown, width)
    heading = [Text(title, style="table.title"), Text("")] if title else []
    parts: list[Any] = [_columns(shown, widths, show_edge=False)] if widths else []
    indent = widths.get("rank", 0) + 2
    for row in rows:
        if widths:
            line = _columns(shown, widths, show_edge=False, show_header=False)
            line.add_row(*_cells(row, shown))
        else:
            line = Text("\n".join(f"{name} {_cell(row[name])}" for name in shown))
        words = [_cell(row["reason"]), *_evidence_lines(row.get(_EVIDENCE) or [])]
        below = [Text(one) for one in words if one]
        parts += [line, *(Padding(text, (0, 0, 0, indent)) for text in below)]
    return Group(*heading, Padding(Group(*parts), (0, 0, 0, 1)), Text(""))


def _fitted(natural: dict[str, int], width: int) -> dict[str, int]:
    """Widths with which all columns fit: words go over several lines, numbers do not.

    Empty where there are none.
    """
    widths = dict(natural)
    words = [name for name in natural if not _is_whole(name, natural)]
    room = width - 1 - 2 * len(natural)
    while sum(widths.values()) > room:
        widest = max(words, key=lambda name: widths[name], default="")
        if not words or widths[widest] <= _LEAST_WIDTH:
            return {}
        widths[widest] -= 1
    return widths


def _is_whole(name: str, natural: dict[str, int]) -> bool:
    return name in _RIGHT or (name == "product_id" and natural[name] <= _LONGEST_ID)


def _columns(natural: dict[str, int], widths: dict[str, int] | None = None, **options: Any) -> Any:
    """A table without rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    view = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, **options)
    for name in natural:
        is_whole = _is_whole(name, natural)
        view.add_column(
            Text(_cell(name)),
            justify="right" if name in _RIGHT else "left",
            # a number that is cut must not look like another one
            overflow="ellipsis" if is_whole else "fold",
            no_wrap=is_whole,
            width=None if widths is None else widths[name],
        )
    return view


def _cells(row: dict[str, Any], names: Iterable[str]) -> list[Any]:
    from rich.text import Text

    # Text, not markup: a title such as "[red]" must show as it is
    return [Text(_cell(row[name])) for name in names]


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
        # of a large catalogue most scores, shares of 1, would all read as 0.000
        is_small = 0 < abs(value) < 0.001
        return f"{value:.2g}" if is_small else f"{value:.3f}"
    return printable(str(value))
