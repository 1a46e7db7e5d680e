"""cprtools embed-text."""

from typing import TYPE_CHECKING, Annotated

import typer

from cprtools.cli.options import Columns, Output
from cprtools.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from cprtools.text import SentenceEncoder, StaticEncoder


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
            metavar="transformer|static",
            help="static: token vectors distilled from the model once, many times faster.",
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
        int | None, typer.Option(min=1, help="Dimensions of static vectors (default 256).")
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
    parse_choice("--method", method, room.METHODS)
    if dim is not None and method == "transformer":
        raise UsageError("--dim is for --method static; a transformer's vectors are as long as it")
    tables.check_writable(output)
    mapping = parse_columns(columns)
    source = tables.open_table(products, tables.PRODUCTS, mapping)
    rows = tables.read(source)
    ours = {theirs: name for name, theirs in mapping.items()}
    names = [ours.get(name, name) for name in parse_list(text)]
    texts = room.join_columns(rows, names, source.label)
    encoder: room.SentenceEncoder | room.StaticEncoder
    if method == "static":
        encoder = static = room.load_static(model, dim or room.STATIC_DIM, console.note)
        made = room.stream_products(rows, texts, static, progress=console.progress)
    else:
        encoder = room.load_encoder(model, precision)
        made = room.embed_products(
            rows, texts, encoder, batch_size=batch_size, progress=console.progress
        ).table
    if texts.null_count:
        console.warn(
            f"{source.label}: {texts.null_count:,} of {len(texts):,} products have no "
            f"{' or '.join(names)}; they get no vector"
        )
    facts: dict[str, object] = {"model": encoder.name, "precision": encoder.precision}
    if method == "static":
        facts["dim"] = static.dim
    footer = console.footer(source)
    tables.write(made, output, replace(footer, params={**footer.params, **facts}))
    _report(encoder, texts)


def _report(encoder: "SentenceEncoder | StaticEncoder", texts: "pa.Array") -> None:
    from cprtools.cli import console
    from cprtools.text import count_distinct

    rows = [("products", len(texts) - texts.null_count), ("distinct texts", count_distinct(texts))]
    console.report(f"embedded by {encoder.name} in {encoder.precision}", rows)
