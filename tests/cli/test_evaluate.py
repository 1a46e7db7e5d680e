"""cprtools evaluate as a user runs it."""

import json
import os
import pty
import subprocess
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from tests import forking

COMMAND = [sys.executable, "-m", "cprtools", "evaluate"]


def run(*words, cwd=None, **options):
    options.setdefault("text", True)
    return forking.run(["evaluate", *words], cwd, **options)


@pytest.fixture
def market(tmp_path):
    """x->a is found at 1 by good and at 2 by bad; y->b likewise; one seller list."""

    def write(name, **columns):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")

    queries = [f"q{i}" for i in range(30) for _ in range(2)]
    for name, products in (("good", ["a", "b"]), ("bad", ["b", "a"])):
        write(
            name,
            query_id=queries,
            rank=[1, 2] * 30,
            product_id=products * 30,
            score=[0.9, 0.1] * 30,
        )
    write("truth", query_id=queries[::2], candidate_id=["a"] * 30, co_purchase=[2] * 30)
    write("train", query_id=["a"], candidate_id=["q0"], co_purchase=[1])
    write("products", product_id=["a", "b", *queries[::2]], product_type=["t"] * 32)
    write(
        "sellers",
        seller_id=["s", "s"],
        rank=[1, 2],
        product_id=["a", "b"],
        affinity=[0.9, 0.4],
    )
    write("listings", seller_id=["s", "s"], product_id=["a", "c"])
    return tmp_path


def rows(path):
    table = pq.read_table(path)
    return {(r["method"], r["metric"], r["k"], r["segment"]): r for r in table.to_pylist()}


def test_help_has_an_example_and_loads_nothing_heavy():
    done = run("--help")

    assert done.returncode == 0
    assert "cprtools evaluate recs.parquet --truth test.parquet" in done.stdout
    assert "--against" in done.stdout


def test_file_to_file_writes_sorted_metrics_with_a_footer(market):
    words = ["good.parquet", "--truth", "truth.parquet", "--train", "train.parquet"]
    words += ["--products", "products.parquet", "-o", "metrics.parquet"]
    done = run(*words, cwd=market)

    assert done.returncode == 0, done.stderr
    found = rows(market / "metrics.parquet")
    assert found["good", "Hit", 1, "all"]["value"] == 1
    assert found["good", "Coverage", 10, "all"]["value"] == pytest.approx(2 / 32)
    assert ("good", "Hit", 3, "queries without co-purchases") in found
    assert list(found) == sorted(found)
    metadata = pq.read_schema(market / "metrics.parquet").metadata
    assert metadata[b"cprtools.command"] == b"evaluate"
    assert len(json.loads(metadata[b"cprtools.inputs"])) == 4


def test_a_second_method_is_compared_in_rows_and_in_words(market):
    words = ["good.parquet", "--against", "bad.parquet", "--truth", "truth.parquet"]
    done = run(*words, "-o", "m.parquet", "--method", "gnn", "--k", "1,2", cwd=market)

    assert done.returncode == 0, done.stderr
    assert "gnn beats bad on Hit@1 by 1.000 [1.000, 1.000]" in done.stderr
    assert "no clear difference between gnn and bad on Hit@2" in done.stderr
    assert rows(market / "m.parquet")["gnn - bad", "Hit", 1, "all"]["value"] == 1


def test_the_same_method_twice_gets_two_names(market):
    words = ["good.parquet", "--against", "good.parquet", "--truth", "truth.parquet"]
    done = run(*words, "-o", "m.parquet", cwd=market)

    assert done.returncode == 0, done.stderr
    assert {key[0] for key in rows(market / "m.parquet")} == {
        "good",
        "good (2)",
        "good - good (2)",
    }


def test_the_footer_names_the_method(market):
    table = pq.read_table(market / "good.parquet")
    named = table.replace_schema_metadata({"cprtools.params": '{"method": "triplet"}'})
    pq.write_table(named, market / "good.parquet")

    assert run("good.parquet", "--truth", "truth.parquet", "-o", "m.parquet", cwd=market)
    assert {key[0] for key in rows(market / "m.parquet")} == {"triplet"}


def test_sellers_are_recognised_by_their_column(market):
    words = ["sellers.parquet", "--truth", "listings.parquet", "-o", "m.parquet"]
    done = run(*words, "--report", "report.html", cwd=market)

    assert done.returncode == 0, done.stderr
    found = rows(market / "m.parquet")
    assert found["sellers", "Recall", 100, "all"]["value"] == pytest.approx(1 / 2)
    assert "no list is longer than 2" in done.stderr
    page = (market / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "listings.parquet" in page
    assert str(market) not in page


def test_a_model_supplies_the_catalogue_and_what_is_in_high_demand(market):
    products = pa.table(
        {
            "product_id": list("abcd"),
            "category": list("kkll"),
            "is_high_demand": [True, True, True, None],
        }
    )
    tables.write_folder({"products": products}, str(market / "m"), "sellers", tables.Footer())
    words = ["sellers.parquet", "--truth", "listings.parquet", "--model", "m", "-k", "2"]
    done = run(*words, "-o", "m.parquet", cwd=market)
    wrong = run("good.parquet", "--truth", "truth.parquet", "--model", "m", "-o", "x", cwd=market)

    assert done.returncode == 0, done.stderr
    found = rows(market / "m.parquet")
    assert found["sellers", "Coverage", 2, "all"]["value"] == pytest.approx(2 / 3)
    assert found["sellers", "Recall", 2, "category=k"]["value"] == 1
    assert wrong.returncode == 3
    assert "holds a sellers model; expected a complements model" in wrong.stderr


def test_a_pipe_in_and_a_pipe_out_give_the_bytes_of_files(market):
    words = ["--truth", "truth.parquet", "--method", "m"]
    piped = subprocess.run(
        f"cat good.parquet | {' '.join([*COMMAND, '-', *words])} | cat > piped.parquet",
        shell=True, cwd=market, check=True, capture_output=True,
    )  # fmt: skip
    done = run("good.parquet", *words, "-o", "file.parquet", cwd=market)

    assert done.returncode == 0, piped.stderr
    assert pq.read_table(market / "piped.parquet").equals(pq.read_table(market / "file.parquet"))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_closed_pipe_ends_quietly_with_141(market, form):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "good.parquet", "--truth", "truth.parquet", "--quiet", "--format", form],
        cwd=market, stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, "")


def test_on_a_terminal_a_table_is_shown(market):
    reader, writer = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "good.parquet", "--truth", "truth.parquet", "-k", "1"],
        cwd=market, stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    shown = os.read(reader, 1 << 16).decode()
    os.close(reader)

    assert done.returncode == 0, done.stderr
    assert shown.splitlines()[0].split()[:4] == ["method", "metric", "segment", "value"]
    assert "Hit@1" in shown


def test_a_text_form_goes_to_a_file_and_a_pipe_alike(market):
    words = ["good.parquet", "--truth", "truth.parquet", "--format", "json"]
    piped = run(*words, cwd=market)
    done = run(*words, "-o", "m.json", cwd=market)

    assert piped.returncode == done.returncode == 0
    assert (market / "m.json").read_text() == piped.stdout
    assert json.loads(piped.stdout.splitlines()[0])["method"] == "good"


def test_the_same_bytes_at_any_number_of_threads(market):
    for threads, more in (("1", {}), ("2", forking.OTHER_HASHES)):
        words = ["good.parquet", "--against", "bad.parquet", "--truth", "truth.parquet"]
        words += ["--threads", threads, "-o", f"{threads}.parquet"]
        run(*words, cwd=market, env={**os.environ, **more})

    assert (market / "1.parquet").read_bytes() == (market / "2.parquet").read_bytes()


def test_other_column_names_are_mapped(market):
    table = pq.read_table(market / "truth.parquet").rename_columns(["of", "with", "times"])
    pq.write_table(table, market / "truth.parquet")

    mapping = "query_id=of,candidate_id=with,co_purchase=times"
    words = ["good.parquet", "--truth", "truth.parquet", "--columns", mapping, "-o", "m.parquet"]
    done = run(*words, cwd=market)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["none.parquet", "--truth", "truth.parquet"], 4, "none.parquet: no such file"),
        (["good.parquet", "--truth", "none.parquet"], 4, "none.parquet: no such file"),
        (["truth.parquet"], 2, "Missing option '--truth'"),
        (["products.parquet", "--truth", "truth.parquet"], 3, "neither 'query_id' nor 'seller_id'"),
        (["good.parquet", "--truth", "listings.parquet"], 3,
         "no columns 'query_id', 'candidate_id'"),
        (["sellers.parquet", "--truth", "truth.parquet"], 3,
         "no columns 'seller_id', 'product_id'"),
        (["empty.parquet", "--truth", "truth.parquet", "--against", "sellers.parquet"], 3,
         "no column 'query_id'"),
        (["good.parquet", "--truth", "nothing.parquet"], 3, "no held-out pair is left"),
        (["twice.parquet", "--truth", "truth.parquet"], 3, "holds 'a' twice"),
        (["good.parquet", "--truth", "truth.parquet", "--k", "0"], 2, "--k must be numbers"),
        (["good.parquet", "--truth", "truth.parquet", "--format", "xml"], 2, "--format must be"),
        (["good.parquet", "--truth", "truth.parquet", "--sellers", "listings.parquet"], 2,
         "for recommendations to sellers"),
        (["sellers.parquet", "--truth", "listings.parquet", "--keep-train"], 2,
         "--keep-train is for complements"),
        (["good.parquet", "--truth", "truth.parquet", "--report", "no/r.html"], 4,
         "does not exist"),
        (["-", "--truth", "-"], 2, "only one input"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_their_code(market, words, code, message):
    good, truth = (pq.read_table(market / f"{name}.parquet") for name in ("good", "truth"))
    pq.write_table(good.slice(0, 0), market / "empty.parquet")
    pq.write_table(truth.slice(0, 0), market / "nothing.parquet")
    again = good.slice(0, 1).set_column(1, "rank", pa.array([7]))
    pq.write_table(pa.concat_tables([good, again]), market / "twice.parquet")
    before = sorted(market.iterdir())
    with (market / "good.parquet").open("rb") as stdin:
        done = run(*words, "-o", "m.parquet", cwd=market, stdin=stdin)

    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("cprtools: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(market.iterdir()) == before


def test_an_empty_list_of_recommendations_is_all_misses(market):
    good = pq.read_table(market / "good.parquet")
    pq.write_table(good.slice(0, 0), market / "empty.parquet")
    done = run("empty.parquet", "--truth", "truth.parquet", "-o", "m.parquet", cwd=market)

    assert done.returncode == 0, done.stderr
    assert rows(market / "m.parquet")["empty", "Hit", 10, "all"]["value"] == 0
    assert "30 of 30 queries have no list" in done.stderr
    assert "are there no lists, or have they other ids than the truth?" in done.stderr
    assert "no list is longer" not in done.stderr


def test_what_holds_for_all_recommendations_is_told_once(market):
    words = ["--truth", "truth.parquet", "-o", "m.parquet", "-k", "1,90"]
    good = pq.read_table(market / "good.parquet")
    pq.write_table(good.filter(pc.equal(good["rank"], 1)), market / "short.parquet")
    lines = run("good.parquet", "short.parquet", *words, cwd=market).stderr.splitlines()
    (alone,) = [
        line
        for line in run("short.parquet", *words, cwd=market).stderr.splitlines()
        if "Hit@90 sees" in line
    ]

    told = [line.split("cprtools: ")[1] for line in lines if "Hit@90 sees" in line]
    assert [text.split(":")[0] for text in told] == ["good", "short"]
    assert alone.split("cprtools: ")[1] == told[1]
    lines = run("good.parquet", "good.parquet", *words, cwd=market).stderr.splitlines()
    (told,) = [line for line in lines if "Hit@90 sees" in line]
    assert told.startswith("cprtools: all: no list is longer than")


def test_a_cut_off_beyond_the_lists_is_told(market):
    longest = max(pq.read_table(market / "good.parquet").column("rank").to_pylist())
    words = ["good.parquet", "--truth", "truth.parquet", "-o", "m.parquet", "-k"]
    told = f"no list is longer than {longest}: Hit@{longest + 40} sees no more than that"

    assert told in run(*words, f"1,{longest + 40}", cwd=market).stderr
    assert "no list is longer" not in run(*words, f"1,{longest}", cwd=market).stderr


def test_several_recommendations_are_one_leaderboard_with_the_best_first(market):
    words = ["bad.parquet", "good.parquet", "--truth", "truth.parquet", "--format", "table"]
    done = run(*words, "--bootstrap", 50, "--k", "1", cwd=market)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["method", "Hit@1"]
    assert lines[1].startswith("good    1.0000 [1.0000, 1.0000]")
    assert lines[2].startswith("bad     0.0000 [0.0000, 0.0000]")
    assert lines[3] == ""
    assert "bad does NOT beat good on Hit@1" in done.stderr


def test_a_report_is_written_and_a_segment_may_be_any_column(market):
    words = ["good.parquet", "bad.parquet", "--truth", "truth.parquet", "--report", "r.html"]
    words += ["--products", "products.parquet", "--segment", "product_type", "-o", "m.parquet"]
    done = run(*words, "--bootstrap", 50, cwd=market)

    assert done.returncode == 0, done.stderr
    page = (market / "r.html").read_text()
    assert "Example" in page
    assert "truth.parquet" in page
    assert ("good", "Hit", 1, "product_type=t") in rows(market / "m.parquet")


def test_lists_that_are_broken_are_told_by_their_file(market):
    broken = pa.table({"query_id": ["q0"] * 2, "rank": [1, 1], "product_id": ["a", "b"]})
    pq.write_table(broken, market / "broken.parquet")

    done = run("good.parquet", "broken.parquet", "--truth", "truth.parquet", cwd=market)

    assert done.returncode == 3
    assert "error: broken.parquet: the list of 'q0' has rank 1 twice" in done.stderr


def test_a_report_and_the_metrics_do_not_share_standard_output(market):
    words = ("good.parquet", "--truth", "truth.parquet", "--report", "-")
    done = run(*words, "--format", "csv", cwd=market)

    assert (done.returncode, done.stdout) == (2, "")
    assert "--report - and the metrics both go to standard output; use -o FILE" in done.stderr
    alone = run(*words, "--bootstrap", 0, "-o", "m.csv", cwd=market)
    assert alone.returncode == 0
    assert alone.stdout.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_report_does_not_take_its_place_where_the_metrics_find_none(market, form):
    (market / "r.html").write_text("old")
    words = ("good.parquet", "--truth", "truth.parquet", "--format", form, "--bootstrap", 0)
    done = run(*words, "-o", "/dev/full", "--report", "r.html", cwd=market)

    assert done.returncode == 4
    assert "/dev/full: no space left on device" in done.stderr
    assert (market / "r.html").read_text() == "old"
