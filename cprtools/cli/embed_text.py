"""cprtools embed-text."""

from typing import Annotated

import typer

from cprtools.cli.options import Columns, Output, Seed


def embed_text(
    products: Annotated[
        str, typer.Argument(metavar="PRODUCTS", help="Products table; - is standard input.")
    ],
    output: Output = "-",
    text: Annotated[
        str, typer.Option(metavar="COLUMN,...", help="Columns whose values make up the text.")
    ] = "title",
    method: Annotated[
        str,
        typer.Option(
            metavar="transformer|static|doc2vec",
            help="static: token vectors distilled from the model once, many times faster; "
            "doc2vec: learnt from these texts.",
        ),
    ] = "transformer",
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_PATH",
            help="Sentence model: a folder or a hub name; default the packaged all-MiniLM-L6-v2.",
        ),
    ] = None,
    dim: Annotated[
        int | None, typer.Option(min=1, help="Dimensions: static 256, doc2vec 100 by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts encoded at a time.")] = 128,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|bfloat16",
            help="auto is bfloat16 where the processor multiplies it natively.",
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="For the transformer.")] = "cpu",
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep the transformer's vectors: only new texts are encoded, and interrupted work "
            "goes on.",
        ),
    ] = None,
    seed: Seed = 0,
    columns: Columns = "",
) -> None:
    """Turn product texts into unit vectors of float32; equal texts are encoded once.

    By their vectors models know products by what they are called, new ones too. train-cpr,
    train-linkpred and recommend take them as --vectors.

    Same bytes at any thread count. Processors, batch sizes and what a cache holds differ in the
    last digits.

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
    parse_choice("--method", method, room.METHODS)
    parse_choice("--device", device, room.DEVICES)
    settings = room.Settings(method, model, dim, precision, device, batch_size, seed, cache)
    settings.check()
    tables.check_tables_writable([output])
    mapping = parse_columns(columns)
    source = tables.open_table(products, tables.PRODUCTS, mapping)
    console.check_inputs(source)
    rows = tables.read(source)
    ours = {theirs: name for name, theirs in mapping.items()}
    names = [ours.get(name, name) for name in parse_list(text)]
    texts = room.join_columns(rows, names, source.label)
    with room.open_rows(rows, texts, settings, console.progress, console.note) as made:
        footer = console.footer(source)
        tables.write(made.rows, output, replace(footer, params={**footer.params, **made.facts}))
    if texts.null_count:
        console.warn(
            f"{source.label}: {texts.null_count:,} of {len(texts):,} products have no "
            f"{' or '.join(names)}; they get no vector"
        )
    counted = [
        ("products", len(texts) - texts.null_count),
        ("distinct texts", room.count_distinct(texts)),
    ]
    console.report(made.title, counted)
