"""cprtools mine-pairs."""

from typing import Annotated

import typer

from cprtools.cli import console, pairing
from cprtools.cli.options import Columns, MinCount, Output, parse_columns

Least = Annotated[int | None, typer.Option(min=1, help="The same for this relation alone.")]


def mine_pairs(
    events: Annotated[
        str | None,
        typer.Argument(metavar="EVENTS", help="Events table: product_id, event, customer_id, ..."),
    ] = None,
    relations: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Ready-made lists in place of EVENTS.")
    ] = None,
    output: Output = "-",
    window: Annotated[
        str,
        typer.Option(metavar="TIME", help="Longest time to a purchase: 30m, 12h, 7d or seconds."),
    ] = "7d",
    view_window: Annotated[
        str, typer.Option(metavar="TIME", help="Longest time between two views seen as one search.")
    ] = "1d",
    min_count: MinCount = None,
    min_co_purchase: Least = None,
    min_co_view: Least = None,
    min_purchase_after_view: Least = None,
    count_buyers: Annotated[
        bool,
        typer.Option(
            "--count-buyers", help="Count views by customers who bought the products, too."
        ),
    ] = False,
    max_session: Annotated[
        int, typer.Option(min=1, help="Sessions with more products are dropped as bots.")
    ] = 500,
    memory_limit: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory to use; the rest is spilled to TMPDIR.")
    ] = "2GB",
    state: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Add EVENTS to those kept there, and mine them all."),
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(metavar="CUSTOMER", help="Take a customer out of the state; repeatable."),
    ] = None,
    products: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE", help="Products table; the report then tells of pairs across types."
        ),
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as JSON, too.")
    ] = None,
    explain: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="QUERY CANDIDATE", help="Print the rows behind this pair; write no pairs."
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="duckdb|spark", help="What counts: the rows are equal.")
    ] = "duckdb",
    master: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where Spark runs, default local[*] (or --threads)."),
    ] = None,
    spark_conf: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting of Spark; repeatable."),
    ] = None,
    columns: Columns = "",
) -> None:
    """Count which products are viewed and bought together.

    Reads a log of views and purchases and counts, for each ordered pair of products, the customers
    who bought or viewed the two. The counts say which products complete and which replace each
    other; train-cpr and build-graph learn from them.

    \b
    Example:
      cprtools mine-pairs events.parquet -o pairs.parquet
      cprtools mine-pairs --relations lists.parquet --min-count 1 -o pairs.parquet
      cprtools mine-pairs events.parquet --explain camera card
      cprtools mine-pairs yesterday.parquet --state mined/ -o pairs.parquet
      cat events.parquet | cprtools mine-pairs - --columns product_id=sku | cprtools inspect -
    """
    from cprtools import mining, tables

    pairing.check_inputs(events, relations, state, forget or [])
    rules = mining.Rules(
        window=mining.parse_duration(window, "--window"),
        view_window=mining.parse_duration(view_window, "--view-window"),
        min_count=min_count,
        min_co_purchase=min_co_purchase,
        min_co_view=min_co_view,
        min_purchase_after_view=min_purchase_after_view,
        count_buyers=count_buyers,
        max_session=max_session,
    )
    memory = mining.parse_size(memory_limit, "--memory-limit")
    duckdb_alone = {"--state": state, "--explain": explain}
    given = [option for option, value in duckdb_alone.items() if value is not None]
    cluster = pairing.parse_cluster(engine, master, spark_conf or [], memory, given)
    pairing.check_outputs(output, report, products, explain)
    name, spec = (events, tables.EVENTS) if relations is None else (relations, tables.RELATIONS)
    names = parse_columns(columns)
    source = tables.open_table(name, spec, names) if name is not None else None
    catalogue = tables.open_table(products, tables.PRODUCTS, names) if products else None
    console.check_inputs(source, catalogue)
    if source is not None and relations is None:
        pairing.check_log(source)
    job = pairing.Job(source, rules, memory, catalogue, state, forget or [], cluster)
    if explain is not None:
        pairing.explain(job, explain)
    else:
        pairing.mine(job, output, report)
