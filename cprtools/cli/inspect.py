"""cprtools inspect."""

from typing import Annotated

import typer


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
    rows: Annotated[int, typer.Option(min=0, help="Show this many first rows.")] = 0,
    format: Annotated[str, typer.Option(metavar="table|json", help="How to print.")] = "table",
) -> None:
    """Show what a file or folder holds and what it was made from.

    \b
    Example:
      cprtools inspect pairs.parquet --trace
    """
    from cprtools import tables
    from cprtools.cli.options import parse_choice

    parse_choice("--format", format, ("table", "json"))
    found = tables.inspect_place(place, rows)
    traces = tables.trace(place, found.footer, search or []) if trace else None
    show = tables.as_json if format == "json" else tables.as_text
    tables.write_stdout(show(found, traces).encode(), binary=False)
