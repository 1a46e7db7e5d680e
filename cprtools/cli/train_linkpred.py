"""cprtools train-linkpred."""

from typing import Annotated

import typer

from cprtools.cli import console
from cprtools.cli.options import (
    Checkpoint,
    Columns,
    Device,
    FolderOutput,
    Index,
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


def train_linkpred(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="Graph folder of build-graph.")],
    output: FolderOutput = "-",
    vectors: Vectors = None,
    method: Annotated[
        str,
        typer.Option(
            help="gnn or a baseline: popularity, item-knn, text-knn, mf, bpr, ease, lightgcn, "
            "blend."
        ),
    ] = "gnn",
    embedding_dim: Annotated[
        int | None, typer.Option(min=2, help="gnn: size of vectors (default 128).")
    ] = None,
    num_layers: Annotated[int | None, typer.Option(min=1, help="gnn: layers (default 4).")] = None,
    fanout: Annotated[
        str, typer.Option(help="gnn: neighbours per node and layer, or one number per layer.")
    ] = "3",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="gnn: epochs at most (default 12).")
    ] = None,
    networks: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="gnn: networks to train and average (default 3 with fewer than 100,000 "
            "listings, else 1).",
        ),
    ] = None,
    sampling: Annotated[
        str, typer.Option(help="gnn: stratified or uniform choice of training edges.")
    ] = "stratified",
    sampler: Annotated[
        str | None, typer.Option(help="gnn: dgl or torch; the faster one by default.")
    ] = None,
    init: Annotated[str, typer.Option(help="gnn: nodes start from vectors or random.")] = "vectors",
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|bfloat16",
            help="gnn: numbers that are multiplied in training; auto is bfloat16 where the "
            "processor or GPU multiplies it natively.",
        ),
    ] = "auto",
    ranker: Annotated[bool, typer.Option(help="gnn: fit the second stage too.")] = True,
    purchases_at_sellers: Annotated[
        bool,
        typer.Option(
            "--purchases-at-sellers",
            help="gnn: what was bought together was bought at one seller (default: anywhere). What "
            "tells of listings held out is then held out with them.",
        ),
    ] = False,
    index: Index = None,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    device: Device = "cpu",
    columns: Columns = "",
    seed: Seed = 0,
) -> None:
    """Learn which products suit a seller.

    The model answers recommend --seller: high-demand products that the seller does not list yet,
    each with an affinity and a reason. Affinities are probabilities, calibrated on held-out
    listings, so that a threshold means something.

    \b
    Example:
      cprtools train-linkpred graph/ --vectors vectors.parquet -o seller.model/
    """
    from cprtools import answers, tables
    from cprtools.linkpred import problem as building
    from cprtools.linkpred import recipe

    tables.check_folder_writable(output, answers.SELLERS)
    parse_choice("--method", method, recipe.METHODS)
    check_index(index, method, recipe.MAY_BE_INDEXED)
    # before torch is loaded: a file that is not there is told at once
    vector_sources = open_vectors(vectors, parse_columns(columns))
    folder = tables.open_folder(graph, ("graph",))
    options = recipe.method_options(
        method,
        embedding_dim=embedding_dim,
        num_layers=num_layers,
        fanout=fanout,
        epochs=epochs,
        networks=networks,
        sampling=sampling,
        sampler=sampler,
        init=init,
        precision=precision,
        device=device,
    )
    footer = console.footer(folder, *vector_sources)
    run = training_run(recipe.TRAINED, method, device, checkpoint, resume, footer, output)
    built = building.build_problem(folder, vector_sources)
    console.report("problem", built.summary())
    stage = recipe.train(
        built,
        method,
        options=options,
        with_ranker=ranker,
        purchases_at_sellers=purchases_at_sellers,
        seed=seed,
        say=console.note,
        run=run,
    )
    sellers, made = built.seller_table(), make_index(index, stage, seed)
    members, facts = answers.model_members(stage, built.catalogue, sellers, built.vocabulary, made)
    tables.write_folder(members, output, answers.SELLERS, footer, facts | recipe.told(options))
