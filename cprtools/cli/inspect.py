"""cprtools inspect."""

from typing import Annotated

import typer

from cprtools.errors import UsageError


def inspect(
    place: Annotated[
        str, typer.Argument(metavar="FILE-OR-FOLDER", help="What to look at; - is standard input.")
    ],
    trace: Annotated[
        bool, typer.Option("--trace", help="Follow the inputs back to the raw ones.")
    ] = False,
    search: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="--trace: look for inputs here too; repeatable."),
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(metavar="OTHER", help="What OTHER has instead: came, went, moved, changed."),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(min=0, help="Show this many first rows; of each difference (default 10)."),
    ] = None,
    format: Annotated[str, typer.Option(metavar="table|json", help="How to print.")] = "table",
) -> None:
    """Show what a file or folder holds and what it was made from.

    Whatever cprtools writes says in its footer which command, options and inputs made it. --trace
    follows the inputs back to the raw tables, --diff tells what changed from one run to the next.

    \b
    Example:
      cprtools inspect pairs.parquet --trace
      cprtools inspect yesterday.parquet --diff today.parquet
    """
    from cprtools import tables
    from cprtools.cli.options import parse_choice

    parse_choice("--format", format, ("table", "json"))
    if diff is not None:
        if trace:
            raise UsageError("--diff and --trace are two questions; ask one at a time")
        difference = tables.differ(place, diff, 10 if rows is None else rows)
        tell = tables.difference_json if format == "json" else tables.difference_text
        tables.write_stdout(tell(difference).encode(), binary=False)
        return
    found = tables.inspect_place(place, rows or 0)
    traces = tables.trace(place, found.footer, search or []) if trace else None
    show = tables.as_json if format == "json" else tables.as_text
    tables.write_stdout(show(found, traces).encode(), binary=False)
