"""cprtools split, run as users run it."""

import io
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.errors import DataError
from tests import forking
from tests.cli.commands import refused


def run(*words, cwd, **options):
    return forking.run(["split", *words], cwd, **options)


TO_FILES = ("-o", "train.parquet", "--test-out", "test.parquet")


@pytest.fixture
def place(tmp_path):
    """Ten listings of s and four of t, with times an hour apart."""
    start = datetime(2024, 5, 1)
    table = pa.table(
        {
            "seller_id": ["s"] * 10 + ["t"] * 4,
            "product_id": [f"p{i}" for i in range(14)],
            "when": [start + timedelta(hours=i) for i in range(14)],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    return tmp_path


def parts(folder):
    return [pq.read_table(folder / name) for name in ("train.parquet", "test.parquet")]


def test_listings_of_one_product_go_together_whatever_its_column_is_called(place):
    table = pa.table({"shop": ["s"] * 30, "sku": [f"p{i % 10}" for i in range(30)], "n": range(30)})
    pq.write_table(table, place / "t.parquet")

    named = ("--columns", "seller_id=shop,product_id=sku")
    assert run("t.parquet", *TO_FILES, "--by", "seller_id", *named, cwd=place).returncode == 0

    train, test = (set(part["sku"].to_pylist()) for part in parts(place))
    # floor(10/5) products of three rows each
    assert (len(train), len(test), train & test) == (8, 2, set())
    assert parts(place)[1].num_rows == 6


def test_a_mapping_to_a_column_that_is_not_there_does_not_divide_a_product(place):
    offers = {"seller_id": ["s"] * 30, "product_id": [f"p{i % 10}" for i in range(30)]}
    pq.write_table(pa.table({**offers, "n": range(30)}), place / "t.parquet")
    mapped = ("--columns", "seller_id=shop,product_id=sku")

    done = run("t.parquet", *TO_FILES, "--by", "seller_id", *mapped, cwd=place)

    assert done.returncode == 0, done.stderr
    train, test = (set(part["product_id"].to_pylist()) for part in parts(place))
    assert (len(train), len(test), train & test) == (8, 2, set())
    for ours, theirs in (("seller_id", "shop"), ("product_id", "sku")):
        warned = f"--columns {ours}={theirs}: no input has a column '{theirs}'; {ours} is read"
        assert warned in done.stderr.decode()


def test_a_mapping_that_is_a_typo_is_told(place):
    by_seller = (*TO_FILES, "--by", "seller_id")
    refused(
        run("t.parquet", *by_seller, "--columns", "prodct_id=sku", cwd=place),
        2, "no table of ours has a column 'prodct_id'; the nearest is product_id",
    )  # fmt: skip
    table = pq.read_table(place / "t.parquet").rename_columns(["seller_id", "sku", "when"])
    pq.write_table(table, place / "t.parquet")

    done = run("t.parquet", *by_seller, "--columns", "product_id=SKU", cwd=place)

    assert "--columns product_id=SKU: no such column" in done.stderr.decode()
    # names for the tables of other commands are passed over
    done = run("t.parquet", *by_seller, "--columns", "product_id=sku,views=hits", cwd=place)
    assert (done.returncode, b"warning" in done.stderr) == (0, False)


def test_a_share_of_each_group_goes_to_the_test_file(place):
    done = run("t.parquet", *TO_FILES, "--by", "seller_id", cwd=place)

    assert done.returncode == 0, done.stderr
    train, test = parts(place)
    # floor(10/5) of s; t has fewer than --min-rows 5
    assert test["seller_id"].to_pylist() == ["s", "s"]
    assert train.num_rows == 12
    assert done.stderr.decode() == "split\n  training rows  12\n  test rows      2\n"
    assert sorted(path.name for path in place.iterdir()) == [
        "t.parquet", "test.parquet", "train.parquet",
    ]  # fmt: skip
    footers = [table.schema.metadata for table in (train, test)]
    assert [json.loads(f[b"cprtools.params"])["part"] for f in footers] == ["training", "test"]
    assert json.loads(footers[0][b"cprtools.inputs"])[0]["rows"] == 14


def test_the_same_seed_gives_the_same_bytes_and_another_other_rows(place):
    written = []
    for seed, more in ((0, {}), (0, forking.OTHER_HASHES), (1, {})):
        words = (*TO_FILES, "--cold", "product_id", "--seed", seed)
        run("t.parquet", *words, cwd=place, env={**os.environ, **more})
        written.append([(place / name).read_bytes() for name in ("train.parquet", "test.parquet")])
    assert written[0] == written[1]

    assert parts(place)[1].to_pylist() != pq.read_table(io.BytesIO(written[0][1])).to_pylist()


def test_a_split_by_time_uses_the_column_that_was_named(place):
    run("t.parquet", *TO_FILES, "--at", "2024-05-01T10:00", "--columns", "ts=when", cwd=place)

    train, test = parts(place)
    assert (train.num_rows, test.num_rows) == (10, 4)
    assert test.schema.names == ["seller_id", "product_id", "when"]


def test_rows_without_a_time_and_an_empty_part_are_warned_of(tmp_path):
    table = pa.table({"ts": pa.array([None, datetime(2024, 5, 1)], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "t.parquet")

    done = run("t.parquet", *TO_FILES, "--at", "2025-01-01", "--quiet", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stderr.decode().splitlines() == [
        "cprtools: warning: t.parquet: 1 rows have no ts; they stay in training",
        "cprtools: warning: t.parquet: no row is left for the test table",
    ]
    assert [table.num_rows for table in parts(tmp_path)] == [2, 0]


def test_a_pair_split_reads_and_writes_pipes(tmp_path):
    table = pa.table({"query_id": list("abcd"), "candidate_id": list("badc")})
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)

    done = run(
        "-", "--test-out", "test.parquet", "--pair", "query_id,candidate_id", "--fraction", "0.5",
        cwd=tmp_path, input=stream.getvalue(),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    train = pq.read_table(io.BytesIO(done.stdout))
    test = pq.read_table(tmp_path / "test.parquet")
    # two unordered pairs, {a,b} and {c,d}: one each
    assert (train.num_rows, test.num_rows) == (2, 2)
    assert not set(train["query_id"].to_pylist()) & set(test["query_id"].to_pylist())


def test_a_closed_pipe_is_quiet_and_leaves_no_file(tmp_path):
    # more than a pipe holds, so that the writer meets the closed end
    rows = 200_000
    table = pa.table({"g": ["a"] * rows, "n": [i * 2654435761 % 2**32 for i in range(rows)]})
    pq.write_table(table, tmp_path / "t.parquet")
    line = (
        f"{sys.executable} -m cprtools split t.parquet --test-out test.parquet --by g -q "
        "| head -c 1 >/dev/null; echo ${PIPESTATUS[0]}"
    )

    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, check=True)

    assert (done.stdout, done.stderr) == (b"141\n", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_folder_of_files_is_one_table(place):
    (place / "many").mkdir()
    table = pq.read_table(place / "t.parquet")
    pq.write_table(table.slice(7), place / "many" / "b.parquet")
    pq.write_table(table.slice(0, 7), place / "many" / "a.parquet")

    run("t.parquet", *TO_FILES, "--by", "seller_id", cwd=place)
    one = parts(place)[1]
    run("many", *TO_FILES, "--by", "seller_id", cwd=place)

    assert parts(place)[1].to_pylist() == one.to_pylist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "exactly one of --at, --by, --pair, --cold; got none"),
        (("--by", "seller_id", "--fraction", "1"), "--fraction must lie between 0 and 1, got 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(place, words, message):
    refused(run("t.parquet", *TO_FILES, *words, cwd=place), 2, message)
    assert [path.name for path in place.iterdir()] == ["t.parquet"]


def test_outputs_must_be_two_places(place):
    both = ("-o", "-", "--test-out", "-")
    same = ("-o", "a.parquet", "--test-out", "./a.parquet")

    refused(run("t.parquet", *both, "--by", "seller_id", cwd=place), 2, "two outputs go to '-'")
    refused(run("t.parquet", *same, "--by", "seller_id", cwd=place), 2, "two outputs go to")
    refused(run("t.parquet", "--by", "seller_id", cwd=place), 2, "--test-out")


@pytest.mark.parametrize(
    ("table", "words", "code", "message"),
    [
        ("t.parquet", ("--by", "shop"), 3, "no column 'shop'; found seller_id, product_id, when"),
        ("none.parquet", ("--by", "seller_id"), 4, "none.parquet: no such file or folder"),
        ("empty", ("--by", "seller_id"), 4, "empty: the folder holds no tables"),
        ("rowless.parquet", ("--by", "a"), 3, "rowless.parquet: the table has no rows"),
    ],
)
def test_bad_tables_are_refused_in_one_line(place, table, words, code, message):
    (place / "empty").mkdir()
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), place / "rowless.parquet")

    refused(run(table, *TO_FILES, *words, cwd=place), code, message)
    assert not (place / "train.parquet").exists()


def test_a_second_place_that_cannot_be_written_leaves_the_first_alone(place):
    words = ("-o", "train.parquet", "--test-out", "no/test.parquet", "--by", "seller_id")

    refused(run("t.parquet", *words, cwd=place), 4, "no/test.parquet")
    assert [path.name for path in place.iterdir()] == ["t.parquet"]


def test_of_two_files_neither_is_replaced_when_one_cannot_be(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"as it was")
    (tmp_path / "test.parquet").mkdir()
    table = pa.table({"a": [1]})

    with pytest.raises(DataError, match="is a folder"):
        tables.write_all(
            [
                (table, str(tmp_path / "train.parquet"), tables.Footer()),
                (table, str(tmp_path / "test.parquet"), tables.Footer()),
            ]
        )

    assert (tmp_path / "train.parquet").read_bytes() == b"as it was"
    assert len(list(tmp_path.iterdir())) == 2
