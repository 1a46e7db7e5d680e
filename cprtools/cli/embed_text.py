"""cprtools embed-text."""

from typing import Annotated

import typer

from cprtools.cli.options import Columns, Output


def embed_text(
    products: Annotated[
        str, typer.Argument(metavar="PRODUCTS", help="Products table; - is standard input.")
    ],
    output: Output = "-",
    text: Annotated[
        str, typer.Option(metavar="COLUMN,...", help="Columns whose values make up the text.")
    ] = "title",
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_PATH",
            help="Sentence model: a folder or a hub name; default the packaged all-MiniLM-L6-v2.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts encoded at a time.")] = 32,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|bfloat16",
            help="auto is bfloat16 where the processor multiplies it natively.",
        ),
    ] = "auto",
    columns: Columns = "",
) -> None:
    """Turn product texts into unit vectors of float32; equal texts are encoded once.

    Same bytes at any thread count. Processors and batch sizes differ in the last digits.

    \b
    Example:
      cprtools embed-text products.parquet --text title,brand -o vectors.parquet
    """
    from dataclasses import replace

    from cprtools import tables
    from cprtools import text as room
    from cprtools.cli import console
    from cprtools.cli.options import parse_choice, parse_columns, parse_list

    parse_choice("--precision", precision, room.PRECISIONS)
    tables.check_writable(output)
    mapping = parse_columns(columns)
    source = tables.open_table(products, tables.PRODUCTS, mapping)
    rows = tables.read(source)
    ours = {theirs: name for name, theirs in mapping.items()}
    names = [ours.get(name, name) for name in parse_list(text)]
    texts = room.join_columns(rows, names, source.label)
    encoder = room.load_encoder(model, precision)
    made = room.embed_products(
        rows, texts, encoder, batch_size=batch_size, progress=console.progress
    )
    if made.without_text:
        console.warn(
            f"{source.label}: {made.without_text:,} of {made.products:,} products have no "
            f"{' or '.join(names)}; they get no vector"
        )
    console.report(
        f"embedded by {encoder.name} in {encoder.precision}",
        [("products", made.table.num_rows), ("distinct texts", made.texts)],
    )
    footer = console.footer(source)
    facts = {"model": encoder.name, "precision": encoder.precision}
    tables.write(made.table, output, replace(footer, params={**footer.params, **facts}))
