"""cprtools split."""

from typing import Annotated

import typer

from cprtools.cli.options import Columns, Output, Seed


def split(
    source: Annotated[str, typer.Argument(metavar="TABLE", help="Any table; - is standard input.")],
    test_out: Annotated[
        str, typer.Option(metavar="FILE", help="Where the test rows go; - is standard output.")
    ],
    output: Output = "-",
    at: Annotated[
        str | None,
        typer.Option(metavar="MOMENT", help="By time: rows from this ISO moment on are test."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN,...",
            help="By group: a share of each group's rows is test; rows of one product_id (else "
            "candidate_id) in a group go together and count once.",
        ),
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(metavar="COLUMN,COLUMN", help="By unordered pair: both directions together."),
    ] = None,
    cold: Annotated[
        str | None,
        typer.Option(metavar="COLUMN,...", help="New ids: every row that touches one is test."),
    ] = None,
    fraction: Annotated[
        float, typer.Option(help="Test share of each group's rows, of the pairs or of the ids.")
    ] = 0.2,
    min_rows: Annotated[
        int, typer.Option(min=1, help="--by: smaller groups stay wholly in training.")
    ] = 5,
    seed: Seed = 0,
    columns: Columns = "",
) -> None:
    """Divide a table into training and test rows, in exactly one of four ways.

    What is measured must be rows that the training never saw: later ones, some of each group, whole
    pairs, or all rows of some ids. Each row of TABLE goes to one of the two outputs.

    \b
    Example:
      cprtools split listings.parquet -o train.parquet --test-out test.parquet --by seller_id
    """
    from dataclasses import replace

    from cprtools import tables
    from cprtools.cli import console
    from cprtools.evaluation import splits

    way = splits.one_way({"at": at, "by": by, "pair": pair, "cold": cold})
    tables.check_tables_writable([output, test_out])
    place = tables.open_table(source, tables.ANY)
    made = console.footer(place)
    table = tables.read_any(place)
    names, items = _names(table.column_names, by or pair or cold or "ts", columns, way == "by")
    label = place.label
    if way == "at":
        train, test = splits.split_by_time(table, str(at), column=names[0], label=label)
        if missing := train.column(names[0]).null_count:
            console.warn(f"{label}: {missing:,} rows have no {names[0]}; they stay in training")
    elif way == "by":
        train, test = splits.split_by_fraction(
            table, names, fraction, items=items, min_rows=min_rows, seed=seed, label=label
        )
    else:
        choose = splits.split_by_pair if way == "pair" else splits.split_cold
        train, test = choose(table, names, fraction, seed=seed, label=label)
    for part, rows in (("training", train.num_rows), ("test", test.num_rows)):
        if not rows:
            console.warn(f"{label}: no row is left for the {part} table")
    console.report("split", [("training rows", train.num_rows), ("test rows", test.num_rows)])
    tables.write_all(
        [
            (train, output, replace(made, params={**made.params, "part": "training"})),
            (test, test_out, replace(made, params={**made.params, "part": "test"})),
        ]
    )


def _names(
    found: list[str], asked: str, columns: str, is_by_group: bool
) -> tuple[list[str], list[str]]:
    """The table's names of the columns asked for, and of what its groups hold.

    found: its columns. Raises UsageError for a --columns of a name that nobody knows.
    """
    from cprtools import tables
    from cprtools.cli import console
    from cprtools.cli.options import parse_columns, parse_list
    from cprtools.evaluation import splits

    wanted, mapping = parse_list(asked), parse_columns(columns)
    implied = splits.ITEMS if is_by_group else ()
    names, warnings = tables.names_in_any(mapping, [*wanted, *implied], found)
    items = names[len(wanted) :]
    lost = [f"{name}={mapping[name]}" for name in implied if name in mapping]
    if lost and not {*items} & {*found}:
        warnings.append(f"--columns {lost[0]}: no such column; each row is divided by itself")
    for text in warnings:
        console.warn(text)
    return names[: len(wanted)], items
