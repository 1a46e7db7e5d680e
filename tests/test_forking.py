"""Forked commands are what processes of their own would be."""

import os

import pytest

from tests import forking

HASH = "print(hash('a'))"


def printed(program, **variables):
    done = forking.run([], env={**os.environ, **variables}, text=True, program=program)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_script_finds_pipes_codes_folder_and_variables_as_they_are(tmp_path):
    script = """
    echo product_id | cprtools inspect - 2>&1 | cut -d: -f3
    echo ${PIPESTATUS[1]}
    echo product_id > here.csv
    cprtools inspect here.csv | head -1 | cut -d, -f1
    """
    done = forking.run_script(["bash", "-c", script], tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [" standard input", "4", "here.csv: 0 rows"]
    assert done.stderr == ""


def test_a_script_runs_the_program_that_is_named_in_place_of_cprtools():
    program = "import sys; print(sys.argv); sys.exit(7)"
    done = forking.run_script(["bash", "-c", "cprtools one 'two 2'"], FORKED_PROGRAM=program)
    assert (done.returncode, done.stdout) == (7, "['cprtools', 'one', 'two 2']\n")


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("1 / 0", 1),
    ],
)
def test_the_end_of_a_command_is_told(program, code):
    assert forking.run([], program=program).returncode == code


def test_what_libraries_read_early_is_given_to_a_process_of_its_own():
    assert printed(HASH) == printed(HASH)
    assert printed(HASH, **forking.OTHER_HASHES) != printed(HASH)
    loaded = "import sys; print('torch' in sys.modules)"
    assert printed(loaded) == "True\n"
    assert printed(loaded, OMP_NUM_THREADS="3") == "False\n"


def test_the_temporary_folder_is_the_one_that_is_named(tmp_path):
    asked = "import tempfile; print(tempfile.gettempdir())"
    assert printed(asked, TMPDIR=str(tmp_path)) == f"{tmp_path}\n"
