"""A seller's answer shows its own listings and aggregates over five sellers at least (DESIGN.md 5).

Every seller's id and every product that one seller alone lists is a word that appears nowhere else,
so each output and message can be searched for all of them.
"""

import itertools
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from cprtools import cli
from tests.cli.commands import ok, write

TREES = ("alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "yew")
SELLERS = [f"shop_{name}" for name in TREES]
COMMON = [f"P{i}" for i in range(40)]
OWN = {seller: f"only-{seller[5:]}" for seller in SELLERS}
WORD = re.compile(rb"[A-Za-z0-9_-]+")


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Eleven sellers; each lists common products and one that is its own, which is in no demand."""
    folder = tmp_path_factory.mktemp("isolation")
    rng = np.random.default_rng(0)
    listed = [
        (seller, product)
        for seller in SELLERS
        for product in [*rng.choice(COMMON, 12, replace=False).tolist(), OWN[seller]]
    ]
    sellers, products = (list(column) for column in zip(*listed, strict=True))
    write(folder / "listings.parquet", seller_id=sellers, product_id=products)
    ids = [*COMMON, *OWN.values()]
    write(folder / "products.parquet", product_id=ids, title=[f"Title {i}" for i in ids],
          category=[["Alpha", "Beta"][n % 2] for n in range(len(ids))])  # fmt: skip
    write(folder / "demand.parquet", product_id=COMMON)
    ok(folder, "build-graph", "--listings", "listings.parquet", "--products", "products.parquet",
       "--high-demand", "demand.parquet", "-o", "graph")  # fmt: skip
    ok(
        folder,
        "embed-text",
        "products.parquet",
        "--method",
        "doc2vec",
        "--dim",
        "8",
        "-o",
        "text.parquet",
    )
    for method in ("gnn", "item-knn", "popularity"):
        extra = ["--epochs", "1", "--num-layers", "1", "--networks", "1"] if method == "gnn" else []
        ok(folder, "train-linkpred", "graph", "--vectors", "text.parquet", "--method", method,
           *extra, "-o", f"{method}.model")  # fmt: skip
    return folder


@pytest.fixture
def answer(market, monkeypatch, capfdbinary):
    """Run `recommend` here, quicker than in a process of its own: code, what was said, file."""
    monkeypatch.chdir(market)

    def run(*words):
        every = [] if "--list-categories" in words else ["--category", "all"]
        code = cli._run(["recommend", *every, "--threshold", "0", *words, "-o", "answer"])
        said = capfdbinary.readouterr()
        return code, said.out + said.err, market / "answer"

    return run


def strangers(seller):
    """What only the other sellers' rows hold."""
    return {name.encode() for s in SELLERS if s != seller for name in (s, OWN[s])}


def told(text, seller):
    return set(WORD.findall(text)) & strangers(seller)


@pytest.mark.parametrize("method", ["gnn", "item-knn", "popularity"])
@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_no_form_of_an_answer_tells_of_another_seller(answer, method, form):
    asked = ["--model", f"{method}.model", "-k", "99", "--format", form]
    for seller, more in itertools.product(
        SELLERS[:2], (["--with", "title"], ["--list-categories"])
    ):
        code, said, file = answer(*asked, "--seller", seller, *more)
        assert code == 0, said
        said += everything(file) if form == "parquet" else file.read_bytes()
        assert b"Alpha" in said
        assert not told(said, seller)


def everything(file):
    """Rows and footer as text: the pages themselves are packed."""
    table = pq.read_table(file)
    return f"{table.to_pylist()} {table.schema.metadata}".encode()


def test_the_search_for_other_sellers_would_find_one(market):
    said = everything(market / "listings.parquet")
    assert told(said, SELLERS[0]) == strangers(SELLERS[0])


def test_partition_files_hold_one_seller_each_in_rows_and_footers(answer, market):
    (market / "answer").unlink(missing_ok=True)
    code, said, folder = answer("--model", "gnn.model", "--all", "--partition-by", "seller_id")
    assert code == 0, said
    assert [file.stem for file in sorted(folder.iterdir())] == sorted(SELLERS)
    for file in folder.iterdir():
        assert not told(everything(file), file.stem)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "words",
    [
        ["--seller", "shop_alde"],
        ["--seller", "shop_alder", "--category", "only-birch"],
        ["--seller", "shop_alder", "--with", "seller_id"],
        ["--seller", "shop_alder", "--search", "hnsw"],
        ["--queries", "some.parquet"],
        ["--queries", "none.parquet"],
    ],
)
def test_no_message_names_another_seller_or_what_it_lists(answer, market, words):
    write(market / "some.parquet", seller_id=["shop_alder", "shop_birc"])
    write(market / "none.parquet", seller_id=["shop_birc"])
    code, said, _ = answer("--model", "gnn.model", *words)

    assert (code != 0, b"cprtools: error: " in said) == (True, True)
    assert not told(said, "shop_alder") - {word.encode() for word in words}


def test_numbers_in_reasons_are_of_five_sellers_at_least(answer, market):
    listings = pq.read_table(market / "listings.parquet").to_pylist()
    count = {p: sum(row["product_id"] == p for row in listings) for p in COMMON}
    numbers = []
    for method in ("gnn", "item-knn", "popularity"):
        _, _, file = answer("--model", f"{method}.model", "--all", "-k", "99")
        for row in pq.read_table(file).to_pylist():
            found = [int(n) for n in re.findall(r"(\d+) sellers", row["reason"])]
            assert all(n >= 5 for n in found), row
            assert all(n <= count[row["product_id"]] for n in found)
            numbers += found
    # neither side is empty: some products have few sellers, some many
    assert numbers
    assert min(count.values()) < 5
