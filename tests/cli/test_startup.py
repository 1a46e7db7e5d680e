"""What every command keeps: fast plain help with a true example, common options, exit codes."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from functools import cache

import pytest

from cprtools.cli import COMMANDS

HEAVY = {
    "torch", "dgl", "duckdb", "pyarrow", "numpy", "scipy", "pandas", "transformers",
    "sentence_transformers", "implicit", "lightgbm", "sklearn", "hnswlib", "pyspark",
}  # fmt: skip
COMMON_OPTIONS = {"--seed", "--threads", "--quiet", "--config", "--version", "--help"}
PROBE = """
import json, sys
from cprtools.cli import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""
SETTINGS = """
import json, os, sys
from cprtools.cli import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(dict(os.environ)), file=sys.stderr)
"""
EVERY_COMMAND = pytest.mark.parametrize("command", COMMANDS)
EVERY_HELP = pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)


def run(*words, **environment):
    command = [sys.executable, "-m", "cprtools", *words]
    environment = {**os.environ, **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@cache
def help_of(*words):
    done = run(*words, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_short_option_is_the_same_help():
    assert run("inspect", "-h").stdout == help_of("inspect")


@EVERY_HELP
def test_help_loads_no_heavy_library(words):
    command = [sys.executable, "-c", PROBE, *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert HEAVY & set(json.loads(done.stderr.splitlines()[-1])) == set()


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "nowhere"],
        ["mine-pairs", "nowhere", "--forget", "C1", "--explain", "P1", "P2"],
        ["split", "nowhere", "--test-out", "test.parquet", "-o", "train.parquet"],
        ["evaluate", "nowhere", "elsewhere", "--truth", "nowhere", "--against", "nowhere"],
        ["train-cpr", "nowhere", "--vectors", "nowhere", "-o", "cpr.model"],
    ],
    ids=lambda words: words[0],
)
def test_plain_words_are_read_without_the_library_that_checks_others(words, tmp_path):
    command = [sys.executable, "-c", PROBE, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode not in (0, 1)
    assert "pydantic" not in json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(("given", "expected"), [(None, "20"), ("26", "26")])
def test_threads_of_blas_that_wait_for_work_soon_sleep(given, expected):
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    if given is not None:
        environment["OPENBLAS_THREAD_TIMEOUT"] = given
    command = [sys.executable, "-c", SETTINGS, "inspect", "nowhere", "--threads", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = json.loads(done.stderr.splitlines()[-1])
    assert found["OPENBLAS_THREAD_TIMEOUT"] == expected
    assert found["OPENBLAS_NUM_THREADS"] == found["OMP_NUM_THREADS"] == "1"


@EVERY_COMMAND
def test_help_starts_with_usage_and_a_summary_with_the_overviews_verb(command):
    usage, _, summary = help_of(command).splitlines()[:3]

    assert usage.startswith(f"Usage: cprtools {command} ")
    assert summary.split()[0].rstrip(":") == COMMANDS[command].split()[0].rstrip(":")


@EVERY_COMMAND
def test_help_lists_the_common_options(command):
    assert set(re.findall(r"--[a-z-]+", help_of(command))) >= COMMON_OPTIONS


@EVERY_HELP
def test_help_has_an_example_that_names_real_commands_and_options(words):
    lines = example_lines(help_of(*words))

    assert lines
    assert " ".join(["cprtools", *words]) in lines[0]
    for line in lines:
        calls = [call for call in calls_in(line) if call[0] == "cprtools"]
        assert calls, line
        for call in calls:
            assert call[1] in COMMANDS, line
            assert options_in(call) <= set(re.findall(r"-{1,2}[a-z][a-z-]*", help_of(call[1])))


def test_the_overview_lists_every_command():
    assert all(f"  {name} " in help_of() for name in COMMANDS)


def test_no_command_prints_the_overview_and_is_a_usage_error():
    done = run()

    assert (done.returncode, done.stdout) == (2, help_of())


def test_an_unknown_command_is_a_usage_error_that_lists_the_commands():
    done = run("mine-pear")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"cprtools: error: no command 'mine-pear'; there are {', '.join(COMMANDS)}\n"
    )


@EVERY_COMMAND
def test_an_unknown_option_is_one_line_on_stderr(command):
    done = run(command, "--no-such-option")

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"cprtools: error: [^\n]*--no-such-option[^\n]*\n", done.stderr)


@pytest.mark.parametrize("words", [["--help"], ["inspect", "--help"], ["inspect", "nowhere"]])
def test_a_terminal_gets_no_colours_where_no_color_is_set(words):
    assert b"\x1b" not in in_terminal(*words, NO_COLOR="1", TERM="xterm-256color")


def in_terminal(*words, **environment):
    """Everything the command shows on a terminal."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "cprtools", *words]
    with subprocess.Popen(
        command, stdout=follower, stderr=follower, env={**os.environ, **environment}
    ):
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 4096):
                shown += part
        except OSError:  # what Linux says at the end of a terminal
            pass
    os.close(leader)
    assert shown
    return shown


def example_lines(text):
    """The lines below `Example:`, a trailing backslash or pipe joined with what follows."""
    lines = re.split(r"Examples?:\n", text, maxsplit=1)[1].split("\n\n", 1)[0].splitlines()
    joined = re.sub(r"\\\n|(?<=\|)\n", " ", "\n".join(line.strip() for line in lines))
    return joined.splitlines()


def calls_in(line):
    """The words of each command of a pipeline."""
    words = shlex.split(line.partition(" > ")[0])
    calls = [[]]
    for word in words:
        if word == "|":
            calls.append([])
        else:
            calls[-1].append(word)
    return calls


def options_in(words):
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
