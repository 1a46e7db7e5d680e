"""The rules of docs/architecture.md, read from the source code."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from cprtools.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cprtools"
MODULES = sorted(PACKAGE.rglob("*.py"))
OWN_CODE = [*MODULES, *sorted((ROOT / "examples").rglob("*.py")), ROOT / "docs" / "generate.py"]
EVERYTHING = [*OWN_CODE, *sorted((ROOT / "tests").rglob("*.py"))]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40

FILE_CALLS = {
    "open", "read_text", "write_text", "read_bytes", "write_bytes", "NamedTemporaryFile",
    "TemporaryFile", "ParquetFile", "ParquetWriter", "read_table", "write_table", "read_parquet",
    "write_parquet", "to_parquet", "read_csv", "to_csv", "save_model", "save_index", "load_index",
    "fromfile", "tofile", "memmap", "loadtxt", "savetxt",
}  # fmt: skip
# what opens something outside `tables`, and why it may
MAY_OPEN = {
    "cprtools/cli/app.py": "--config is read before any library that --threads must reach first",
    "cprtools/cli/__init__.py": "/dev/null takes the place of a closed pipe",
}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
NUMBER_LOADERS = {("torch", "load"), ("torch", "save"), ("np", "load"), ("np", "save")}


def test_every_import_goes_down_the_line_in_the_architecture_page():
    level = read_order()
    upward = [
        f"{short(path)} imports {target}"
        for path in MODULES
        for target in imported_rooms(path)
        if target != room_of(path) and level[target] >= level[room_of(path)]
    ]

    assert upward == []


def test_every_room_is_in_the_architecture_page():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"errors"}

    assert rooms == set(read_order())


@pytest.mark.parametrize(
    ("library", "room"), [("typer", "cli"), ("rich", "cli"), ("click", None), ("dgl", "graph")]
)
def test_a_library_with_a_home_is_imported_nowhere_else(library, room):
    guests = [
        short(path)
        for path in MODULES
        if library in imported_libraries(path) and room_of(path) != room
    ]

    assert guests == []


def test_subcommand_files_do_not_import_each_other():
    commands = {name.replace("-", "_") for name in COMMANDS}
    crossings = [
        f"{short(path)} imports {target}"
        for path in (PACKAGE / "cli").glob("*.py")
        if path.stem in commands
        for target in imported_names(path)
        if target.removeprefix("cprtools.cli.").split(".")[0] in commands
        and target.startswith("cprtools.cli.")
    ]

    assert crossings == []


def test_cli_files_import_only_light_modules_at_the_top():
    light = {"typer", "cprtools", *sys.stdlib_module_names}
    heavy = [
        f"{short(path)} imports {target}"
        for path in (PACKAGE / "cli").glob("*.py")
        for target in top_imports(path)
        if target.split(".")[0] not in light
        or re.match(r"cprtools\.(?!cli\b|errors\b|__version__)", target)
    ]

    assert heavy == []


def test_only_tables_opens_files():
    openers = [
        f"{short(path)}:{call.lineno} {name}"
        for path in MODULES
        if room_of(path) != "tables" and short(path) not in MAY_OPEN
        for call, owner, name in calls(path)
        if name in FILE_CALLS and owner not in ("tables", "writing", "webbrowser")
    ]

    assert openers == []


def test_what_may_open_files_outside_tables_still_does():
    for name in MAY_OPEN:
        assert any(called == "open" for _, _, called in calls(ROOT / name)), name


def test_nothing_pickles():
    found = [
        short(path)
        for path in EVERYTHING
        if imported_libraries(path) & PICKLES
        or any((owner, name) in NUMBER_LOADERS for _, owner, name in calls(path))
    ]

    assert found == []


def test_nothing_prints():
    found = [
        f"{short(path)}:{call.lineno}"
        for path in OWN_CODE
        for call, owner, name in calls(path)
        if name == "print" and owner is None
    ]

    assert found == []


def test_files_stay_under_the_length_limit():
    long = {short(p): n for p in EVERYTHING if (n := len(lines_of(p))) >= MAX_FILE_LINES}

    assert long == {}


def test_functions_stay_under_the_length_limit():
    long = {
        f"{short(path)}:{node.name}": count
        for path in EVERYTHING
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (count := code_lines(path, node)) >= MAX_FUNCTION_LINES
    }

    assert long == {}


def test_no_tracked_file_names_this_machine_or_a_package_registry():
    hosts = [
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "download.pytorch" + ".org",
        "anaconda" + ".org",
    ]
    places = {str(ROOT), str(ROOT.parent / "shared"), f"{Path.home()}/", sys.base_prefix}
    # a checkout at the top of the file system would make every path a machine path
    words = [*hosts, *(place for place in places if len(place) > 4)]
    found = [
        f"{short(path)}: {word}"
        for path in tracked_files()
        for word in words
        if word in path.read_text(encoding="utf-8", errors="replace")
    ]

    assert found == []


def test_every_extra_that_a_message_names_exists():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        extra
        for path in MODULES
        for extra in re.findall(r"cprtools\[([a-z]+)\]", path.read_text(encoding="utf-8"))
    }

    assert named <= set(project["optional-dependencies"])


def read_order() -> dict[str, int]:
    """Each room's place in the line of docs/architecture.md; rooms in braces share one."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    line = next(row for row in text.splitlines() if row.strip().startswith("errors < tables <"))
    groups = [group.strip(" {}") for group in line.split("<")]
    return {room.strip(): place for place, group in enumerate(groups) for room in group.split(",")}


def room_of(path: Path) -> str:
    """The room of a module; the package's own two files belong to the command line."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "cli" if first in ("__init__", "__main__") else first


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_names(path: Path) -> list[str]:
    return [name for node in ast.walk(tree_of(path)) for name in names_in(node)]


def top_imports(path: Path) -> list[str]:
    return [name for node in tree_of(path).body for name in names_in(node)]


def names_in(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imported_rooms(path: Path) -> list[str]:
    parts = [name.split(".") for name in imported_names(path)]
    rooms = [words[1] for words in parts if words[0] == "cprtools" and len(words) > 1]
    return [room for room in rooms if room not in ("__version__", "on_demand")]


def imported_libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported_names(path)}


def calls(path: Path) -> Iterator[tuple[ast.Call, str | None, str]]:
    """Each call as (node, what it is an attribute of, name); the owner is '?' if it is no name."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node, None, node.func.id
            elif isinstance(node.func, ast.Attribute):
                owner = node.func.value
                yield node, owner.id if isinstance(owner, ast.Name) else "?", node.func.attr


def code_lines(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body that hold code: no signature, docstring, comment or blank line."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return 0
    source = "\n".join(lines_of(path)[body[0].lineno - 1 : node.end_lineno]) + "\n"
    blank = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER,
    }  # fmt: skip
    covered: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank:
            covered.update(range(token.start[0], token.end[0] + 1))
    return len(covered)


def tracked_files() -> list[Path]:
    """What git would commit: tracked files, and new ones that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
