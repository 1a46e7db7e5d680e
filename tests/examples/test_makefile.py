"""The Makefile in a checkout, and with folders, whose names hold blanks."""

import shutil
from pathlib import Path

import pytest

from tests import forking

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """What make reads, and programs that say what they were given, each word in brackets."""
    folder = tmp_path / "my checkout"
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("python", "bash", "ruff", "mypy"):
        said = f'#!/bin/sh\nprintf "{name}"; printf " [%s]" "$@"; echo\n'
        (programs / name).write_text(said, encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("demo",), ["bash [examples/demo.sh] [my demo]"]),
        (("docs",), ["python [docs/generate.py]"]),
        (("bench",), ["bash [examples/bench.sh] [my demo]"]),
        (("bench-evaluate",), ["python [examples/scale/bench_evaluate.py] [my bench]"]),
        (("bench-large",), ["bash [examples/demo.sh] [my demo]",
                            "bash [examples/bench_large.sh] [my demo] [my bench]"]),
        (("reproduce-sellers", "DATA=my data"), ["bash [examples/reproduce_sellers.sh] [my data]"]),
    ],
)  # fmt: skip
def test_blanks_in_names_of_folders_divide_nothing(checkout, words, told):
    # a variable of the environment, such as that of the make that runs the tests, counts less
    given = ("DEMO=my demo", "BENCH=my bench", "VENV=.venv")
    done = forking.run_script(["make", "--silent", *words, *given], checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == told
    assert not (checkout / "my").exists()
