"""cprtools evaluate."""

from typing import TYPE_CHECKING, Annotated

import typer

from cprtools.cli import console
from cprtools.cli.options import (
    Columns,
    Output,
    Products,
    Seed,
    output_format,
    parse_choice,
    parse_columns,
)
from cprtools.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from cprtools.tables import Footer


def evaluate(
    recs: Annotated[
        list[str],
        typer.Argument(metavar="RECS", help="Recommendations; further ones as by --against."),
    ],
    truth: Annotated[
        str,
        typer.Option(metavar="TABLE", help="Held-out pairs (complements) or listings (sellers)."),
    ],
    output: Output = "-",
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="RECS", help="Recommendations to compare with; repeatable."),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Pairs or listings of training: never truth, segments."),
    ] = None,
    keep_train: Annotated[
        bool,
        typer.Option(
            "--keep-train", help="Pairs of --train recur in later orders: truth, and in the lists."
        ),
    ] = False,
    products: Products = None,
    sellers: Annotated[
        str | None, typer.Option(metavar="TABLE", help="seller_id of the sellers to average over.")
    ] = None,
    high_demand: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="product_id of what may be recommended; default all."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Model whose products are the catalogue.")
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Segments by a column of products or sellers; repeatable."
        ),
    ] = None,
    k: Annotated[
        str | None,
        typer.Option(
            "-k", "--k", metavar="N,...", help="Cut-offs, default 1,3,10; for sellers 10,20,100."
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, max=100_000, help="Resamples for the intervals; 0: no intervals.")
    ] = 1000,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of RECS, default as its footer says.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write an HTML report, too.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="table (on a terminal), parquet, csv, json."),
    ] = None,
    seed: Seed = 0,
    columns: Columns = "",
) -> None:
    """Measure recommendations on held-out data.

    Looks for the held-out pairs (complements) or listings (sellers) in the lists: hits, ranks,
    coverage, with an interval for each number. Several recommendations become a leaderboard, which
    says plainly whether the first is better than the others.

    \b
    Example:
      cprtools evaluate recs.parquet --truth test.parquet --train train.parquet
      cprtools evaluate gnn.parquet mf.parquet --truth test.parquet --report report.html
    """
    from cprtools import evaluation

    form = parse_choice("--format", output_format(format, output), evaluation.FORMATS)
    _check_outputs(output, form, report)
    places = evaluation.Places(
        recs[0], truth, [*recs[1:], *(against or [])], train, products, sellers, high_demand, model,
        segment or [], keep_train, parse_columns(columns),
    )  # fmt: skip
    inputs = evaluation.open_inputs(places, method)
    console.check_inputs(*inputs.opened)
    ks = evaluation.parse_ks(k, inputs.kind)
    measured = evaluation.evaluate_all(inputs, ks, bootstrap=bootstrap, seed=seed)
    compared = [evaluation.compare(measured[0], other) for other in measured[1:]]
    for text in evaluation.told_once(measured):
        console.note(text)
    for one in measured:
        for text in one.warnings:
            console.warn(f"{one.method}: {text}")
    said = [s for comparison in compared for s in comparison.sentences]
    said += [one.text for one in evaluation.verdicts(measured) if not one.beats]
    for sentence in said:
        console.note(sentence)
    footer, page = console.footer(*inputs.opened), ""
    if report:
        made_from = evaluation.provenance(inputs.opened, footer.described)
        details = evaluation.gather(inputs, ks, seed)
        page = evaluation.html_report(measured, compared, made_from, details)
    parts = [*(one.metrics for one in measured), *(one.metrics for one in compared)]
    metrics = evaluation.combine_tables(parts)
    made = metrics if form == "parquet" else evaluation.render(metrics, form)
    if form == "table" and compared:
        made = f"{evaluation.leaderboard(measured)}\n{made}"
    _write(made, output, footer, page, report)


def _write(
    made: "pa.Table | str", output: str, footer: "Footer", page: str, report: str | None
) -> None:
    from cprtools import tables

    is_shown = output == tables.STDIN and isinstance(made, str)
    if report and not is_shown:
        tables.write_with_text(made, output, footer, page, report)
        return
    if report:
        # a reader of the text that goes early does not cost the report
        tables.write_text(page, report)
    if isinstance(made, str):
        tables.write_text(made, output)
    else:
        tables.write(made, output, footer)


def _check_outputs(output: str, form: str, report: str | None) -> None:
    from cprtools import tables

    if tables.STDIN == report == output:
        raise UsageError("--report - and the metrics both go to standard output; use -o FILE")
    texts = [report] if report else []
    if form == "parquet":
        tables.check_tables_writable([output], texts)
    else:
        tables.check_all_writable([*([] if output == tables.STDIN else [output]), *texts])
