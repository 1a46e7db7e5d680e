"""cprtools recommend."""

from typing import Annotated

import typer

from cprtools.cli import answering
from cprtools.cli.options import Columns, Output, parse_columns, parse_list
from cprtools.cli.request import DEFAULT_THRESHOLD, DEFAULT_TYPES, Request


def recommend(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Model folder; default the one in CPRTOOLS_MODEL if it is of the kind asked for, "
            "else cpr.model or seller.model here.",
        ),
    ] = None,
    product: Annotated[str | None, typer.Option(metavar="ID", help="Complements of it.")] = None,
    seller: Annotated[str | None, typer.Option(metavar="ID", help="Products for it.")] = None,
    queries: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE", help="Table with seller_id, query_id or product_id: the first it has."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every product or seller.")] = False,
    products: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Products new to the model: candidates, and of complements queries, too.",
        ),
    ] = None,
    vectors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE",
            help="Vectors of new products, as often and in the order of training; for sellers "
            "they do without --products, but affinities are low then.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Length of a list at most.")] = 10,
    types: Annotated[
        int, typer.Option(min=0, help="Complements: types the list spreads over; 0 is off.")
    ] = DEFAULT_TYPES,
    category: Annotated[
        str | None, typer.Option(help="Sellers: a category or all; default the primary one.")
    ] = None,
    list_categories: Annotated[
        bool,
        typer.Option(
            "--list-categories",
            help="Sellers: each category, its high-demand products (of --only, and new ones of "
            "--products), the seller's listings in it, and whether it is the primary one.",
        ),
    ] = False,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Sellers: affinity at least this, before k.")
    ] = DEFAULT_THRESHOLD,
    exclude: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Pairs that are never returned.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Products (product_id) to choose from; for sellers they are the high-demand "
            "products of this answer, in place of those of build-graph.",
        ),
    ] = None,
    show: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="COLUMN,...",
            help="Further columns of the products, as training read them.",
        ),
    ] = "",
    ranker: Annotated[
        bool, typer.Option("--rank/--no-rank", help="Whether to rank after retrieval.")
    ] = True,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show what each piece of evidence adds to a score, of one product or seller.",
        ),
    ] = False,
    search: Annotated[
        str, typer.Option(help="exact, or with --no-rank hnsw, or auto: the faster one.")
    ] = "exact",
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Answer the I-th of N parts of the queries alone."),
    ] = None,
    partition_by: Annotated[
        str | None, typer.Option(metavar="seller_id", help="Write one file per seller into -o.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="table, json, csv or parquet; table on a terminal.")
    ] = None,
    output: Output = "-",
    columns: Columns = "",
) -> None:
    """Answer: complements of a product, products for a seller.

    One question is answered on the terminal, many (--queries, --all) into a table. Each
    recommendation comes with its score and a reason.

    \b
    Examples:
      cprtools recommend --product P1
      cprtools recommend --product P1 --explain
      cprtools recommend --seller S1 --category all --threshold 0
      cprtools recommend --model cpr.model/ --all -o recommendations.parquet
      cprtools recommend --product NEW1 --products new.parquet --vectors new_vectors.parquet
      cprtools recommend --seller S1 --only q3.parquet --products new.parquet --vectors vec.parquet
    """
    answering.run(
        Request(
            model=model,
            product=product,
            seller=seller,
            queries=queries,
            every=every,
            products=products,
            vectors=tuple(vectors or ()),
            k=k,
            types=types,
            category=category,
            list_categories=list_categories,
            threshold=threshold,
            exclude=exclude,
            only=only,
            show=tuple(parse_list(show)),
            use_ranker=ranker,
            explain=explain,
            search=search,
            shard=shard,
            partition_by=partition_by,
            format=format,
            output=output,
            mapping=parse_columns(columns),
        )
    )
