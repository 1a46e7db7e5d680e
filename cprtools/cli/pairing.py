"""What mine-pairs does with its options: opens the inputs, runs an engine, writes and reports."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cprtools.cli import console
from cprtools.cli.options import parse_choice
from cprtools.errors import SchemaError, UsageError, list_names

if TYPE_CHECKING:
    from cprtools.mining import Mined, MiningReport, Rules, SparkCluster
    from cprtools.tables import Footer, Source

ENGINES = ("duckdb", "spark")
STDOUT = "-"


@dataclass(frozen=True)
class Job:
    """One run: what is read, by which rules, and with what."""

    source: "Source | None"
    rules: "Rules"
    memory_limit: str
    products: "Source | None" = None
    state: str | None = None
    forget: Sequence[str] = ()
    cluster: "SparkCluster | None" = None

    def run(self) -> "AbstractContextManager[Mined]":
        """The pairs, by the engine that the options name."""
        from cprtools import mining

        if self.cluster is not None and self.source is not None:
            return mining.mine_pairs_on_spark(
                self.source,
                self.rules,
                products=self.products,
                cluster=self.cluster,
                progress=console.progress,
            )
        if self.state is None and self.source is not None:
            return mining.mine_pairs(
                self.source,
                self.rules,
                products=self.products,
                memory_limit=self.memory_limit,
                threads=console.threads(),
                progress=console.progress,
            )
        return mining.mine_state(
            self.state or "",
            self.source,
            self.rules,
            forget=self.forget,
            products=self.products,
            memory_limit=self.memory_limit,
            threads=console.threads(),
            progress=console.progress,
        )


def check_inputs(
    events: str | None, relations: str | None, state: str | None, forget: Sequence[str]
) -> None:
    """Refuse inputs that contradict each other. Raises UsageError."""
    if forget and state is None:
        raise UsageError("--forget takes customers out of a state; name it with --state FOLDER")
    if state is not None and relations is not None:
        raise UsageError("--state keeps events; --relations go without it")
    if forget and events is not None:
        raise UsageError("--forget goes without EVENTS; add them in a run of their own")
    if state is None and (events is None) == (relations is None):
        raise UsageError("name either EVENTS or --relations TABLE, and not both")


def check_log(source: "Source") -> None:
    """Refuse a log that says of no row who or which visit it is of. Raises SchemaError."""
    from cprtools.tables import columns as c

    found = source.column_names()
    if c.CUSTOMER_ID not in found and c.SESSION_ID not in found:
        present = list_names(source.schema(every_line=True).names)
        raise SchemaError(
            f"{source.label}: neither customer_id nor session_id, one of which each event needs; "
            f"found {present}; --columns customer_id=NAME maps another name"
        )


def check_outputs(
    output: str, report: str | None, products: str | None, explain: tuple[str, str] | None
) -> None:
    """Refuse places that cannot be written before hours are spent. Raises UsageError, DataError."""
    from cprtools import tables

    if explain is not None:
        if output != STDOUT or report or products:
            raise UsageError(
                "--explain prints to standard output, without -o, --report, --products"
            )
    elif report == STDOUT:
        if output == STDOUT:
            raise UsageError("--report - and the pairs both go to standard output; use -o FILE")
        tables.check_tables_writable([output])
    else:
        tables.check_tables_writable([output], [] if report is None else [report])


def parse_cluster(
    engine: str, master: str | None, settings: Sequence[str], memory: str, others: Sequence[str]
) -> "SparkCluster | None":
    """Where Spark runs, or None for DuckDB. others: options given that DuckDB alone has."""
    from cprtools import mining

    if parse_choice("--engine", engine, ENGINES) == "duckdb":
        if master is not None or settings:
            raise UsageError("--master and --spark-conf go with --engine spark")
        return None
    if others:
        raise UsageError(f"{others[0]} goes with --engine duckdb")
    pairs = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"--spark-conf: {setting!r} is not KEY=VALUE")
        pairs[name.strip()] = value
    return mining.SparkCluster(master, pairs, memory, console.threads())


def explain(job: Job, pair: tuple[str, str]) -> None:
    """Print the rows behind a pair."""
    from cprtools import mining, tables

    if job.source is None or job.state is not None:
        raise UsageError("--explain reads EVENTS or --relations, and no state")
    found = mining.explain_pair(
        job.source,
        *pair,
        job.rules,
        memory_limit=job.memory_limit,
        threads=console.threads(),
    )
    tables.write_stdout(mining.explanation_text(found).encode(), binary=False)


def mine(job: Job, output: str, report: str | None) -> None:
    """Write the pairs, and the report where it is asked for."""
    from cprtools import tables

    with job.run() as mined:
        # the catalogue decides no row: the file is the same without it
        footer = console.footer(*mined.inputs, without=["products"])
        if report is None:
            tables.write(mined.pairs, output, footer)
        else:
            text = _report_text(footer, job.products, mined.report)
            tables.write_with_text(mined.pairs, output, footer, text, report)
    for warning in mined.report.warnings():
        console.warn(warning)
    console.report(f"pairs of {_label(job)}", mined.report.lines())


def _label(job: Job) -> str:
    if job.source is None:
        return str(job.state)
    # of a state the numbers are those of all that is kept, but for the rows read
    added = job.source.label
    return added if job.state is None else f"{job.state}, with {added} added"


def _report_text(footer: "Footer", products: "Source | None", report: "MiningReport") -> str:
    import json

    from cprtools import tables

    facts = footer.as_dict()
    if products is not None:
        facts["inputs"] = [*facts["inputs"], tables.describe_input(products)]
    return json.dumps({**facts, **report.as_dict()}, indent=2) + "\n"
