"""cprtools mine-pairs."""

from typing import TYPE_CHECKING, Annotated

import typer

from cprtools.cli import console
from cprtools.cli.options import Columns, MinCount, Output, parse_choice, parse_columns
from cprtools.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cprtools.mining import Mined, MiningReport, Rules, SparkCluster
    from cprtools.tables import Footer, Source

Least = Annotated[int | None, typer.Option(min=1, help="The same for this relation alone.")]


def mine_pairs(
    events: Annotated[
        str | None,
        typer.Argument(
            metavar="[EVENTS]", help="Events table: product_id, event, customer_id, ..."
        ),
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
    engine: Annotated[
        str, typer.Option(metavar="duckdb|spark", help="What counts; the rows are the same.")
    ] = "duckdb",
    master: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where Spark runs, default local[*] or --threads."),
    ] = None,
    spark_conf: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting of Spark; repeatable."),
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
    columns: Columns = "",
) -> None:
    """Count which products are viewed and bought together.

    \b
    Example:
      cprtools mine-pairs events.parquet -o pairs.parquet
      cprtools mine-pairs --relations lists.parquet --min-count 1 -o pairs.parquet
      cprtools mine-pairs events.parquet --explain camera card
      cat events.parquet | cprtools mine-pairs - --columns product_id=sku | cprtools inspect -
    """
    from cprtools import mining, tables

    if (events is None) == (relations is None):
        raise UsageError("name either EVENTS or --relations TABLE, and not both")
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
    cluster = _cluster(engine, master, spark_conf or [], memory)
    _check_outputs(output, report, products, explain)
    spec = tables.EVENTS if relations is None else tables.RELATIONS
    source = tables.open_table(str(relations or events), spec, parse_columns(columns))
    if explain is not None:
        _explain(source, explain, rules, memory)
        return
    catalogue = products and tables.open_table(products, tables.PRODUCTS, parse_columns(columns))
    if cluster is None:
        run = mining.mine_pairs(
            source,
            rules,
            products=catalogue or None,
            memory_limit=memory,
            threads=console.threads(),
            progress=console.progress,
        )
    else:
        run = mining.mine_pairs_on_spark(
            source, rules, products=catalogue or None, cluster=cluster, progress=console.progress
        )
    _write(run, source, catalogue or None, output, report)


def _cluster(
    engine: str, master: str | None, settings: list[str], memory: str
) -> "SparkCluster | None":
    from cprtools import mining

    if parse_choice("--engine", engine, ("duckdb", "spark")) == "duckdb":
        if master is not None or settings:
            raise UsageError("--master and --spark-conf go with --engine spark")
        return None
    given = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"--spark-conf: {setting!r} is not KEY=VALUE")
        given[name.strip()] = value
    return mining.SparkCluster(master, given, memory, console.threads())


def _check_outputs(
    output: str, report: str | None, products: str | None, explain: tuple[str, str] | None
) -> None:
    from cprtools import tables

    if explain is not None:
        if output != tables.STDIN or report or products:
            raise UsageError(
                "--explain prints to standard output, without -o, --report, --products"
            )
    elif report == tables.STDIN:
        if output == tables.STDIN:
            raise UsageError("--report - and the pairs both go to standard output; use -o FILE")
        tables.check_writable(output)
    else:
        tables.check_all_writable([output, *([] if report is None else [report])])


def _explain(source: "Source", pair: tuple[str, str], rules: "Rules", memory: str) -> None:
    from cprtools import mining, tables

    found = mining.explain_pair(
        source, *pair, rules, memory_limit=memory, threads=console.threads()
    )
    tables.write_stdout(mining.explanation_text(found).encode(), binary=False)


def _write(
    run: "AbstractContextManager[Mined]",
    source: "Source",
    products: "Source | None",
    output: str,
    report: str | None,
) -> None:
    from cprtools import tables

    # the catalogue decides no row: the file is the same without it
    footer = console.footer(source, without=["products"])
    with run as mined:
        if report is None:
            tables.write(mined.pairs, output, footer)
        else:
            text = _report_text(footer, products, mined.report)
            tables.write_with_text(mined.pairs, output, footer, text, report)
    for warning in mined.report.warnings():
        console.warn(warning)
    console.report(f"pairs of {source.label}", mined.report.lines())


def _report_text(footer: "Footer", products: "Source | None", report: "MiningReport") -> str:
    import json

    from cprtools import tables

    facts = footer.as_dict()
    if products is not None:
        facts["inputs"] = [*facts["inputs"], tables.describe_input(products)]
    return json.dumps({**facts, **report.as_dict()}, indent=2) + "\n"
