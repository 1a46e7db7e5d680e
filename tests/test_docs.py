"""The documentation says what the code does: tables, commands, options and links."""

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from cprtools import tables
from cprtools.cli import COMMANDS
from cprtools.cpr import recipe as cpr_recipe
from cprtools.cpr.config import CprConfig, make_config
from cprtools.linkpred import recipe as linkpred_recipe
from cprtools.linkpred.options import TrainingOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
HELP_PAGES = sorted((ROOT / "docs" / "commands").iterdir())
SCRIPTS = sorted((ROOT / "examples").glob("*.sh"))
SPECS = {
    "events": [tables.EVENTS],
    "relations": [tables.RELATIONS],
    "products": [tables.PRODUCTS],
    "listings": [tables.LISTINGS],
    "page_views": [tables.PAGE_VIEWS],
    "high_demand": [tables.HIGH_DEMAND],
    "sellers": [tables.SELLERS],
    "pairs": [tables.PAIRS],
    "vectors": [tables.VECTORS],
    "graph": [tables.NODES, tables.EDGES],
    "recommendations": [tables.COMPLEMENT_RECOMMENDATIONS, tables.SELLER_RECOMMENDATIONS],
    "metrics": [tables.METRICS],
}
UNTYPED = {"category": "string or list", "product_type": "string or list",
           "vector": "fixed_size_list<float32>[d]"}  # fmt: skip


@pytest.mark.parametrize("page", SPECS)
def test_a_tables_page_lists_its_columns_types_and_which_are_needed(page):
    expected = [
        (f.name, UNTYPED[f.name] if f.type is None else str(f.type), "yes" if f.required else "no")
        for spec in SPECS[page]
        for f in spec.fields
    ]

    assert documented_columns(ROOT / "docs" / "tables" / f"{page}.md") == expected


def test_every_table_has_a_page_and_the_index_names_each():
    folder = ROOT / "docs" / "tables"
    index = (folder / "README.md").read_text(encoding="utf-8")

    assert {path.stem for path in folder.glob("*.md")} == {*SPECS, "model", "README"}
    assert all(f"({name}.md)" in index for name in [*SPECS, "model"])


def test_the_commands_pages_are_what_the_help_says():
    done = generate(ROOT / "docs", "--check")

    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.stem for path in (ROOT / "docs" / "commands").iterdir()}
    assert pages == {*COMMANDS, "README"}


def test_a_stale_page_one_that_is_missing_and_one_of_no_command_are_told_and_mended(tmp_path):
    docs = Path(shutil.copytree(ROOT / "docs", tmp_path / "docs"))
    pages = docs / "commands"
    (pages / "split.md").write_text("# cprtools split\n", encoding="utf-8")
    (pages / "inspect.md").unlink()
    (pages / "forecast.md").write_text("# cprtools forecast\n", encoding="utf-8")

    done = generate(docs, "--check")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"docs/commands/{what}; run: make docs"
        for what in ("forecast.md: of no command", "split.md: stale", "inspect.md: missing")
    ]
    assert generate(docs).returncode == 0
    assert sorted(pages.iterdir()) == sorted(pages / p.name for p in HELP_PAGES)
    assert all((pages / page.name).read_bytes() == page.read_bytes() for page in HELP_PAGES)


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('--relations = ["relations"], ', "", "mine-pairs: unknown: [], missing: ['--relations']"),
        ("--truth = ", "--truths = ", "evaluate: unknown: ['--truths'], missing: ['--truth']"),
        ("[split]", "[divide]", "it must hold the commands of cprtools, in their order"),
    ],
)
def test_tables_of_a_command_that_no_option_takes_or_that_are_not_told_are_refused(
    tmp_path, was, now, told
):
    docs = Path(shutil.copytree(ROOT / "docs", tmp_path / "docs"))
    facts = (docs / "commands.toml").read_text(encoding="utf-8")
    assert was in facts
    (docs / "commands.toml").write_text(facts.replace(was, now, 1), encoding="utf-8")

    done = generate(docs, "--check")

    assert done.returncode == 1
    assert done.stderr == f"docs/commands.toml: {told}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_page_says_what_its_options_read_and_how_it_ends(command):
    page = (ROOT / "docs" / "commands" / f"{command}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", page, flags=re.M)

    assert headings == [
        "Synopsis", "Arguments and options", "Tables", "Examples", "Exit codes", "See also",
    ]  # fmt: skip
    about = page.partition("\n")[2].partition("## Synopsis")[0].strip().split("\n\n")
    assert len(re.findall(r"[.](?=\s|$)", about[1])) == 2
    assert set(re.findall(r"`(--[a-z-]+)`", page)) <= options_of(command) | {
        "--product",
        "--seller",
    }
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.M)}
    assert codes >= {0, 1, 2, 3, 4, 130, 141, 143}
    assert (6 in codes) == (command == "recommend")


def test_the_help_of_training_names_every_method_and_the_defaults_in_use():
    help_of = {
        name: " ".join((ROOT / "docs" / "commands" / f"{name}.md").read_text("utf-8").split())
        for name in ("train-cpr", "train-linkpred")
    }
    for name, recipe in (("train-cpr", cpr_recipe), ("train-linkpred", linkpred_recipe)):
        listed = help_of[name].partition("or a baseline: ")[2].partition(". [default")[0]
        assert (recipe.TRAINED, *sorted(listed.split(", "))) == (
            recipe.METHODS[0], *sorted(recipe.METHODS[1:]),
        )  # fmt: skip
    gnn, default = TrainingOptions(), CprConfig()
    assert f"size of vectors (default {gnn.embedding_dim})" in help_of["train-linkpred"]
    assert f"layers (default {gnn.num_layers})" in help_of["train-linkpred"]
    assert f"epochs at most (default {gnn.epochs})" in help_of["train-linkpred"]
    others = {make_config({"preset": preset}, 0).epochs for preset in ("paper", "article")}
    said = f"(default {default.epochs}; of the other presets {others.pop()})"
    assert said in help_of["train-cpr"] and not others


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]

    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_a_heading_name_one_that_is_there(page):
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))

    assert [
        f"{place}#{name}"
        for place, name in links
        if name not in headings_of(page.parent / place if place else page)
    ] == []


def test_drawn_terminals_load_nothing_and_show_a_command_that_exists():
    pictures = sorted((ROOT / "docs" / "figures").glob("*.svg"))

    assert pictures
    for path in pictures:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"@import|@font-face|href=|url\((?!#)", text) == []
        assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
        (line,) = re.findall(r">\$ ([^<]*)<", text)
        words = line.split()
        assert words[0] == "cprtools" and options_in(words) <= options_of(words[1])


@pytest.mark.parametrize(
    "page", [*PAGES, *SCRIPTS], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_pasted_commands_use_commands_and_options_that_exist(page):
    wrong = [
        " ".join(words)
        for words in cprtools_calls(page)
        if words[1] not in COMMANDS or not options_in(words) <= options_of(words[1])
    ]

    assert wrong == []


def test_the_examples_use_every_command():
    used = {words[1] for path in SCRIPTS for words in cprtools_calls(path)}

    assert used == set(COMMANDS)


def generate(docs, *words):
    return subprocess.run(
        [sys.executable, docs / "generate.py", *words], capture_output=True, text=True, check=False
    )


@cache
def headings_of(page):
    """What a link may name in a page: its headings, as GitHub writes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    named = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    headings = re.findall(r"^#+ (.*)$", named, flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documented_columns(page):
    """(column, type, needed) of each row of the page's column tables."""
    rows = [line.split("|") for line in page.read_text(encoding="utf-8").splitlines()]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == 6]
    return [(c[1].strip("`"), c[2], c[3]) for c in cells if c[1].startswith("`")]


def cprtools_calls(page):
    """The words of every `cprtools COMMAND ...` in the page's code blocks, or in a script."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, flags=re.M | re.S)
        text = "\n".join(blocks)
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines()]
    parts = [
        part for line in lines for part in re.split(r"\|{1,2}|&&|;| > ", line.removeprefix("$ "))
    ]
    calls = [part.strip() for part in parts if part.strip().startswith("cprtools ")]
    words = [shlex.split(call, comments=True) for call in calls]
    return [found for found in words if re.match(r"[a-z]", found[1])]


def options_in(words):
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}


@cache
def options_of(command):
    done = subprocess.run(
        [sys.executable, "-m", "cprtools", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout))
