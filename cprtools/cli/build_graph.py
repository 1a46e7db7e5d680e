"""cprtools build-graph."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cprtools.cli import console
from cprtools.cli.options import Columns, FolderOutput, Products, parse_columns

if TYPE_CHECKING:
    from cprtools.graph import GraphReport
    from cprtools.tables import Source

# what the rows of an input have in common with the other tables, where their ids agree
_COMMON = {
    "listings": "products that the products table has",
    "pairs": "products that are listed or in the products table",
    "high_demand": "products that any other table has",
    "views": "products and sellers that the other tables have",
    "sellers": "sellers that list anything",
}


def build_graph(
    listings: Annotated[
        str | None, typer.Option(metavar="TABLE", help="seller_id, product_id.")
    ] = None,
    pairs: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Pairs written by mine-pairs.")
    ] = None,
    products: Products = None,
    high_demand: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="product_id of what may be recommended; default all."),
    ] = None,
    views: Annotated[
        str | None, typer.Option(metavar="TABLE", help="product_id, views, seller_id?, ts?.")
    ] = None,
    sellers: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="seller_id, category?: also those that list nothing."),
    ] = None,
    output: FolderOutput = "-",
    additional: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Most viewed further products, unlisted ones, that help training; default all.",
        ),
    ] = None,
    min_bought_together: Annotated[
        int, typer.Option(min=1, help="Co-purchases from which two products are linked.")
    ] = 2,
    views_months: Annotated[
        int, typer.Option(min=1, max=1200, help="Months of page views, back from the newest.")
    ] = 12,
    columns: Columns = "",
) -> None:
    """Join listings, pairs, products and page views into one graph.

    The graph is what train-linkpred learns from: which seller lists which product, and which
    products are bought together. The high-demand list says what may be recommended, page views how
    much each listing weighs.

    \b
    Example:
      cprtools build-graph --listings listings.parquet --pairs pairs.parquet -o graph/
    """
    from cprtools import graph, tables

    tables.check_folder_writable(output, "graph")
    mapping = parse_columns(columns)
    given = {
        "listings": (listings, tables.LISTINGS),
        "pairs": (pairs, tables.PAIRS),
        "products": (products, tables.PRODUCTS),
        "high_demand": (high_demand, tables.HIGH_DEMAND),
        "views": (views, tables.PAGE_VIEWS),
        "sellers": (sellers, tables.SELLERS),
    }
    sources = {
        key: tables.open_table(name, spec, mapping)
        for key, (name, spec) in given.items()
        if name is not None
    }
    footer = console.footer(*sources.values())
    nodes, edges, report = graph.build_graph(
        graph.GraphInputs(**sources),
        additional=additional,
        min_bought_together=min_bought_together,
        views_months=views_months,
        threads=console.threads(),
    )
    members = {"nodes": nodes, "edges": edges}
    facts = {name: value for name, value in asdict(report).items() if name != "matches"}
    tables.write_folder(members, output, "graph", footer, facts)
    _show(report)
    _warn(report, sources)


def _show(report: "GraphReport") -> None:
    console.report(
        "Graph",
        [
            ("sellers", report.sellers),
            ("products", report.products),
            ("high-demand products", report.high_demand),
            ("additional products", report.additional),
            ("seller lists product", report.listings),
            ("product listed-by seller", report.listings),
            ("product bought-with product", 2 * report.bought_together),
            ("sparsity of the affinity matrix", _sparsity(report.sparsity)),
            ("edges per high-demand product, listings only", _shown(report.edges_before)),
            ("edges per high-demand product, augmented", _shown(report.edges_after)),
        ],
    )
    if report.duplicate_listings:
        console.note(f"{report.duplicate_listings} duplicate listings dropped")


def _warn(report: "GraphReport", sources: dict[str, "Source"]) -> None:
    for name, (rows, matched) in report.strangers.items():
        console.warn(
            f"{sources[name].label}: {matched:,} of {rows:,} rows are of {_COMMON[name]}; "
            "do the ids agree?"
        )
    for name, count, what in (
        ("listings", report.unknown_listings, "listings of products that the products table lacks"),
        (
            "high_demand",
            report.unknown_high_demand,
            "high-demand products that no other table knows",
        ),
        ("", report.views_without_time, "page views without a time left out"),
        ("", report.views_in_the_future, "page views of more than a day in the future left out"),
    ):
        if count and name not in report.strangers:
            console.warn(f"{count} {what}")


def _shown(value: float | None) -> float | str:
    return "none" if value is None else value


def _sparsity(value: float | None) -> str:
    """With two digits of what is listed at least: 0.999967 of a large matrix, not 1."""
    if value is None:
        return "none"
    listed = 1 - value
    digits = 4 if listed <= 0 else max(4, 1 - math.floor(math.log10(listed)))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") or "0"
