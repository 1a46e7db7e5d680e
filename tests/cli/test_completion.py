"""Completion as the shell asks for it: through the script that it reads."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.commands import fails, ok

FAKE = '#!/bin/sh\nexec "{python}" -m cprtools "$@"\n'
CALL = """\
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cprtools; printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(home, *words):
    """What bash offers for the last word of `cprtools WORDS`, by the printed script."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "cprtools").write_text(FAKE.format(python=sys.executable))
    (folder / "cprtools").chmod(0o755)
    text = ok(home, "--show-completion", "bash").decode() + CALL
    (folder / "complete.sh").write_text(text)
    done = subprocess.run(
        ["bash", str(folder / "complete.sh"), "cprtools", *words],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_commands_options_and_choices_are_completed(home):
    assert completed(home, "rec") == ["recommend"]
    assert completed(home, "recommend", "--thr") == ["--threads", "--threshold"]
    assert completed(home, "recommend", "--format", "c") == ["csv"]
    assert completed(home, "train-cpr", "pairs.parquet", "--prod") == ["--products"]


def test_product_ids_and_categories_come_from_the_model_in_the_folder(home):
    assert completed(home, "recommend", "--product", "A1")[:3] == ["A1", "A10", "A11"]
    assert completed(home, "recommend", "--seller", "S1", "--category", "") == [
        "Alpha",
        "Beta",
        "all",
    ]
    named = ["recommend", "--model", "seller.model", "--category", "B"]
    assert completed(home, *named) == ["Beta"]


def test_a_sellers_id_is_never_completed(home):
    assert completed(home, "recommend", "--seller", "S") == [""]


def test_without_a_model_nothing_is_offered(home, tmp_path):
    shutil.copytree(home / "seller.model", tmp_path / "half.model")
    (tmp_path / "half.model" / "products.parquet").unlink()
    words = ["--complete", "recommend", "--model", "half.model", "--category", ""]
    assert ok(tmp_path, *words) == b""
    assert ok(tmp_path, "--complete", "recommend", "--product", "A") == b""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_ask_the_same_question(home, shell):
    text = ok(home, "--show-completion", shell).decode()
    assert "cprtools --complete" in text
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_an_unknown_shell_is_a_usage_error(home):
    assert "bash, zsh, fish" in fails(home, 2, "--show-completion", "tcsh")
