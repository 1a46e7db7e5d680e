"""`recommend --with`: columns of the products beside what an answer holds."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import fails, ok, write


def test_with_adds_columns_of_the_products(home):
    asked = ("--product", "A1", "--with", "title,price", "--format", "json")
    row = json.loads(ok(home, "recommend", *asked).splitlines()[0])
    assert row["title"] == f"Title of {row['product_id']}"
    assert row["price"] > 0


@pytest.mark.parametrize(
    ("words", "held"),
    [
        (("--product", "A1"), "product_id,product_type"),
        (("--seller", "S1", "--threshold", "0"), "product_id,category"),
    ],
)
def test_with_adds_no_column_twice(home, words, held):
    ok(home, "recommend", *words, "--with", f"{held},title,title", "-o", "with.parquet")
    ok(home, "recommend", *words, "-o", "plain.parquet")
    plain, more = (pq.read_table(home / f"{name}.parquet") for name in ("plain", "with"))
    assert more.column_names == [*plain.column_names, "title"]
    assert more.drop_columns(["title"]).equals(plain)


def test_with_refuses_a_products_column_by_a_name_that_answers_have(home):
    products = pq.read_table(home / "products.parquet")
    stars = pa.array(range(products.num_rows))
    write(home / "stars.parquet", product_id=products.column("product_id"), score=stars, rank=stars)
    ok(home, "train-cpr", "pairs.parquet", "--products", "stars.parquet", "--method", "popularity",
       "-o", "stars.model")  # fmt: skip
    asked = ("recommend", "--model", "stars.model", "--product", "A1", "--format", "json")
    assert "an answer has a column rank of its own" in fails(home, 2, *asked, "--with", "rank")


def test_text_formats_leave_out_numbers_that_are_none(home):
    products = pq.read_table(home / "products.parquet", columns=["product_id"])
    # as data frames write what is not known
    odd = [row % 2 for row in range(products.num_rows)]
    price = pa.array([float("nan") if each else 1.5 for each in odd])
    weight = pa.array([2.0 if each else float("inf") for each in odd])
    pq.write_table(
        products.append_column("price", price).append_column("weight", weight),
        home / "gaps.parquet",
    )
    ok(home, "train-cpr", "pairs.parquet", "--products", "gaps.parquet", "--method", "popularity",
       "-o", "gaps.model")  # fmt: skip
    asked = ("recommend", "--model", "gaps.model", "--product", "A1", "-k", "50")
    rows = [
        json.loads(line, parse_constant=pytest.fail)
        for line in ok(home, *asked, "--with", "price,weight", "--format", "json").splitlines()
    ]
    assert {(row["price"], row["weight"]) for row in rows} == {(1.5, None), (None, 2.0)}
    lines = ok(home, *asked, "--with", "price,weight", "--format", "csv").decode().splitlines()
    rows = list(csv.DictReader(lines))
    assert {(row["price"], row["weight"]) for row in rows} == {("1.5", ""), ("", "2.0")}
