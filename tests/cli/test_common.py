"""The options that every command has: --config, --version, --threads, --quiet."""

import re

import duckdb
import pytest

from cprtools import __version__
from cprtools.cli import COMMANDS
from tests import forking


def run(*words, cwd=None):
    return forking.run(words, cwd, text=True)


@pytest.fixture
def market(tmp_path):
    """Three customers buy a then b, one buys b then c: counts 3 and 1."""
    rows = ", ".join(
        f"('k{n}', 's{n}{step}', '{product}', 'purchase', TIMESTAMP '2024-05-0{step} 12:00')"
        for n, bought in enumerate(["ab", "ab", "ab", "bc"])
        for step, product in enumerate(bought, 1)
    )
    columns = "customer_id, session_id, product_id, event, ts"
    duckdb.sql(f"SELECT * FROM (VALUES {rows}) AS t ({columns})").write_parquet(
        str(tmp_path / "events.parquet")
    )
    return tmp_path


def mined(folder, *words):
    """(query_id, candidate_id, co_purchase) of what mine-pairs writes, sorted."""
    done = run("mine-pairs", "events.parquet", "-o", "pairs.parquet", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    pairs = duckdb.read_parquet(str(folder / "pairs.parquet"))
    return sorted(pairs.project("query_id, candidate_id, co_purchase").fetchall())


def test_the_config_file_sets_an_option(market):
    (market / "ours.toml").write_text("min-count = 1\n")

    assert mined(market) == [("a", "b", 3)]
    assert mined(market, "--config", "ours.toml") == [("a", "b", 3), ("b", "c", 1)]


def test_the_config_file_may_spell_an_option_with_underscores(market):
    (market / "ours.toml").write_text("min_count = 1\n")

    assert len(mined(market, "--config", "ours.toml")) == 2


def test_the_command_line_wins_over_the_config_file(market):
    (market / "ours.toml").write_text("min-count = 1\n")

    assert mined(market, "--config", "ours.toml", "--min-count", "3") == [("a", "b", 3)]


def test_a_config_file_and_the_same_options_write_the_same_bytes(market):
    (market / "ours.toml").write_text("min-count = 1\nseed = 5\n")
    mined(market, "--config", "ours.toml")
    by_config = (market / "pairs.parquet").read_bytes()
    mined(market, "--min-count", "1", "--seed", "5")

    assert (market / "pairs.parquet").read_bytes() == by_config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("min-coutn = 1\n", "no option 'min-coutn'"),
        ("min-count = [\n", "ours.toml"),
        ("min-count = 0\n", "--min-count"),
    ],
)
def test_a_wrong_config_file_is_a_usage_error_of_one_line(market, text, said):
    (market / "ours.toml").write_text(text)

    done = run("mine-pairs", "events.parquet", "-o", "p", "--config", "ours.toml", cwd=market)

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"cprtools: error: [^\n]+\n", done.stderr)
    assert said in done.stderr
    assert not (market / "p").exists()


def test_an_unknown_config_key_is_answered_with_the_keys_there_are(market):
    (market / "ours.toml").write_text("min-coutn = 1\n")

    done = run("mine-pairs", "events.parquet", "-o", "p", "--config", "ours.toml", cwd=market)

    assert "there are " in done.stderr
    assert "min-count" in done.stderr


def test_a_missing_config_file_is_named(market):
    done = run("mine-pairs", "events.parquet", "-o", "p", "--config", "none.toml", cwd=market)

    assert done.returncode in (2, 4)
    assert done.stderr.startswith("cprtools: error: ")
    assert "none.toml" in done.stderr


@pytest.mark.parametrize(
    "words", [["--version"], ["-V"], *([name, "--version"] for name in COMMANDS)]
)
def test_version_is_printed_to_stdout(words):
    done = run(*words)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"cprtools {__version__}\n", "")


def test_threads_do_not_change_the_rows(market):
    one = mined(market, "--threads", "1")
    first = (market / "pairs.parquet").read_bytes()

    assert mined(market, "--threads", "2") == one
    assert (market / "pairs.parquet").read_bytes() == first


def test_zero_threads_are_a_usage_error():
    done = run("inspect", "x.parquet", "--threads", "0")

    assert done.returncode == 2
    assert "--threads" in done.stderr


def test_quiet_leaves_stderr_empty(market):
    loud = run("mine-pairs", "events.parquet", "-o", "pairs.parquet", cwd=market)
    quiet = run("mine-pairs", "events.parquet", "-o", "pairs.parquet", "--quiet", cwd=market)

    assert loud.stderr
    assert (quiet.returncode, quiet.stderr) == (0, "")
