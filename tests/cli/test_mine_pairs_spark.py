"""mine-pairs --engine spark as a user runs it."""

import os
import shutil

import pytest

from tests.cli.commands import refused, run, write

pytestmark = pytest.mark.spark

WORDS = ("mine-pairs", "log.parquet", "--min-count", 1)


@pytest.fixture
def folder(tmp_path):
    write(
        tmp_path / "log.parquet",
        customer_id=["1", "1", "2", None, "2", "3"],
        session_id=["s", "s", "s", "s", "t", None],
        product_id=["a", "b", "a", "b", "c", None],
        event=["purchase", "purchase", "view", "view", "purchase", "cart"],
        ts=[1_714_564_800 + 60 * minute for minute in range(6)],
    )
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.fixture
def spark():
    pytest.importorskip("pyspark")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("no Java here")


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_both_engines_write_the_same_bytes_and_say_the_same(folder):
    by_duckdb = run(folder, *WORDS, "-o", "duckdb.parquet")
    settings = ("--master", "local[1]", "--spark-conf", "spark.sql.shuffle.partitions=3")
    # what makes long queries fast takes half of the time of these
    for setting in (
        "spark.sql.adaptive.enabled=false",
        "spark.sql.codegen.wholeStage=false",
        "spark.sql.codegen.factoryMode=NO_CODEGEN",
        "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    ):
        settings += ("--spark-conf", setting)
    by_spark = run(
        folder, *WORDS, "--engine", "spark", *settings, "-o", "spark.parquet",
        env={"TMPDIR": str(folder / "tmp")},
    )  # fmt: skip
    assert by_spark.returncode == by_duckdb.returncode == 0, by_spark.stderr.decode()
    # nothing of Java's own chatter
    assert by_spark.stderr == by_duckdb.stderr
    assert b"complement pairs" in by_spark.stderr
    assert by_spark.stdout == b""
    assert (folder / "spark.parquet").read_bytes() == (folder / "duckdb.parquet").read_bytes()
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--spark-conf", "spark.driver.memory=lots"],
            "--spark-conf spark.driver.memory=lots: Spark does not start: Invalid maximum heap",
        ),
        (
            ["--master", "nowhere"],
            "--master nowhere: Spark does not start: Master must either be yarn or start with",
        ),
    ],
)
def test_what_spark_does_not_start_with_is_a_usage_error(folder, words, told):
    done = run(folder, *WORDS, "--engine", "spark", *words, "-o", "pairs.parquet")
    refused(done, 2, told)
    assert not (folder / "pairs.parquet").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--master", "local[2]"], "--master and --spark-conf go with --engine spark"),
        (["--spark-conf", "spark.x=1"], "--master and --spark-conf go with --engine spark"),
        (["--engine", "spark", "--spark-conf", "spark.x"], "'spark.x' is not KEY=VALUE"),
        (["--engine", "spark", "--spark-conf", "x=1"], "settings of Spark begin with spark."),
        (["--engine", "abacus"], "--engine must be one of duckdb, spark, got 'abacus'"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(folder, words, told):
    refused(run(folder, *WORDS, *words, "-o", "pairs.parquet"), 2, told)


def test_without_java_one_line_says_so(folder):
    pytest.importorskip("pyspark")
    env = {"PATH": str(folder), "JAVA_HOME": ""}
    done = run(folder, *WORDS, "--engine", "spark", "-o", "pairs.parquet", env=env)
    refused(done, 5, "--engine spark needs Java 17 or newer: no java on PATH and no JAVA_HOME")
