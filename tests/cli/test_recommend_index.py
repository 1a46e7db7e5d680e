"""recommend from a stored index: the same answers, never fewer, and what is refused."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import fails, ok

pytest.importorskip("hnswlib")


@pytest.fixture(scope="module")
def indexed(home, tmp_path_factory):
    """A folder with mf models of both kinds, each with an index."""
    folder = tmp_path_factory.mktemp("indexed")
    ok(folder, "train-cpr", home / "pairs.parquet", "--products", home / "products.parquet",
       "--method", "mf", "--index", "hnsw", "-o", "cpr.model")  # fmt: skip
    ok(folder, "train-linkpred", home / "graph", "--method", "mf", "--index", "hnsw",
       "-o", "seller.model")  # fmt: skip
    return folder


def answers(folder, *words):
    out = ok(folder, "recommend", *words, "--format", "json")
    return [
        (row.get("query_id") or row.get("seller_id"), row["rank"], row["product_id"])
        for row in map(json.loads, out.decode().splitlines())
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("--model", "cpr.model", "--all", "-k", "7"),
        ("--model", "seller.model", "--all", "--threshold", "0", "-k", "30"),
        ("--seller", "S2", "--category", "Beta", "--threshold", "0", "-k", "500"),
    ],
)
def test_in_a_small_catalogue_every_search_gives_the_same_answer(indexed, words):
    exact = answers(indexed, *words)
    assert exact
    for search in ("hnsw", "auto"):
        assert answers(indexed, *words, "--search", search) == exact


def test_the_manifest_tells_the_measured_recall_and_inspect_shows_it(indexed):
    shown = ok(indexed, "inspect", "seller.model").decode()
    assert "index_recall_at_100" in shown
    facts = json.loads(ok(indexed, "inspect", "seller.model", "--format", "json"))["facts"]
    assert facts["index"] == "hnsw"
    assert facts["index_candidates"] == 181
    assert 0.9 < facts["index_recall_at_100"] <= 1


def test_the_same_seed_stores_the_same_index(home, indexed, tmp_path):
    ok(tmp_path, "train-linkpred", home / "graph", "--method", "mf", "--index", "hnsw",
       "-o", "seller.model")  # fmt: skip
    for name in ("hnsw_links.parquet", "hnsw_settings.parquet"):
        one, two = (f / "seller.model" / name for f in (indexed, tmp_path))
        assert one.read_bytes() == two.read_bytes()


def test_a_method_without_vectors_is_refused_before_it_is_trained(home):
    said = fails(home, 2, "train-cpr", "pairs.parquet", "--products", "products.parquet",
                 "--method", "popularity", "--index", "hnsw", "-o", "x.model")  # fmt: skip
    assert "that of popularity is none" in said
    assert said.endswith("these methods have one: mf, item2vec, text-knn, triplet")
    assert not (home / "x.model").exists()
    said = fails(home, 2, "train-linkpred", "graph", "--vectors", "vectors.parquet",
                 "--method", "text-knn", "--index", "hnsw", "-o", "x.model")  # fmt: skip
    assert said.endswith("that of text-knn is none; these methods have one: gnn, mf, bpr, lightgcn")
    said = fails(home, 2, "train-linkpred", "graph", "--method", "mf", "--index", "tree")
    assert "--index must be one of hnsw" in said


def test_an_index_whose_links_lead_nowhere_is_refused(indexed, tmp_path):
    shutil.copytree(indexed / "seller.model", tmp_path / "seller.model")
    path = tmp_path / "seller.model" / "hnsw_links.parquet"
    links = pq.read_table(path)
    rows = links.column("linked").to_pylist()
    rows[0][0] = 10**6
    place = links.column_names.index("linked")
    bad = pa.array(rows, links.column("linked").type)
    pq.write_table(links.set_column(place, "linked", bad), path)
    said = fails(tmp_path, 3, "recommend", "--seller", "S1", "--search", "hnsw")
    assert "hnsw index is damaged" in said
