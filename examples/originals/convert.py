"""Turn a public original into the tables of docs/tables, by the SQL file of its name beside this.

Usage: python examples/originals/convert.py NAME FOLDER -o OUT [--set VARIABLE=VALUE ...]

FOLDER holds the files as they were downloaded, unpacked or as .gz. OUT gets NAME's tables, such as
events.parquet, all of them or, after an error, none. docs/originals.md says what each one holds.
"""

import argparse
import ast
import json
import os
import re
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import duckdb

from cprtools.errors import CprError, DataError, SchemaError, UsageError, list_names

HERE = Path(__file__).parent
COMMON = HERE / "common.sql"
SCRIPTS = {p.stem.replace("_", "-"): p for p in sorted(HERE.glob("*.sql")) if p != COMMON}
TABLES = ("products", "relations", "events", "listings", "page_views", "high_demand")
VARIABLE = re.compile(r"\b(?:csv|lines|getvariable)\('([^']+)'\)")


def main() -> int:
    """Read the arguments, convert; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=SCRIPTS, metavar="NAME", help=", ".join(SCRIPTS))
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT")
    parser.add_argument("--set", action="append", default=[], metavar="VARIABLE=VALUE")
    options = parser.parse_args()
    try:
        rows = convert(options.name, options.folder, options.output, options.set)
    except CprError as error:
        sys.stderr.write(f"convert.py: error: {options.name}: {error}\n")
        return error.exit_code
    for table, count in rows.items():
        said = f"{count} rows" if count else "no rows, not written"
        sys.stderr.write(f"{options.output / table}.parquet: {said}\n")
    return 0


def convert(name: str, folder: Path, output: Path, settings: list[str]) -> dict[str, int]:
    """Write the tables of one original; returns the rows of each.

    Raises DataError for missing or damaged files, SchemaError for other columns or values than
    the original has, UsageError for settings that it does not know.
    """
    script = SCRIPTS[name].read_text(encoding="utf-8")
    variables = {**find_files(script, folder), **parse_settings(script, settings)}
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".convert-") as work:
            rows = run_script(script, variables, Path(work))
            if not any(rows.values()):
                raise SchemaError(f"{folder}: no rows in any table")
            for table in (table for table in rows if rows[table]):
                os.replace(Path(work) / f"{table}.parquet", output / f"{table}.parquet")
    except OSError as error:
        raise DataError(f"{output}: {error.strerror}") from error
    return rows


def find_files(script: str, folder: Path) -> dict[str, list[str] | str]:
    """The files that each pattern in the script stands for; FILE.gz where there is no FILE."""
    present = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found: dict[str, list[str] | str] = {}
    for pattern in (word for word in VARIABLE.findall(script) if "." in word):
        name = pattern.removeprefix("?")
        plain = [file for file in present if fnmatchcase(file, name)]
        packed = [file for file in present if fnmatchcase(file, f"{name}.gz")]
        files = sorted([*plain, *(file for file in packed if file[:-3] not in plain)])
        if not files and name == pattern:
            shown = list_names(present) if present else "nothing"
            raise DataError(f"{folder}: no {name} or {name}.gz; found {shown}")
        found[pattern] = [glob_escaped(folder / file) for file in files]
    return found


def glob_escaped(path: Path) -> str:
    """The path as a pattern of DuckDB that means this file alone."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def parse_settings(script: str, settings: list[str]) -> dict[str, list[str] | str]:
    """The values of --set, of variables that the script or the common macros read."""
    known = {
        word
        for text in (script, COMMON.read_text(encoding="utf-8") if "csv(" in script else "")
        for word in VARIABLE.findall(text)
        if "." not in word
    }
    values: dict[str, list[str] | str] = {}
    for setting in settings:
        variable, equals, value = setting.partition("=")
        if not equals or variable not in known:
            allowed = list_names(sorted(known)) if known else "none"
            raise UsageError(f"--set {setting}: expected VARIABLE=VALUE; variables: {allowed}")
        values[variable] = value
    return values


def run_script(script: str, variables: dict[str, list[str] | str], work: Path) -> dict[str, int]:
    """Run the script on its variables; its tables go to the folder, sorted by all columns."""
    rows = {}
    try:
        with duckdb.connect() as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SET temp_directory = $1", [str(work / "spill")])
            connection.create_function("json_of", json_of, ["VARCHAR"], "VARCHAR")
            for variable, value in variables.items():
                connection.execute(f'SET VARIABLE "{variable}" = $1', [value])
            connection.execute(COMMON.read_text(encoding="utf-8"))
            connection.execute(script)
            for table in TABLES:
                found = "SELECT 1 FROM duckdb_views() WHERE view_name = $1"
                if connection.execute(found, [table]).fetchone():
                    target = str(work / f"{table}.parquet").replace("'", "''")
                    copy = f"COPY (FROM {table} ORDER BY ALL) TO '{target}' (COMPRESSION zstd)"
                    counted = connection.execute(copy).fetchone()
                    rows[table] = counted[0] if counted else 0
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise DataError(explain(error)) from error
    except duckdb.Error as error:
        raise SchemaError(explain(error)) from error
    return rows


def json_of(line: str) -> str:
    """A line of JSON as it is; a Python dictionary, as the files of 2014 hold, in JSON."""
    try:
        json.loads(line)
    except ValueError:
        try:
            return json.dumps(ast.literal_eval(line))
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"neither JSON nor a Python dictionary: {line[:60]!r}") from error
    return line


def explain(error: Exception) -> str:
    """What DuckDB says in one line, without its advice on options that are not ours."""
    text = " ".join(" ".join(str(error).splitlines()[:3]).split())
    text = re.sub(
        r"Python exception .* UDF: ValueError: | (Try setting|The search space) .*", "", text
    )
    hint = "; try --set encoding=latin-1" if "not utf-8 encoded" in text else ""
    return text[:300] + hint


if __name__ == "__main__":
    sys.exit(main())
