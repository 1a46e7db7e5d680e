"""cprtools recommend: answers without rows."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import fails, ok, run, write


def test_an_empty_answer_names_only_the_options_that_would_help(home):
    write(home / "a1.parquet", product_id=["A1"])
    write(home / "not_a1.parquet", seller_id=["S1"], product_id=["A1"])
    words = ("recommend", "--seller", "S1", "--only", "a1.parquet", "--exclude", "not_a1.parquet",
             "--format", "table")  # fmt: skip
    for further, hint in (
        ((), "try --threshold 0 or --category all"),
        (("--category", "all"), "try --threshold 0"),
        (("--threshold", "0"), "try --category all"),
        (("--threshold", "0", "--category", "all"), "nothing is left to recommend"),
    ):
        said = ok(home, *words, *further).decode()
        assert said.splitlines()[-1] == f"no recommendation passes; {hint}"
    # a list of complements has neither option
    write(home / "pair.parquet", query_id=["A1"], candidate_id=["B1"])
    write(home / "one.parquet", product_id=["B1"])
    said = ok(home, "recommend", "--product", "A1", "--only", "one.parquet", "--exclude",
              "pair.parquet", "--format", "table").decode()  # fmt: skip
    assert said.splitlines()[-1] == "no recommendation passes; nothing is left to recommend"


def test_many_products_of_which_none_has_an_answer_give_a_table_without_rows(home):
    write(home / "asked.parquet", query_id=["A1", "A1"])
    write(home / "only_a1.parquet", product_id=["A1"])
    for further in ((), ("--no-rank",)):
        done = run(home, "recommend", "--queries", "asked.parquet", "--only", "only_a1.parquet",
                   *further, "-o", "none.parquet")  # fmt: skip
        assert done.returncode == 0
        assert pq.read_table(home / "none.parquet").num_rows == 0
        said = "cprtools: no recommendation passes; nothing is left to recommend"
        assert done.stderr.decode().splitlines() == [said]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_an_empty_answer_is_told_beside_a_form_that_says_nothing(home, form):
    write(home / "a1.parquet", product_id=["A1"])
    asked = ("recommend", "--seller", "S1", "--only", "a1.parquet", "--category", "Beta")
    done = run(home, *asked, "--format", form, "-o", f"empty.{form}")
    assert done.returncode == 0, done.stderr
    told = ["cprtools: no recommendation passes; try --threshold 0 or --category all"]
    assert done.stderr.decode().splitlines() == told
    assert run(home, *asked, "--format", form, "-o", f"empty.{form}", "-q").stderr == b""


def test_a_table_to_leave_out_that_fits_no_id_of_the_model_is_told_of(home):
    write(home / "other_ids.parquet", seller_id=["S1", "S2"], product_id=[1, 2])
    write(
        home / "nobody.parquet",
        seller_id=pa.array([], pa.string()),
        product_id=pa.array([], pa.string()),
    )
    write(home / "fits.parquet", seller_id=["S2", "gone"], product_id=["A1", "A1"])
    said = {
        name: run(home, "recommend", "--seller", "S1", "--exclude", f"{name}.parquet").stderr
        for name in ("other_ids", "nobody", "fits")
    }
    told = b"none of its 2 rows is of ids that the model knows; nothing is left out"
    assert told in said["other_ids"]
    assert b"nothing is left out" not in said["nobody"] + said["fits"]


def test_a_category_is_not_passed_over_where_no_product_has_one(home):
    ok(home, "build-graph", "--listings", "listings.parquet", "-o", "bare.graph")
    ok(home, "train-linkpred", "bare.graph", "--method", "popularity", "-o", "bare.model")
    asked = ("recommend", "--model", "bare.model", "--threshold", "0", "--format", "json")
    for who in (("--seller", "S1"), ("--all",)):
        rows = ok(home, *asked, *who)
        assert rows and rows == ok(home, *asked, *who, "--category", "all")
        told = "no category 'Beta' in this model; none of its products has one"
        assert told in fails(home, 3, *asked, *who, "--category", "Beta")


def test_what_to_leave_out_is_read_by_the_kind_of_the_model_alone(home):
    # a seller's id may be a product's, too
    write(home / "own.parquet", seller_id=["A1", "A1"], product_id=["B1", "B2"])
    write(home / "pairs_too.parquet", query_id=["S1"], candidate_id=["B1"])
    told = "a complements model leaves out pairs of query_id and candidate_id; found seller_id and"
    assert told in fails(home, 3, "recommend", "--product", "A1", "--exclude", "own.parquet")
    told = "a sellers model leaves out pairs of seller_id and product_id; found query_id and"
    assert told in fails(home, 3, "recommend", "--seller", "S1", "--exclude", "pairs_too.parquet")
    write(
        home / "both.parquet",
        query_id=["A1"], candidate_id=["C1"], seller_id=["A1"], product_id=["C2"],
    )  # fmt: skip
    asked = ("recommend", "--product", "A1", "-k", "500", "--types", "0", "--format", "csv")
    before, after = (
        {line.split(b",")[2] for line in ok(home, *asked, *more).splitlines()}
        for more in ((), ("--exclude", "both.parquet"))
    )
    assert before - after == {b"C1"}


def test_queries_without_a_single_id_are_told_as_such(home):
    write(home / "no_ids.parquet", seller_id=pa.array([None, None], pa.string()))
    said = fails(home, 3, "recommend", "--queries", "no_ids.parquet")
    assert "no_ids.parquet: none of its 2 rows has a seller_id" in said
