import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forking

LISTINGS = pa.table(
    {
        "seller_id": ["A", "A", "A", "B", "B", "B", "C", "C", "C", "D", "D"],
        "product_id": ["1", "2", "3", "2", "3", "4", "4", "5", "6", "1", "6"],
    }
)


def run(*words, cwd, **options):
    return forking.run(["build-graph", *words], cwd, **options)


@pytest.fixture
def folder(tmp_path):
    pq.write_table(LISTINGS, tmp_path / "listings.parquet")
    return tmp_path


def test_the_tutorial_market_is_reported_and_written(folder):
    done = run("--listings", "listings.parquet", "-o", "graph", cwd=folder)
    report = done.stderr.decode()
    assert done.returncode == 0, report
    assert done.stdout == b""
    values = {line.rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[1] for line in
              report.splitlines()[1:]}  # fmt: skip
    assert values["sparsity of the affinity matrix"] == f"{1 - 11 / 24:.4g}"
    assert values["edges per high-demand product, listings only"] == f"{11 / 6:.4g}"
    assert pq.read_table(folder / "graph" / "nodes.parquet").num_rows == 10
    assert pq.read_table(folder / "graph" / "edges.parquet").num_rows == 22


@pytest.mark.parametrize(("own", "sparsity"), [(True, "0.999967"), (False, "0")])
def test_the_sparsity_of_a_large_matrix_is_not_rounded_to_one(own, sparsity, folder):
    # 30,000 sellers with a product of their own, or all with the same one: 1 - 1 / 30,000, 1 - 1
    ids = [str(i) for i in range(30_000)]
    products = ids if own else ["1"] * len(ids)
    pq.write_table(pa.table({"seller_id": ids, "product_id": products}), folder / "many.parquet")
    report = run("--listings", "many.parquet", "-o", "graph", cwd=folder).stderr.decode()
    line = next(text for text in report.splitlines() if "sparsity" in text)
    assert line.split()[-1] == sparsity


def test_a_second_run_and_another_thread_count_write_the_same_bytes(folder):
    for name, threads, more in (("one", "1", {}), ("two", "2", forking.OTHER_HASHES)):
        words = ("--listings", "listings.parquet", "--threads", threads, "-o", name, "-q")
        assert run(*words, cwd=folder, env={**os.environ, **more}).returncode == 0
    for member in ("nodes", "edges", "manifest"):
        first, second = (folder / n / f"{member}.parquet" for n in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()


def test_a_graph_travels_through_a_pipe_as_a_tar(folder):
    reader = (
        "from cprtools import tables; g = tables.open_folder('-', ('graph',)); "
        "print(g.table('edges').num_rows, g.manifest['facts']['sellers'])"
    )
    done = subprocess.run(
        f"{sys.executable} -m cprtools build-graph -q --listings - -o - < listings.parquet"
        f' | {sys.executable} -c "{reader}"',
        shell=True, cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.stdout.decode().split(), done.stderr) == (["22", "4"], b"")


def test_a_closed_pipe_ends_quietly_with_141(folder):
    words = [
        sys.executable,
        "-m",
        "cprtools",
        "build-graph",
        "-q",
        "--listings",
        "listings.parquet",
    ]
    writer = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.close()
    assert writer.stderr.read() == b""
    writer.stderr.close()
    assert writer.wait() == 141


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "build-graph needs --listings or --pairs, or both"),
        (["--listings", "missing.parquet"], 4, "missing.parquet: no such file or folder"),
        (["--listings", "wrong.parquet"], 3, "no column 'seller_id'"),
        (["--listings", "nulls.parquet"], 3, "1 of 2 rows have no product_id"),
        (["--listings", "listings.parquet", "--high-demand", "empty.parquet"], 3, "no rows"),
        (["--listings", "listings.parquet", "--products", "twice.parquet"], 3, "differ in 'title'"),
        (["--listings", "listings.parquet", "--views-months", "0"], 2, "views-months"),
        (["--listings", "-", "--pairs", "-"], 2, "only one input"),
    ],
)
def test_bad_input_is_one_line_with_its_exit_code(folder, words, code, message):
    pq.write_table(pa.table({"shop": ["A"], "product_id": ["1"]}), folder / "wrong.parquet")
    pq.write_table(
        pa.table({"seller_id": ["A", "B"], "product_id": ["1", None]}), folder / "nulls.parquet"
    )
    pq.write_table(pa.table({"product_id": pa.array([], pa.string())}), folder / "empty.parquet")
    pq.write_table(
        pa.table({"product_id": ["1", "1"], "title": ["x", "y"]}), folder / "twice.parquet"
    )
    stdin = (folder / "listings.parquet").read_bytes()
    done = run(*words, "-o", "graph", cwd=folder, input=stdin)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, lines
    assert len(lines) == 1 and lines[0].startswith("cprtools: error: ") and message in lines[0]
    assert not (folder / "graph").exists()


def test_months_of_views_and_declared_sellers_are_options(folder):
    ts = pa.array(["2024-01-05", "2024-12-05"]).cast(pa.timestamp("us"))
    views = pa.table({"product_id": ["1", "1"], "views": [10, 1], "ts": ts})
    pq.write_table(views, folder / "views.parquet")
    pq.write_table(pa.table({"seller_id": ["Z"], "category": ["K"]}), folder / "sellers.parquet")
    words = ["--listings", "listings.parquet", "--views", "views.parquet", "-q", "-o", "graph"]
    for further, expected in (([], 11), (["--views-months", "1"], 1)):
        done = run(*words, *further, "--sellers", "sellers.parquet", cwd=folder)
        assert done.returncode == 0, done.stderr
        nodes = pq.read_table(folder / "graph" / "nodes.parquet").to_pylist()
        assert {n["node_id"]: n["views"] for n in nodes}["1"] == expected
        assert {n["node_id"]: n["category"] for n in nodes}["Z"] == "K"


def test_warnings_say_what_was_left_out(folder):
    pq.write_table(pa.table({"product_id": ["1", "ghost"]}), folder / "hot.parquet")
    pq.write_table(pa.table({"product_id": ["1"]}), folder / "products.parquet")
    twice = pa.concat_tables([LISTINGS, LISTINGS])
    pq.write_table(twice, folder / "listings.parquet")
    words = ["--listings", "listings.parquet", "--high-demand", "hot.parquet",
             "--products", "products.parquet", "-o", "graph"]  # fmt: skip
    said = run(*words, cwd=folder).stderr.decode()
    assert "11 duplicate listings dropped" in said
    assert "warning: 9 listings of products that the products table lacks" in said
    assert "warning: 1 high-demand products that no other table knows" in said


def test_tables_whose_ids_do_not_agree_are_named(folder):
    tables = {
        "views": {"product_id": ["1"] * 1079, "seller_id": ["Z"] * 1079, "views": [1] * 1079},
        "sellers": {"seller_id": ["seller 1", "seller 2"]},
        "products": {"product_id": ["P1", "P2"]},
        "high_demand": {"product_id": ["p1", "p2"]},
        "pairs": {"query_id": ["p1"], "candidate_id": ["p2"], "co_purchase": [9]},
    }  # fmt: skip
    words = ["--listings", "listings.parquet"]
    for name, columns in tables.items():
        table = pa.table(columns)
        if name == "pairs":
            for column in ("co_view", "purchase_after_view", "query_count", "candidate_count"):
                table = table.append_column(column, pa.array([9]))
            for column, value in (("lift", 1.0), ("complement", True), ("similar", False)):
                table = table.append_column(column, pa.array([value]))
        pq.write_table(table, folder / f"{name}.parquet")
        words += [f"--{name.replace('_', '-')}", f"{name}.parquet"]
    done = run(*words, "-q", "-o", "graph", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().splitlines() == [
        f"cprtools: warning: {line}; do the ids agree?"
        for line in (
            "listings.parquet: 0 of 11 rows are of products that the products table has",
            "pairs.parquet: 0 of 1 rows are of products that are listed or in the products table",
            "sellers.parquet: 0 of 2 rows are of sellers that list anything",
            "views.parquet: 0 of 1,079 rows are of products and sellers that the other tables have",
        )
    ]
