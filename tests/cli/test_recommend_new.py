"""cprtools recommend --products: products that the model never saw, as a user asks about them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import fails, ok, run, write

NEW = ["N1", "N2", "N3"]


def vector_column(rows, dim=8, seed=1):
    values = np.random.default_rng(seed).normal(size=rows * dim).astype(np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(values), dim)


@pytest.fixture(scope="module")
def shop(home, tmp_path_factory):
    """A folder with cpr.model/, the pairs, and the tables of three new products."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(home / "cpr.model", folder / "cpr.model")
    shutil.copytree(home / "seller.model", folder / "seller.model")
    for name in ("pairs", "products", "vectors", "listings"):
        shutil.copy(home / f"{name}.parquet", folder)
    write(
        folder / "new.parquet",
        product_id=[*NEW, "A1"],
        title=["Title of N1", None, "N3", "another A1"],
        category=["Alpha", "Beta", "Gamma", "Alpha"],
        product_type=["type A", "type B", "type Z", "type C"],
        price=[3.0, None, 2.0, 1.0],
        fresh=[1, 2, 3, 4],
    )
    write(folder / "newvec.parquet", product_id=["N1", "N3", "A1"], vector=vector_column(3))
    return folder


GIVEN = ("--products", "new.parquet", "--vectors", "newvec.parquet")


def rows_of(folder, *words):
    out = ok(folder, "recommend", *words, "--format", "json")
    return [json.loads(line) for line in out.decode().splitlines()]


@pytest.mark.parametrize("further", [(), ("--no-rank",), ("--types", "0")])
def test_a_new_product_gets_complements_of_its_type(shop, further):
    done = run(shop, "recommend", "--product", "N1", *GIVEN, *further, "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    said = done.stderr.decode().splitlines()
    line = "new.parquet: 3 products are new to the model; 1 others it knows already"
    assert said == [f"cprtools: {line}, and what training read of them stays"]
    rows = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [row["rank"] for row in rows] == list(range(1, 11))
    # type A is completed by type B
    assert rows[0]["product_type"] == "type B"
    assert all(row["product_id"] != "N1" and row["reason"] for row in rows)
    if not further:
        assert len({row["product_type"] for row in rows[:3]}) == 3


def test_all_asks_about_new_products_and_recommends_them(shop):
    words = ("--model", "cpr.model", "--all", "-k", "200", *GIVEN)
    ok(shop, "recommend", *words, "-o", "all.parquet")
    table = pq.read_table(shop / "all.parquet")
    queries = table.column("query_id").to_pylist()
    assert len(set(queries)) == 181 + 3
    assert {*NEW} <= {*table.column("product_id").to_pylist()}
    # 183 others for everyone: new ones among them
    assert all(queries.count(query) == 183 for query in ("A1", "N1", "NEW"))
    kinds = {row["product_id"]: row["product_type"] for row in table.to_pylist()}
    assert (kinds["N3"], kinds["A1"]) == ("type Z", "type A")
    inputs = json.loads(table.schema.metadata[b"cprtools.inputs"])
    assert [entry["name"] for entry in inputs] == ["cpr.model", "new.parquet", "newvec.parquet"]


def test_filters_know_new_products(shop):
    write(shop / "only.parquet", product_id=["N1", "N2", "B3"])
    asked = ("--product", "A1", *GIVEN, "--only", "only.parquet")
    assert {row["product_id"] for row in rows_of(shop, *asked)} == {"N1", "N2", "B3"}
    write(shop / "exclude.parquet", query_id=["A1", "N1"], candidate_id=["N2", "N3"])
    left = rows_of(shop, *asked, "--exclude", "exclude.parquet", "--with", "title,price")
    assert {row["product_id"]: row["title"] for row in left} == {
        "N1": "Title of N1",
        "B3": "Title of B3",
    }


def test_unknown_ids_are_reported_beside_new_ones(shop):
    write(shop / "queries.parquet", product_id=["N2", "nobody", "A3"])
    done = run(shop, "recommend", "--queries", "queries.parquet", *GIVEN, "-o", "some.parquet")
    assert done.returncode == 6
    assert "ids that the model does not know (1 of 3): nobody" in done.stderr.decode()
    assert {*pq.read_table(shop / "some.parquet").column("query_id").to_pylist()} == {"N2", "A3"}


def test_one_of_model_products_and_vectors_may_be_a_pipe(shop):
    expected = rows_of(shop, "--product", "N1", *GIVEN)
    piped = (shop / "new.parquet").read_bytes()
    words = ("recommend", "--product", "N1", "--vectors", "newvec.parquet", "--format", "json")
    found = ok(shop, *words, "--products", "-", stdin=piped)
    assert [json.loads(line) for line in found.decode().splitlines()] == expected
    said = fails(shop, 2, *words, "--products", "-", "--model", "-", stdin=piped)
    assert "only one input" in said

    model = ok(shop, "train-cpr", "pairs.parquet", "--products", "products.parquet",
               "--method", "type-popularity", "-o", "-")  # fmt: skip
    words = ("recommend", "--model", "-", "--product", "N1", "--products", "new.parquet")
    out = ok(shop, *words, "--format", "csv", stdin=model).decode().splitlines()
    assert len(out) == 11 and ",type B," in out[1]


@pytest.mark.parametrize(
    ("method", "given", "told"),
    [
        ("item-knn", GIVEN, "item-knn knows products by their pairs alone; new ones have none: "),
        ("blend", GIVEN[:2], "blend knows products by their pairs alone; new ones have none: "),
        ("text-knn", GIVEN[:2],
         "text-knn knows products by their vectors alone; without --vectors new ones have none: "),
    ],
)  # fmt: skip
def test_a_method_that_knows_nothing_of_new_products_says_so(shop, method, given, told):
    words = ("--vectors", "vectors.parquet", "--method", method, "-o", f"{method}.model")
    ok(shop, "train-cpr", "pairs.parquet", "--products", "products.parquet", *words)
    asked = ("--model", f"{method}.model", "--product", "N2", "--types", "0", "--format", "json")
    done = run(shop, "recommend", *asked, *given)
    assert done.returncode == 0, done.stderr.decode()
    warnings = [line for line in done.stderr.decode().splitlines() if "warning" in line]
    start = "cprtools: warning: new.parquet: "
    assert warnings == [f"{start}{told}they get the most popular products"]
    ok(shop, "train-cpr", "pairs.parquet", "--products", "products.parquet",
       "--method", "popularity", "-o", "popularity.model")  # fmt: skip
    asked = ("--product", "N2", *given[:2], "--types", "0", "--model", "popularity.model")
    popular = [row["product_id"] for row in rows_of(shop, *asked)]
    assert [json.loads(line)["product_id"] for line in done.stdout.splitlines()] == popular


@pytest.mark.parametrize("method", ["type-counts", "type-popularity"])
def test_a_method_that_knows_types_alone_asks_for_vectors_where_types_are_their_clusters(
    shop, method
):
    write(shop / "plain.parquet", product_id=pq.read_table(shop / "products.parquet")["product_id"])
    told = {
        "products": [],
        "plain": [
            f"cprtools: warning: new.parquet: {method} knows products by their types alone, and "
            "these are clusters of the vectors; without --vectors new ones have none"
        ],
    }
    for name, expected in told.items():
        ok(shop, "train-cpr", "pairs.parquet", "--products", f"{name}.parquet", "--vectors",
           "vectors.parquet", "--method", method, "-o", f"{name}.model")  # fmt: skip
        asked = ("recommend", "--model", f"{name}.model", "--product", "N1", "--products")
        done = run(shop, *asked, "new.parquet", "--format", "json")
        warnings = [line for line in done.stderr.decode().splitlines() if "warning" in line]
        assert (done.returncode, warnings) == (0, expected)


def test_products_as_text_and_under_other_names_are_read(shop):
    (shop / "new.csv").write_text("sku,product_type,price\nN9,type A,$3.50\n")
    asked = ("--product", "N9", "--products", "new.csv", "--columns", "product_id=sku")
    done = run(shop, "recommend", *asked, "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    assert "new products go by their attributes alone" in done.stderr.decode()
    assert json.loads(done.stdout.decode().splitlines()[0])["product_type"] == "type B"


def test_a_table_without_a_new_product_is_a_warning_and_changes_nothing(shop):
    write(shop / "old.parquet", product_id=["A1"], title=["another"])
    plain = ok(shop, "recommend", "--product", "A2", "--format", "csv")
    done = run(shop, "recommend", "--product", "A2", "--products", "old.parquet", "--format", "csv")
    assert done.stdout == plain
    told = b"the model knows all of its products already, and what training read of them stays"
    assert b"warning: old.parquet: " + told in done.stderr


def test_answering_about_new_products_needs_no_torch(shop):
    code = (
        "import sys; from cprtools.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print({'torch', 'implicit', 'sklearn'} & set(sys.modules), file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "recommend", "--product", "N1", *GIVEN, "--quiet"]
    done = subprocess.run(words, cwd=shop, capture_output=True, check=True)
    assert done.stderr.decode().splitlines() == ["set()"]


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ("--product", "A1", "--vectors", "newvec.parquet"), "with --products"),
        (2, ("--all", "--model", "cpr.model", "--vectors", "newvec.parquet"), "with --products"),
        (3, ("--seller", "S1", "--vectors", "short.parquet"),
         "vectors of length 3; the model was trained on length 8"),
        (3, ("--seller", "S1", "--vectors", "newvec.parquet", "--only", "strange.parquet"),
         "none of its 1 products is in the model"),
        (3, ("--product", "N7", *GIVEN), "did you mean N"),
        (3, ("--product", "N1", "--products", "pairs.parquet"), "no column 'product_id'"),
        (3, ("--product", "N1", "--products", "twice.parquet"), "differ in 'title'"),
        (3, ("--product", "N1", "--products", "null.parquet"), "rows have no product_id"),
        (3, ("--product", "N1", "--products", "none.parquet"), "has no rows"),
        (4, ("--product", "N1", "--products", "nothing.parquet"), "no such file"),
        (3, ("--product", "N1", "--products", "new.parquet", "--vectors", "short.parquet"),
         "vectors of length 3; the model was trained on length 8"),
        (3, ("--product", "N1", *GIVEN, "--vectors", "newvec.parquet"), "trained on 1 tables"),
        (3, ("--product", "N1", "--products", "new.parquet", "--vectors", "old_only.parquet"),
         "none of its 1 product ids"),
        (3, ("--product", "N1", *GIVEN, "--with", "fresh"), "no product column 'fresh'"),
    ],
)  # fmt: skip
def test_bad_new_products_get_one_line_and_their_code(shop, code, words, said):
    write(shop / "twice.parquet", product_id=["N1", "N1"], title=["one", "two"])
    write(shop / "null.parquet", product_id=["N1", None])
    write(shop / "none.parquet", product_id=pa.array([], pa.string()))
    write(shop / "short.parquet", product_id=["N1"], vector=vector_column(1, 3))
    write(shop / "old_only.parquet", product_id=["A1"], vector=vector_column(1))
    write(shop / "strange.parquet", product_id=["N2"])
    assert said in fails(shop, code, "recommend", *words)


@pytest.mark.parametrize("given", [GIVEN, GIVEN[2:]])
def test_a_new_quarters_list_is_answered_for_a_seller_without_training(shop, given):
    write(shop / "quarter.parquet", product_id=["N1", "N3", "A1", "B5"])
    asked = ("--seller", "S1", "--only", "quarter.parquet", *given, "--threshold", "0")
    rows = rows_of(shop, *asked, "--category", "all")
    own = {
        row["product_id"]
        for row in pq.read_table(shop / "listings.parquet").to_pylist()
        if row["seller_id"] == "S1"
    }
    assert {row["product_id"] for row in rows} == {"N1", "N3", "A1", "B5"} - own
    assert all(0 < row["affinity"] < 1 and row["reason"] for row in rows)
    titles = {row["product_id"]: row["title"] for row in rows_of(
        shop, *asked, "--category", "all", "--with", "title"
    )}  # fmt: skip
    assert titles["N1"] == ("Title of N1" if given == GIVEN else None)
    # the default is the seller's primary category, and what names none
    kinds = {row["category"] for row in rows_of(shop, *asked)}
    assert len(kinds - {None}) <= 1 and (None in kinds) == (given != GIVEN)


def test_new_products_of_a_seller_model_without_their_table_are_warned_of(shop):
    words = ("recommend", "--seller", "S2", "--threshold", "0", "--format", "json")
    line = (
        "newvec.parquet: without --products the 2 new products have no title or category, and "
        "their affinities are low; name their table with --products"
    )
    for given, warns in ((GIVEN[2:], True), (GIVEN, False)):
        said = run(shop, *words, *given).stderr.decode()
        assert (f"cprtools: warning: {line}" in said.splitlines()) == warns


def test_a_list_that_names_strangers_says_how_many(shop):
    write(shop / "half.parquet", product_id=["A1", "B5", "N1", "N2"])
    done = run(shop, "recommend", "--seller", "S1", "--only", "half.parquet", "--format", "csv")
    assert done.returncode == 0
    assert b"half.parquet: 2 of its 4 products are unknown to the model" in done.stderr
    every = run(shop, "recommend", "--all", "--model", "seller.model", *GIVEN, "--only",
                "half.parquet", "--threshold", "0", "-o", "new.recs.parquet")  # fmt: skip
    assert every.returncode == 0 and b"unknown to the model" not in every.stderr
    inputs = json.loads(
        pq.read_table(shop / "new.recs.parquet").schema.metadata[b"cprtools.inputs"]
    )
    assert [entry["name"] for entry in inputs] == [
        "seller.model", "half.parquet", "new.parquet", "newvec.parquet",
    ]  # fmt: skip


def test_vectors_alone_for_sellers_may_be_a_pipe(shop):
    words = ("recommend", "--seller", "S2", "--threshold", "0", "--format", "json", "-k", "200")
    piped = (shop / "newvec.parquet").read_bytes()
    out = ok(shop, *words, "--vectors", "-", stdin=piped)
    assert out == ok(shop, *words, "--vectors", "newvec.parquet")
    assert {"N1", "N3"} <= {json.loads(line)["product_id"] for line in out.decode().splitlines()}


@pytest.mark.parametrize("given", [GIVEN, GIVEN[:2]])
def test_new_products_are_counted_in_their_categories(shop, given):
    asked = ("--seller", "S2", "--list-categories")
    before = {row["category"]: row for row in rows_of(shop, *asked)}
    done = run(shop, "recommend", *asked, *given, "--format", "json")
    assert done.stderr.decode().count("\n") == 1
    after = {row["category"]: row for row in map(json.loads, done.stdout.splitlines())}
    gained = {name: row["products"] - before.get(name, {"products": 0})["products"]
              for name, row in after.items()}  # fmt: skip
    assert gained == {"Alpha": 1, "Beta": 1, "Gamma": 1}
    assert all(after[name]["listed"] == row["listed"] for name, row in before.items())
    write(shop / "quarter.parquet", product_id=["N1", "A1", "B1"])
    of_quarter = rows_of(shop, *asked, *given, "--only", "quarter.parquet")
    assert {row["category"]: row["products"] for row in of_quarter} == {
        "Alpha": 2, "Beta": 1, "Gamma": 0
    }  # fmt: skip


def embedded(shop, name, products, *words):
    ok(shop, "embed-text", products, "--method", "doc2vec", "--dim", "8", "-o", name, *words)


@pytest.mark.parametrize("kind", ["cpr", "seller"])
def test_vectors_of_another_encoder_than_that_of_training_are_warned_of(shop, home, kind):
    embedded(shop, "old_text.parquet", "products.parquet")
    embedded(shop, "new_text.parquet", "new.parquet", "--text", "title,category")
    model = f"{kind}-text.model"
    if kind == "cpr":
        ok(shop, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--method",
           "text-knn", "--vectors", "old_text.parquet", "-o", model)  # fmt: skip
        asked = ["--model", model, "--product", "A1", "--products", "new.parquet"]
    else:
        ok(shop, "train-linkpred", home / "graph", "--method", "text-knn", "--vectors",
           "old_text.parquet", "-o", model)  # fmt: skip
        asked = ["--model", model, "--seller", "S1", "--threshold", "0"]
        asked += ["--products", "new.parquet"]
    said = "the vectors of new_text.parquet are of doc2vec of 4 rows of digest "
    warned = run(shop, "recommend", *asked, "--vectors", "new_text.parquet")
    assert warned.returncode == 0
    assert warned.stderr.decode().count(said) == 1
    # one table for all products, or one of unknown origin, raises no doubt
    for vectors in ("old_text.parquet", "newvec.parquet"):
        silent = run(shop, "recommend", *asked, "--vectors", vectors)
        assert "cannot be compared" not in silent.stderr.decode()
