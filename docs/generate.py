"""Write docs/commands.md from the help of every command; with --check only say if it is stale."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from cprtools.cli import COMMANDS

TARGET = Path(__file__).with_name("commands.md")
HEAD = """\
# Commands

What `cprtools COMMAND --help` prints, written by `make docs`. The tables that commands read and
write are described in [tables](tables/README.md).
"""


def help_text(words: list[str]) -> str:
    """What `cprtools WORDS --help` prints, 80 columns wide; a failing one ends the program."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "cprtools", *words, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(['cprtools', *words])} --help failed: {done.stderr.strip()}")
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def render() -> str:
    """The whole page: the overview, then each command in the overview's order."""
    sections = [HEAD]
    for words in [[], *([name] for name in COMMANDS)]:
        title = " ".join(["cprtools", *words])
        sections.append(f"## {title}\n\n```text\n{help_text(words)}\n```\n")
    return "\n".join(sections)


def main() -> int:
    """Write the page, or compare it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args()
    page = render()
    if not options.check:
        TARGET.write_text(page, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write("docs/commands.md is not what the commands' help says; run: make docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
