"""Write docs/commands/ from the help of every command; with --check only say what is stale."""

import argparse
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cprtools import errors
from cprtools.cli import COMMANDS
from cprtools.cli.app import build

DOCS = Path(__file__).parent
FOLDER = DOCS / "commands"
FACTS: dict[str, dict[str, Any]] = tomllib.loads((DOCS / "commands.toml").read_text("utf-8"))
MARK = "<!-- Written by `make docs` from the command's help and docs/commands.toml. -->"
# metavars of the options that name a table
TABLES = ("TABLE", "RECS")
OPTION = re.compile(r"--[a-z-]+")
INTRODUCTION = """\
# Commands

Each command goes from tables to tables; files or pipes join them. `-` is standard input or output.
The [cookbook](../cookbook.md) has recipes.
"""


def pages() -> dict[str, str]:
    """The name and the text of each page."""
    if list(FACTS) != list(COMMANDS):
        raise SystemExit(
            "docs/commands.toml: it must hold the commands of cprtools, in their order"
        )
    return {"README.md": overview_page(), **{f"{name}.md": page(name) for name in COMMANDS}}


def overview_page() -> str:
    """What there is: a line for each command, `cprtools --help`, exit codes."""
    rows = [
        (f"[`{name}`]({name}.md)", what, *(linked(FACTS[name][way]) for way in ("reads", "writes")))
        for name, what in COMMANDS.items()
    ]
    parts = [
        INTRODUCTION.rstrip(),
        table(("command", "what for", "reads", "writes"), rows),
        block("Help", "text", help_text()),
        "## Exit codes\n\n" + table(("code", "meaning"), exit_codes()),
    ]
    return join(parts)


def page(name: str) -> str:
    """One command: its help in parts, its tables, its exit codes and where to read on."""
    check_facts(name)
    facts, parts = FACTS[name], sections(help_text(name))
    see = [f"- [`{other}`]({other}.md): {COMMANDS[other]}" for other in facts["next"]]
    see += [f"- {title(place)}" for place in (f"methods/{way}.md" for way in facts["methods"])]
    see.append("- [All commands](README.md), and [tables](../tables/README.md)")
    return join(
        [
            f"# cprtools {name}",
            parts["about"],
            block("Synopsis", "text", parts["usage"]),
            block("Arguments and options", "text", parts["options"]),
            "## Tables\n\n" + table(("", "named by", "table"), table_rows(name)),
            block("Examples", "sh", parts["examples"]),
            "## Exit codes\n\n" + table(("code", "meaning"), exit_codes(facts)),
            "## See also\n\n" + "\n".join(see),
        ]
    )


def join(parts: list[str]) -> str:
    """The parts of a page as its text."""
    return "\n\n".join([*parts, MARK]) + "\n"


def block(heading: str, language: str, text: str) -> str:
    """A section that is one block of code."""
    return f"## {heading}\n\n```{language}\n{text}\n```"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines).replace("|  |", "| |")


@cache
def help_text(*words: str) -> str:
    """What `cprtools WORDS --help` prints, 80 columns wide; a failing one ends the program."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "cprtools", *words, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(['cprtools', *words])} --help failed: {done.stderr.strip()}")
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def sections(text: str) -> dict[str, str]:
    """The parts of a command's help: usage, about, examples, options (arguments first)."""
    found = re.fullmatch(
        r"Usage: (?P<usage>.*?)\n\n(?P<about>.*?)\n\n  Examples?:\n(?P<examples>.*?)\n\n"
        r"(?P<options>(?:Arguments|Options):.*)",
        text,
        re.DOTALL,
    )
    if found is None:
        raise SystemExit(f"a help that is not usage, text, Example: and Options:\n{text}")
    # lines as long as those of the pages written by hand
    about = OPTION.sub(r"`\g<0>`", found["about"])
    paragraphs = [
        textwrap.fill(" ".join(part.split()), 100, break_on_hyphens=False)
        for part in about.split("\n\n")
    ]
    examples = "\n".join(line.removeprefix("    ") for line in found["examples"].splitlines())
    usage = "\n".join(line.strip() for line in found["usage"].splitlines())
    return {
        "usage": usage,
        "about": "\n\n".join(paragraphs),
        "examples": examples,
        "options": found["options"],
    }


def check_facts(name: str) -> None:
    """End the program where docs/commands.toml and the command's options do not agree."""
    known: set[str] = set()
    wanted: set[str] = set()
    for parameter in build(name).params:
        is_argument = parameter.param_type_name == "argument"
        words = [parameter.metavar] if is_argument else parameter.opts
        known.update(words)
        if is_argument or parameter.metavar in TABLES or "--output" in words:
            wanted.add(words[0])
    facts = FACTS[name]
    told = {*facts["reads"], *facts["writes"]}
    extras = OPTION.findall(" ".join(facts.get("extras", {}).values()))
    wrong = sorted({*told, *extras} - known)
    missing = sorted(wanted - told)
    if wrong or missing:
        raise SystemExit(f"docs/commands.toml: {name}: unknown: {wrong}, missing: {missing}")


def table_rows(name: str) -> list[tuple[str, ...]]:
    """What the command reads and writes: the option, and links to the tables' pages."""
    return [
        (way, f"`{option}`", linked({option: what}))
        for way in ("reads", "writes")
        for option, what in FACTS[name][way].items()
    ]


def linked(named: Mapping[str, list[str] | str]) -> str:
    """Links to the pages of the tables, each once; what has no page in its words."""
    shown = [
        each if isinstance(what, str) else f"[{each.replace('_', ' ')}](../tables/{each}.md)"
        for what in named.values()
        for each in ([what] if isinstance(what, str) else what)
    ]
    return ", ".join(dict.fromkeys(shown)) or "text, or JSON"


def title(place: str) -> str:
    """A link to a page of docs by its own heading."""
    heading = (DOCS / place).read_text("utf-8").splitlines()[0].removeprefix("# ")
    return f"[{heading}](../{place})"


def exit_codes(facts: Mapping[str, Any] | None = None) -> list[tuple[str, ...]]:
    """Code and meaning of each way to end; with a command's facts, only its own."""
    told = {
        errors.OK: "Done.",
        errors.BUG: "A bug in cprtools, or memory ran out.",
        **{kind.exit_code: first_line(kind) for kind in errors.CprError.__subclasses__()},
        errors.INTERRUPTED: "Interrupted (Ctrl-C).",
        errors.CLOSED_PIPE: "Whoever read the output has gone; nothing is said.",
        errors.TERMINATED: "Terminated.",
    }
    if facts is not None:
        extras = facts.get("extras", {})
        missing = errors.MissingExtraError.exit_code
        if extras:
            named = ", ".join(f"`{extra}` for {use}" for extra, use in extras.items())
            told[missing] = f"{told[missing].rstrip('.')}: {named}."
        else:
            del told[missing]
        if not facts.get("partly"):
            del told[errors.PARTLY_ANSWERED]
    return [(str(code), text) for code, text in sorted(told.items())]


def first_line(kind: type) -> str:
    """The summary of a class."""
    return str(kind.__doc__).splitlines()[0]


def differences(wanted: Mapping[str, str]) -> list[str]:
    """What is wrong with the pages that are there: stale, missing, of no command."""
    there = {path.name for path in FOLDER.glob("*.md")}
    found = [f"{name}: of no command" for name in sorted(there - set(wanted))]
    for name, text in wanted.items():
        if name not in there:
            found.append(f"{name}: missing")
        elif (FOLDER / name).read_text("utf-8") != text:
            found.append(f"{name}: stale")
    return found


def main() -> int:
    """Write the pages, or compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether all is up to date")
    options = parser.parse_args()
    wanted = pages()
    if options.check:
        found = differences(wanted)
        sys.stderr.writelines(f"docs/commands/{line}; run: make docs\n" for line in found)
        return int(bool(found))
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
