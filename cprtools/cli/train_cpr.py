"""cprtools train-cpr."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cprtools.cli import console
from cprtools.cli.options import (
    Checkpoint,
    Columns,
    Device,
    FolderOutput,
    Index,
    Products,
    Resume,
    Seed,
    Vectors,
    check_index,
    make_index,
    open_vectors,
    parse_choice,
    parse_columns,
    training_run,
)
from cprtools.errors import UsageError

if TYPE_CHECKING:
    from cprtools.cpr.problem import BuiltProblem
    from cprtools.tables import Source

# a catalogue that is a chosen part of the shop is normal; ids that differ in form leave most out
_MUCH_OUTSIDE = 0.2


def train_cpr(
    pairs: Annotated[str, typer.Argument(metavar="PAIRS", help="Pairs table of mine-pairs.")],
    output: FolderOutput = "-",
    products: Products = None,
    vectors: Vectors = None,
    earlier: Annotated[
        str | None, typer.Option(metavar="TABLE", help="With --later: pairs of the other orders.")
    ] = None,
    later: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Pairs of the last part of the same orders: settings and ranker learn to foretell "
            "them, known pairs among them, from --earlier; default: pairs held out at random.",
        ),
    ] = None,
    recent: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="With --earlier, --later: pairs of the last of the earlier orders; what was "
            "bought of late becomes evidence.",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="p-companion or a baseline: popularity, co-purchase, reverse, type-counts, "
            "type-popularity, item-knn, mf, ease, blend, item2vec, text-knn, sceptre, triplet."
        ),
    ] = "p-companion",
    labels: Annotated[
        str,
        typer.Option(
            help="Learn from cleaned pairs (complements) alone, weighed: those that few views "
            "speak against, too, or all co-purchases."
        ),
    ] = "weighed",
    preset: Annotated[
        str, typer.Option(help="p-companion: default (strongest), paper or article (as published).")
    ] = "default",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="p-companion: epochs at most (default 20; of the other presets 30)."
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(help="co-purchase, reverse: count (default), lift or confidence."),
    ] = None,
    ranker: Annotated[bool, typer.Option(help="p-companion: fit the second stage too.")] = True,
    index: Index = None,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    device: Device = "cpu",
    columns: Columns = "",
    seed: Seed = 0,
) -> None:
    """Learn which products complete a product.

    The model answers recommend --product: products of the types that go with the query's type, with
    a reason for each. Every row of the products table is a query and a candidate; ids outside it
    serve training only.

    \b
    Example:
      cprtools train-cpr pairs.parquet --products products.parquet -o cpr.model/
    """
    from cprtools import answers, tables
    from cprtools.cpr import problem as building
    from cprtools.cpr import recipe
    from cprtools.cpr.labels import LABELS

    tables.check_folder_writable(output, answers.COMPLEMENTS)
    parse_choice("--method", method, recipe.METHODS)
    check_index(index, method, recipe.METHODS)
    mapping = parse_columns(columns)
    parse_choice("--labels", labels, LABELS)
    options = recipe.method_options(method, preset=preset, epochs=epochs, variant=variant)
    pairs_source = tables.open_table(pairs, tables.PAIRS, mapping)
    products_source = tables.open_table(products, tables.PRODUCTS, mapping) if products else None
    parts = [
        tables.open_table(part, tables.PAIRS, mapping) for part in _parts(earlier, later, recent)
    ]
    vector_sources = open_vectors(vectors, mapping)
    footer = console.footer(pairs_source, products_source, *parts, *vector_sources)
    run = training_run(recipe.TRAINED, method, device, checkpoint, resume, footer, output)
    built = building.build_problem(
        tables.read(pairs_source),
        tables.read(products_source) if products_source else None,
        vector_sources,
        parts=[tables.read(part) for part in parts],
        labels=labels,
        seed=seed,
    )
    _tell(built, pairs_source, products_source, labels)
    stage = recipe.train(
        built.problem,
        method,
        options=options,
        with_ranker=ranker,
        seed=seed,
        say=console.note,
        run=run,
    )
    found = make_index(index, stage, seed)
    members, facts = answers.model_members(stage, built.catalogue, None, built.vocabulary, found)
    tables.write_folder(members, output, answers.COMPLEMENTS, footer, facts)


def _tell(built: "BuiltProblem", pairs: "Source", products: "Source | None", labels: str) -> None:
    from cprtools.cpr.unread import unread_columns

    outside = built.pairs_outside
    total = outside + built.problem.matrix.nnz
    if products is not None and outside > _MUCH_OUTSIDE * total:
        what = "co-purchase" if labels == "all" else "complement"
        console.warn(
            f"{pairs.label}: {outside:,} of {total:,} {what} pairs name products that "
            f"{products.label} does not have: left out; do the ids of both tables agree?"
        )
    if products is not None:
        for text in unread_columns(built.problem, built.catalogue.table):
            console.warn(f"{products.label}: {text}")
    console.report("problem", built.summary())


def _parts(earlier: str | None, later: str | None, recent: str | None) -> list[str]:
    """The tables of parts of the orders that are given. Raises UsageError where one is missing."""
    if (earlier is None) != (later is None):
        raise UsageError("--earlier and --later go together: pairs of two parts of the orders")
    if recent is not None and later is None:
        raise UsageError("--recent needs --earlier and --later: it is of the last earlier orders")
    if earlier and later and os.path.realpath(earlier) == os.path.realpath(later):
        raise UsageError("--earlier and --later are one table; the later orders tell nothing")
    return [part for part in (earlier, later, recent) if part]
