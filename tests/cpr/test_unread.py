"""What is said of columns of the products that tell the model nothing."""

import pyarrow as pa
import pytest

from cprtools import tables
from cprtools.cpr.problem import build_problem
from cprtools.cpr.unread import unread_columns
from tests.cli.commands import planted_pairs, run, write

N = 60
IDS = [f"{kind}{i}" for kind in "ABC" for i in range(N)]
NUMBERS = [f"{i}.5" for i in range(3 * N)]


def said(**columns):
    table = pa.table({"product_id": IDS, **columns})
    built = build_problem(pa.table(planted_pairs(N)), table)
    return unread_columns(built.problem, built.catalogue.table)


def test_numbers_as_text_are_named():
    (text,) = said(weight=NUMBERS, volume=["", *NUMBERS[1:]], title=NUMBERS)
    assert text.startswith("columns of numbers as text tell the model nothing: weight, volume;")


@pytest.mark.parametrize(
    "column",
    [
        [float(x) for x in NUMBERS],
        # words of few values are an attribute, codes are no numbers
        [str(i % 5) for i in range(3 * N)],
        [f"0{i}" for i in range(3 * N)],
        [f"{i} g" for i in range(3 * N)],
        ["7", *[None] * (3 * N - 1)],
        ["", *[None] * (3 * N - 1)],
    ],
)
def test_what_is_read_or_is_no_number_is_not_named(column):
    assert said(weight=column) == []


def test_prices_none_of_which_is_one_are_told():
    nothing = pa.nulls(3 * N, pa.float64())
    (text,) = said(price=nothing)
    assert text.startswith("none of 180 prices reads as a number above 0")
    assert said(price=pa.array([9.5, *[None] * (3 * N - 1)], pa.float64())) == []


def test_a_few_products_say_nothing():
    few = pa.table({"product_id": IDS[:19], "weight": NUMBERS[:19]})
    built = build_problem(pa.table(planted_pairs(N)), pa.table({"product_id": IDS}))
    assert unread_columns(built.problem, few) == []


def test_the_command_warns_of_a_csv_whose_parquet_is_read(tmp_path):
    write(tmp_path / "pairs.parquet", **planted_pairs(N))
    rows = [f"{name},{n} to {n},{n}" for name, n in zip(IDS, NUMBERS, strict=True)]
    (tmp_path / "p.csv").write_text("\n".join(["product_id,price,weight", *rows]))
    words = ["train-cpr", "pairs.parquet", "--method", "popularity", "-o", "m", "-q", "--products"]
    told = run(tmp_path, *words, "p.csv").stderr.decode().splitlines()

    assert [line.split(": ")[2] for line in told] == ["p.csv", "p.csv"]
    assert "none of 180 prices" in told[0]
    assert "nothing: weight;" in told[1]
    write(tmp_path / "p.parquet", product_id=IDS, price=NUMBERS, weight=[float(n) for n in NUMBERS])
    assert run(tmp_path, *words, "p.parquet").stderr == b""
    assert tables.read_footer(str(tmp_path / "m" / "products.parquet"))
