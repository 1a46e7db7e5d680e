"""Ratios of whole commands, both sides measured in turn in this one run.

Usage: python examples/bench.py FOLDER [--large MODEL] [--large-complements MODEL]

FOLDER: where examples/demo.sh has run; MODEL: a large model of sellers or of complements, whose
first seller or product is asked about too. Seconds are those of the clock and of the processor.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

HELP = ["mine-pairs", "embed-text", "build-graph", "train-cpr", "train-linkpred", "recommend"]
HELP += ["evaluate", "split", "inspect"]

# as installed packages are: an unsaved compilation of our files would count as our time
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    """Run every comparison and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--large")
    parser.add_argument("--large-complements")
    asked = parser.parse_args()
    folder = asked.folder
    cprtools = [sys.executable, "-m", "cprtools"]
    typer = [sys.executable, "-c", "import typer"]
    shown = [sys.executable, "-c", "import typer, rich.console, pyarrow.parquet"]
    rows = [compare("--help", [*cprtools, "--help"], "import typer", typer, folder)]
    for name in HELP:
        rows.append(
            compare(f"{name} --help", [*cprtools, name, "--help"], "import typer", typer, folder)
        )
    answers = {"--product": ["--product", "P1"], "--seller": ["--seller", "S1"]}
    if asked.large:
        words = ask_first(asked.large, "seller")
        answers["--seller (large)"] = [*words, "--category", "all", "--threshold", "0"]
    if asked.large_complements:
        answers["--product (large)"] = ask_first(asked.large_complements, "product")
    for name, words in answers.items():
        ours = [*cprtools, "recommend", *words, "--format", "table"]
        libraries = "import typer, rich.console, pyarrow.parquet"
        rows.append(compare(f"recommend {name}", ours, libraries, shown, folder))
    heads = ["ours", "seconds", "processor", "against", "seconds", "processor", "ratio"]
    heads.append("of processor")
    lines = [heads, ["---"] * len(heads), *rows]
    sys.stdout.write("".join("| " + " | ".join(line) + " |\n" for line in lines))


def ask_first(model: str, query: str) -> list[str]:
    """Options that ask the model about the first row of its sellers or products."""
    known = pq.ParquetFile(Path(model) / f"{query}s.parquet").read_row_group(0, [f"{query}_id"])
    return ["--model", str(Path(model).resolve()), f"--{query}", known[f"{query}_id"][0].as_py()]


def compare(
    name: str, ours: list[str], other: str, theirs: list[str], folder: str, runs: int = 11
) -> list[str]:
    """Median seconds of both commands, run in turn, and the medians of the paired ratios."""
    pairs = [(seconds(ours, folder), seconds(theirs, folder)) for _ in range(runs + 1)][1:]
    first, second = (
        [f"{statistics.median(times):.3f}" for times in zip(*side, strict=True)]
        for side in zip(*pairs, strict=True)
    )
    ratios = [f"{statistics.median(a[at] / b[at] for a, b in pairs):.2f}" for at in (0, 1)]
    return [f"`{name}`", *first, f"`{other}`", *second, *ratios]


def seconds(command: list[str], folder: str) -> tuple[float, float]:
    """Seconds of the clock and of the processor of one run, its output thrown away."""
    start, before = time.perf_counter(), processor_seconds()
    subprocess.run(
        command, cwd=folder, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, check=True
    )  # stderr stays visible: a benchmark that fails must say so
    return time.perf_counter() - start, processor_seconds() - before


def processor_seconds() -> float:
    """What the commands that have ended took, in user and in system mode."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
