"""The scripts that measure at scale, on logs small enough to look at."""

from pathlib import Path

import duckdb
import pytest

from tests import forking

SCALE = Path(__file__).resolve().parents[2] / "examples" / "scale"


def run(script, *words):
    done = forking.run_python([SCALE / script, *words])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale") / "log"
    run("logs.py", folder, "--events", "20000", "--customers", "900", "--products", "300")
    return folder


def ask(log, query):
    source = f"read_parquet('{log}/**/*.parquet', hive_partitioning = true)"
    return duckdb.sql(query.format(log=source)).fetchall()


def test_a_log_has_the_events_asked_for_in_a_folder_a_day(log):
    assert ask(log, "SELECT count(*), count(DISTINCT date) FROM {log}") == [(20000, 90)]
    assert ask(log, "SELECT count(*) FROM {log} WHERE ts::DATE <> date::DATE") == [(0,)]


def test_a_quarter_of_a_logs_events_are_purchases_mostly_of_what_was_viewed(log):
    (share,) = ask(log, "SELECT avg((event = 'purchase')::INT) FROM {log}")[0]
    assert 0.22 < share < 0.28
    viewed = """
        SELECT avg((product_id IN (
          SELECT product_id FROM {log} v
          WHERE event = 'view' AND v.session_id = p.session_id))::INT)
        FROM {log} p WHERE event = 'purchase'"""
    assert 0.6 < ask(log, viewed)[0][0] < 0.9


def test_a_session_belongs_to_one_customer(log):
    shared = "GROUP BY session_id HAVING count(DISTINCT customer_id) > 1"
    assert ask(log, "SELECT session_id FROM {log} " + shared) == []


def test_a_log_comes_out_again_from_its_seed(log, tmp_path):
    words = ["--events", "20000", "--customers", "900", "--products", "300"]
    run("logs.py", tmp_path / "again", *words)
    run("logs.py", tmp_path / "other", *words, "--seed", "1")
    rows = [ask(place, "SELECT * FROM {log} ORDER BY ALL") for place in (log, tmp_path / "again")]
    assert rows[0] == rows[1]
    assert rows[0] != ask(tmp_path / "other", "SELECT * FROM {log} ORDER BY ALL")


def test_the_benchmark_finds_the_plain_query_and_the_command_to_agree(tmp_path):
    shown = run("bench_mining.py", tmp_path, "--events", "20000")
    told = [line.split() for line in shown.splitlines()]
    assert told[0] == ["20,000", "events,", "median", "of", "1"]
    differ, of, rows = told[-1][-3:]
    assert (differ, of) == ("0", "of")
    assert int(rows.replace(",", "")) > 1000


def test_a_day_added_to_a_state_gives_the_rows_of_the_whole_log(tmp_path):
    told = [
        line.split() for line in run("bench_nightly.py", tmp_path, "--events", "20000").splitlines()
    ]
    assert told[-1][-3:-1] == ["0", "of"]


def test_the_curve_is_a_table_and_a_picture(tmp_path):
    shown = run("mining_curve.py", tmp_path, tmp_path / "curve.png", "--events", "5000,10000")
    assert [line.split("|")[1].strip() for line in shown.splitlines()[2:]] == ["5,000", "10,000"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_evaluation_is_timed_on_lists_that_sometimes_hit(tmp_path):
    told = run("bench_evaluate.py", tmp_path, "--queries", "2000", "--repeats", "1")

    metrics = f"read_parquet('{tmp_path}/evaluate-2000/metrics.parquet')"
    where = "metric = 'Hit' AND segment = 'all' AND k = 10"
    ((hit,),) = duckdb.sql(f"SELECT value FROM {metrics} WHERE {where}").fetchall()
    # ten of the 101 products that a query's pairs are drawn from
    assert 0.07 < hit < 0.13
    assert told.count(" GB\n") == 1


def test_complements_of_a_shop_are_as_many_as_asked_and_of_the_kind_that_completes(tmp_path):
    run("complements.py", tmp_path, "--pairs", "30000")
    run("complements.py", tmp_path / "again", "--pairs", "30000")
    files = [tmp_path / "pairs.parquet", tmp_path / "again" / "pairs.parquet"]
    assert files[0].read_bytes() == files[1].read_bytes()
    # 30,000 pairs at 20 a product: 1,500 products in 3 kinds of 400
    kinds = duckdb.sql(f"""
        SELECT complement, ((candidate_id[2:]::INT - query_id[2:]::INT) % 3 + 3) % 3 AS step,
               "similar", count(*), max(co_purchase) > 1
        FROM '{files[0]}' GROUP BY ALL ORDER BY ALL""").fetchall()
    assert kinds == [(False, 0, True, 6_000, False), (True, 1, False, 30_000, True)]
    ids = duckdb.sql(f"SELECT DISTINCT query_id, candidate_id FROM '{files[0]}'")
    assert ids.count("*").fetchall() == [(36_000,)]


def test_the_training_curve_is_a_table_and_a_picture(tmp_path):
    shown = run("training_curve.py", tmp_path, tmp_path / "curve.png", "--pairs", "4000")
    heads, _, row = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()
    )
    told = dict(zip(heads, row, strict=True))
    # 20 pairs a product, and at least two kinds of 400 products
    assert (told["pairs"], told["products"]) == ("4,000", "800")
    assert int(told["queries an epoch"].replace(",", "")) % int(told["steps an epoch"]) == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_sampling_curve_is_a_table_and_a_picture(tmp_path):
    words = [tmp_path, tmp_path / "curve.png", "--sellers", "300"]
    shown = run("sampling_curve.py", *words)
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in shown.splitlines()]
    uniform, stratified = (dict(zip(lines[0], line, strict=True)) for line in lines[2:])
    assert (uniform["sampling"], stratified["sampling"]) == ("uniform", "stratified")
    # each listing and each pair once, of the edges in both directions
    edges, roots, fewer = (
        int(text.replace(",", ""))
        for text in (uniform["edges"], uniform["root edges"], stratified["root edges"])
    )
    assert roots == edges / 2
    # 3,012 listings of products in high demand, less held-out ones, and at most three more a seller
    assert 2_500 <= fewer <= 3_012 + 3 * 300
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_exact_and_approximate_search_are_a_table_and_a_picture(tmp_path):
    pytest.importorskip("hnswlib")
    words = ["--sizes", "700,1500", "--dim", "8"]
    shown = run("bench_search.py", tmp_path, tmp_path / "search.png", *words)
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in shown.splitlines()]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    assert [row["candidates"] for row in rows] == ["700", "1,500"]
    assert all(float(row["Recall@100"]) > 0.9 for row in rows)
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    # kept figures are shown again, not measured again
    assert run("bench_search.py", tmp_path, *words) == shown


def test_an_index_that_takes_too_long_is_given_up_and_said(tmp_path):
    pytest.importorskip("hnswlib")
    words = ["--sizes", "60000", "--dim", "64", "--limit", "1"]
    assert "given up after 1" in run("bench_search.py", tmp_path, *words)


def test_batch_answers_are_compared_with_the_bare_product():
    words = ["--sellers", "130", "--products", "6000", "--dim", "16", "--k", "20"]
    row = run(Path("..") / "bench_batch.py", *words).splitlines()[2].split(" | ")
    assert row[0] == "| retrieval, 130 sellers x 6,000 products x 16, top 20"
    assert float(row[4]) > 0
