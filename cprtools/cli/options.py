"""Options and arguments that more than one subcommand takes, with their help texts."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cprtools.cli import console
from cprtools.errors import UsageError, percent

if TYPE_CHECKING:
    from cprtools.answers.approximate import Index as StoredIndex
    from cprtools.ranking import TwoStage
    from cprtools.tables import Footer, Source
    from cprtools.training.run import Run

Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write; - is standard output."),
]
FolderOutput = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Folder to write; - is a tar on standard output."
    ),
]
# what every library takes, and room for the seeds that are made from it
_LARGEST_SEED = 2_000_000_000
Seed = Annotated[int, typer.Option(min=0, max=_LARGEST_SEED, help="Seed of every random choice.")]
Columns = Annotated[
    str,
    typer.Option(
        metavar="OUR=YOURS,...", help="Your column names, e.g. product_id=StockCode,ts=InvoiceDate."
    ),
]
Products = Annotated[
    str | None,
    typer.Option(metavar="TABLE", help="Products table: product_id, title, category, ..."),
]
Vectors = Annotated[
    list[str] | None,
    typer.Option(metavar="TABLE", help="Vectors table or complement model; repeatable."),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Default method: keep the state of training here."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from --checkpoint to the same result.")
]
Index = Annotated[
    str | None,
    typer.Option(metavar="hnsw", help="Store an index for recommend --no-rank --search hnsw."),
]
Device = Annotated[str, typer.Option(help="Default method: cpu or cuda.")]
MinCount = Annotated[
    int | None,
    typer.Option(
        min=1, help="Counts below this become 0 (default 2 from events, 1 from relations)."
    ),
]


def training_run(
    trained: str,
    method: str,
    device: str,
    checkpoint: str | None,
    resume: bool,
    footer: "Footer",
    output: str,
) -> "Run | None":
    """What surrounds the training of the method `trained`, shown on stderr; None for others.

    Raises UsageError, DataError and SchemaError as `make_run` does. UsageError, too, where the
    model would be written over the checkpoint: its writer refuses that only when all is trained.
    """
    from cprtools.training.run import make_run

    if checkpoint is not None and os.path.realpath(checkpoint) == os.path.realpath(output):
        raise UsageError(f"--checkpoint and --output are one folder, {output}; name another")
    return make_run(
        trained,
        method,
        device,
        checkpoint,
        resume,
        footer,
        progress=console.progress,
        say=console.note,
    )


def parse_columns(text: str) -> Mapping[str, str]:
    """`ours=theirs,...` as a dict. Raises UsageError where a part is no such pair."""
    mapping = {}
    for part in filter(None, text.split(",")):
        ours, sign, theirs = part.partition("=")
        if not sign or not ours.strip() or not theirs.strip():
            raise UsageError(f"--columns: {part!r} is not OUR=YOURS")
        if ours.strip() in mapping:
            raise UsageError(f"--columns: {ours.strip()} is named twice")
        mapping[ours.strip()] = theirs.strip()
    return mapping


def open_vectors(places: Sequence[str] | None, mapping: Mapping[str, str]) -> list["Source"]:
    """The tables of vectors that --vectors names."""
    from cprtools import tables

    return [tables.open_table(place, tables.VECTORS, mapping) for place in places or []]


def parse_choice(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, if it is one of `allowed`. Raises UsageError that lists them."""
    if value not in allowed:
        raise UsageError(f"{option} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def output_format(given: str | None, output: str) -> str:
    """--format, else what the output's name says, and a readable table on a terminal."""
    from cprtools import tables

    if given is not None:
        return given
    if output != tables.STDIN:
        return tables.text_format(output) or "parquet"
    return "table" if sys.stdout is not None and sys.stdout.isatty() else "parquet"


def check_index(index: str | None, method: str, methods: Sequence[str]) -> None:
    """Refuse an index that cannot be built, before the model is trained.

    methods: those of the command that may have one. Raises UsageError, MissingExtraError.
    """
    if index is None:
        return
    from cprtools import answers

    parse_choice("--index", index, ("hnsw",))
    answers.check_indexable(method, methods, answers.METHODS)


def make_index(index: str | None, stage: "TwoStage", seed: int) -> "StoredIndex | None":
    """The index that was asked for, and what it finds told on stderr."""
    if index is None:
        return None
    from cprtools import answers

    console.note("building the index")
    built = answers.build_index(stage, seed=seed)
    console.note(f"the index finds {percent(built.recall)} of the 100 best")
    return built


def parse_list(text: str) -> list[str]:
    """Comma-separated words, blanks around them removed."""
    return [word.strip() for word in text.split(",") if word.strip()]
