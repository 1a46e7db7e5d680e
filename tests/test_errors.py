"""Errors, and what `main` makes of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cprtools import cli, errors
from cprtools.cli import console

COMMAND = [sys.executable, "-m", "cprtools"]


def end(capsys, monkeypatch, error):
    """Exit code and stderr of a command that raises this."""

    def fail(*_):
        raise error

    monkeypatch.setattr(cli, "_command", fail)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main(["inspect", "x"])
    finally:
        signal.signal(signal.SIGTERM, before)
    out, err = capsys.readouterr()
    assert out == ""
    return ended.value.code, err


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.SchemaError, 3),
        (errors.DataError, 4),
        (errors.MissingExtraError, 5),
        (errors.PartialAnswerError, 6),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(capsys, monkeypatch, kind, code):
    found = end(capsys, monkeypatch, kind("t.parquet: no column 'x'"))

    assert found == (code, "cprtools: error: t.parquet: no column 'x'\n")


def test_an_interrupted_run_ends_with_130(capsys, monkeypatch):
    assert end(capsys, monkeypatch, KeyboardInterrupt()) == (130, "cprtools: error: interrupted\n")


def test_a_mistake_of_ours_is_one_line_too(capsys, monkeypatch):
    code, err = end(capsys, monkeypatch, KeyError("a\nb"))
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("cprtools: error: a bug in cprtools: KeyError: ")
    assert "CPRTOOLS_DEBUG=1" in err
    assert end(capsys, monkeypatch, MemoryError()) == (1, "cprtools: error: out of memory\n")


def test_an_error_of_the_system_is_not_called_a_bug(capsys, monkeypatch):
    failed = PermissionError(13, "Permission denied", "/x/y")

    assert end(capsys, monkeypatch, failed) == (4, "cprtools: error: /x/y: permission denied\n")
    assert end(capsys, monkeypatch, OSError("odd"))[0] == 1


def test_the_traceback_is_shown_on_demand(capsys, monkeypatch):
    monkeypatch.setenv("CPRTOOLS_DEBUG", "1")
    code, err = end(capsys, monkeypatch, errors.DataError("gone"))

    assert code == 4
    assert err.startswith("Traceback")
    assert err.endswith("cprtools: error: gone\n")


def test_no_message_can_steer_a_terminal(capsys, monkeypatch):
    evil = "a\x1b[2J\r\n\x07\u202e\x9b\ud800é"
    _, err = end(capsys, monkeypatch, errors.DataError(evil))

    assert err == "cprtools: error: a\\x1b[2J\\r\\n\\x07\\u202e\\x9b\\ud800é\n"


def test_quote_escapes_and_shortens():
    assert errors.quote("it's\x1b") == '"it\'s\\x1b"'
    assert errors.quote(5) == "'5'"
    assert errors.quote("x" * 60) == f"'{'x' * 60}'"
    assert errors.quote("x" * 61) == f"'{'x' * 57}...'"


def test_list_names_shows_the_first_and_counts_the_rest():
    assert errors.list_names([]) == ""
    assert errors.list_names(["a", "b\n"]) == "a, 'b\\n'"
    assert errors.list_names(list("abcd"), limit=2) == "a, b and 2 more"


def run(*words, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([*COMMAND, *words], check=False, **options)


def test_an_unknown_command_is_answered_with_those_there_are():
    done = run("mine\x1b[2J")

    assert (done.returncode, done.stdout) == (2, b"")
    names = ", ".join(cli.COMMANDS)
    assert done.stderr.decode() == (
        f"cprtools: error: no command 'mine\\x1b[2J'; there are {names}\n"
    )


def test_an_unknown_option_and_a_file_of_an_odd_name_are_one_line_each():
    missing = ("inspect", "n\u00ff\x1b")
    for words, code in (
        (("inspect", "x", "--no\x1bsuch"), 2), (missing, 4), (("inspect", b"n\xff\x1b"), 2),
    ):  # fmt: skip
        done = run(*words)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (code, b"", 1)
        assert done.stderr.startswith(b"cprtools: error: ")
        assert b"\x1b" not in done.stderr


def test_no_words_at_all_are_a_usage_error_with_the_overview():
    done = run()

    assert done.returncode == 2
    assert done.stdout.startswith(b"Usage: cprtools COMMAND")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["inspect", "--help"]])
def test_help_into_a_closed_pipe_or_a_full_disk(words):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = run(*words, stdout=closed)
    assert (done.returncode, done.stderr) == (141, b"")

    with open("/dev/full", "wb") as full:
        done = run(*words, stdout=full)
    assert (done.returncode, done.stderr.count(b"\n")) == (4, 1)
    assert done.stderr.startswith(b"cprtools: error: ")


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [("SIGTERM", 143, b""), ("SIGINT", 130, b"cprtools: error: interrupted\n")],
)
def test_a_signal_ends_a_waiting_command_and_leaves_nothing(tmp_path, name, code, told):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [*COMMAND, "inspect", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=environment, **pipes) as process:
        # it waits for its input as soon as the copy is there
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("cprtools-*/stdin")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(getattr(signal, name))
        # the pipe stays open meanwhile: it is the signal that ends the command
        process.wait(timeout=60)
        out, err = process.stdout.read(), process.stderr.read()

    assert (process.returncode, out, err) == (code, b"", told)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_does_not_cut_the_read_short_ends_a_waiting_command_too(tmp_path):
    # another thread takes it, as if it had come just before the read
    lines = """
import signal, sys, threading, time
from pathlib import Path
from cprtools import cli
def interrupt():
    while not list(Path(sys.argv[1]).glob("cprtools-*/stdin")):
        time.sleep(0.02)
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
cli.main(["inspect", "-"])
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-c", lines, str(tmp_path)]
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.wait(timeout=50) == 130
        assert process.stderr.read() == b"cprtools: error: interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_in_the_middle_of_an_import_waits_for_its_end(tmp_path, name, code):
    # an extension module that meets an exception while it is made may abort the process
    (tmp_path / "half.py").write_text(
        f"import os, signal\nos.kill(os.getpid(), signal.{name})\nopen('whole', 'w').close()\n"
    )
    lines = """
import time
from pathlib import Path
from cprtools import cli
def command(*_):
    import half
    time.sleep(60)
cli._command = command
cli.main(["inspect", "x"])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, check=False, env=environment, timeout=50
    )
    assert done.returncode == code
    assert (tmp_path / "whole").exists()


def test_a_signal_put_off_beyond_the_end_of_a_command_changes_nothing(tmp_path):
    (tmp_path / "half.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    lines = """
import atexit, time
from cprtools import cli
atexit.register(lambda: time.sleep(0.5))
def command(*_):
    import half
    return 0
cli._command = command
cli.main(["inspect", "x"])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    done = subprocess.run(
        [sys.executable, "-c", lines], check=False, env=environment, timeout=50, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("tell", [console.warn, console.note])
def test_a_warning_or_note_is_one_line_whatever_a_file_holds(capsys, tell):
    console.set_quiet(False)
    tell("skipped: a\nb\x1b[31m\u2028")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("skipped: a\\nb\\x1b[31m\\u2028")


def test_names_are_shown_as_they_are_only_where_each_character_can_be_seen():
    assert [errors.show_name(name) for name in ("a b", "", "\x1b[2J", "\u202ex")] == [
        "a b",
        "''",
        "'\\x1b[2J'",
        "'\\u202ex'",
    ]


def test_the_nearest_names_are_offered_else_the_first():
    names = ["camera", "Card", "bag"]
    assert errors.nearest_names("camra", names) == "; did you mean camera?"
    assert errors.nearest_names("CARD", names) == "; did you mean Card, camera?"
    assert errors.nearest_names("zzz", names) == "; there are Card, bag, camera, ..."
    assert errors.nearest_names("zzz", []) == ""


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0.0%"),
        (1e-6, "<0.1%"),
        (0.0005, "0.1%"),
        (0.9996, ">99.9%"),
        (0.5, "50.0%"),
        (1, "100.0%"),
    ],
)
def test_a_share_never_reads_as_nothing_or_all_when_it_is_neither(share, shown):
    assert errors.percent(share) == shown


def test_a_share_in_whole_percent_keeps_to_that_too():
    assert [errors.percent(s, 0) for s in (0.001, 0.996, 0.25)] == ["<1%", ">99%", "25%"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (4 / 3, "1.333"), (50_000, "50,000"), (12345.6, "12,346")]
)
def test_a_number_is_shown_without_an_exponent(value, shown):
    assert errors.four_digits(value) == shown
