"""cprtools train-cpr, train-linkpred and recommend, as a user types them."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools.tables.schemas import EVIDENCE
from tests import forking
from tests.cli.commands import fails, ok, run, train, write

OF_SELLERS = ("--model", "seller.model", "--partition-by", "seller_id", "-o", "p")


def rows_of(folder, *words):
    out = ok(folder, "recommend", *words, "--format", "json")
    return [json.loads(line) for line in out.decode().splitlines()]


def test_default_models_are_found_by_what_is_asked(home):
    assert {row["query_id"] for row in rows_of(home, "--product", "A1")} == {"A1"}
    seller = rows_of(home, "--seller", "S1", "--threshold", "0", "--category", "all")
    assert {row["seller_id"] for row in seller} == {"S1"}


def test_ranks_count_from_one_and_neither_query_nor_a_product_twice_is_shown(home):
    rows = rows_of(home, "--product", "A1", "-k", "20")
    assert [row["rank"] for row in rows] == list(range(1, 21))
    shown = [row["product_id"] for row in rows]
    assert len(set(shown)) == 20
    assert "A1" not in shown
    assert all(row["reason"] for row in rows)


def test_the_first_results_carry_different_types_unless_switched_off(home):
    kinds = [row["product_type"] for row in rows_of(home, "--product", "A1", "-k", "6")]
    assert len(set(kinds[:3])) == 3
    assert max(kinds.count(kind) for kind in kinds) <= 2
    scores = [r["score"] for r in rows_of(home, "--product", "A1", "-k", "20", "--types", "0")]
    assert scores == sorted(scores, reverse=True)


def test_a_planted_complement_comes_first_in_its_direction(home):
    best = rows_of(home, "--product", "A7", "--types", "0", "-k", "5")
    assert {"B7", "B8"} & {row["product_id"] for row in best}
    assert best[0]["product_type"] == "type B"


def test_a_product_without_history_is_a_query_too(home):
    assert len(rows_of(home, "--product", "NEW")) == 10


def test_k_larger_than_the_catalogue_gives_what_is_left(home):
    assert len(rows_of(home, "--product", "A1", "-k", "5000")) == 180


def test_excluded_pairs_are_never_returned_and_the_list_is_refilled(home):
    before = rows_of(home, "--product", "A1")
    gone = before[0]["product_id"]
    # pairs of what the model does not know, on either side, are no hindrance
    query, candidate = ["A1", "A1", "?"], [gone, "?", gone]
    write(home / "exclude.parquet", query_id=query, candidate_id=candidate)
    after = rows_of(home, "--product", "A1", "--exclude", "exclude.parquet")
    assert len(after) == len(before)
    assert gone not in {row["product_id"] for row in after}


def test_tables_of_what_to_leave_out_or_choose_from_may_have_names_of_their_own(home):
    write(home / "sold_out.parquet", sku=["A1", "A1"], alternative=["B1", "C2"])
    write(home / "in_stock.parquet", sku=["B1", "C2", "C3"])
    names = "query_id=sku,candidate_id=alternative,product_id=sku"
    filters = ("--exclude", "sold_out.parquet", "--only", "in_stock.parquet")
    rows = rows_of(home, "--product", "A1", *filters, "--columns", names)
    assert [row["product_id"] for row in rows] == ["C3"]


def test_only_restricts_the_candidates(home):
    write(home / "only.parquet", product_id=["B1", "C2", "C3"])
    rows = rows_of(home, "--product", "A1", "--only", "only.parquet")
    assert sorted(row["product_id"] for row in rows) == ["B1", "C2", "C3"]


def test_a_seller_is_never_shown_what_it_lists(home):
    listings = pq.read_table(home / "listings.parquet").to_pylist()
    own = {row["product_id"] for row in listings if row["seller_id"] == "S3"}
    args = ("--seller", "S3", "--category", "all", "--threshold", "0", "-k", "500")
    rows = rows_of(home, *args)
    assert len(rows) == len({row["product_id"] for row in rows})
    assert not own & {row["product_id"] for row in rows}
    assert all(0 <= row["affinity"] <= 1 for row in rows)


def test_the_threshold_comes_before_k(home):
    everything = rows_of(
        home, "--seller", "S3", "--category", "all", "--threshold", "0", "-k", "500"
    )
    half = rows_of(home, "--seller", "S3", "--category", "all", "-k", "500")
    assert half == [row for row in everything if row["affinity"] >= 0.5]


def test_a_category_restricts_and_the_primary_one_is_the_default(home):
    beta = rows_of(home, "--seller", "S2", "--category", "Beta", "--threshold", "0")
    assert {row["category"] for row in beta} == {"Beta"}
    default = rows_of(home, "--seller", "S2", "--threshold", "0")
    listed = ok(home, "recommend", "--seller", "S2", "--list-categories", "--format", "json")
    primary = [json.loads(x) for x in listed.decode().splitlines()]
    assert {row["category"] for row in default} == {
        row["category"] for row in primary if row["is_primary"]
    }


def test_categories_are_those_of_a_new_quarters_list_where_one_is_given(home):
    asked = ("recommend", "--seller", "S2", "--list-categories", "--format", "json")
    write(home / "quarter.parquet", product_id=["B1", "B2", "C1", "?"])
    rows = [json.loads(x) for x in ok(home, *asked, "--only", "quarter.parquet").splitlines()]
    table = pq.read_table(home / "products.parquet", columns=["product_id", "category"])
    category = dict(zip(*(column.to_pylist() for column in table), strict=True))
    wanted = Counter(category[each] for each in ("B1", "B2", "C1"))
    assert {row["category"]: row["products"] for row in rows if row["products"]} == wanted
    before = [json.loads(x) for x in ok(home, *asked).splitlines()]
    assert [row["listed"] for row in rows] == [row["listed"] for row in before]
    assert run(home, *asked, "--category", "Beta").returncode == 2


def test_no_answer_names_another_seller(home):
    listings = pq.read_table(home / "listings.parquet").column("seller_id").to_pylist()
    for form in ("json", "csv", "table"):
        args = ("recommend", "--seller", "S1", "--category", "all", "--threshold", "0")
        text = ok(home, *args, "--format", form).decode()
        words = set(text.replace(",", " ").replace('"', " ").split())
        assert not words & (set(listings) - {"S1"})


def test_queries_are_answered_where_known_and_the_rest_is_reported_with_code_6(home):
    write(home / "queries.parquet", product_id=["A3", "nobody", "A1"])
    done = run(home, "recommend", "--queries", "queries.parquet", "-o", "some.parquet")
    assert done.returncode == 6
    assert "ids that the model does not know (1 of 3): nobody" in done.stderr.decode()
    assert set(pq.read_table(home / "some.parquet").column("query_id").to_pylist()) == {"A1", "A3"}


def test_rows_of_the_queries_without_an_id_are_told(home):
    pq.write_table(pa.table({"product_id": ["A3", None, None]}), home / "gaps.parquet")
    done = run(home, "recommend", "--queries", "gaps.parquet", "-o", "some.parquet")
    assert done.returncode == 0
    assert "gaps.parquet: 2 rows have no product_id" in done.stderr.decode()


def test_all_answers_every_product_and_a_pipe_gets_parquet(home):
    data = ok(home, "recommend", "--model", "cpr.model", "--all", "-k", "2")
    table = pq.read_table(pa.BufferReader(data))
    assert len(set(table.column("query_id").to_pylist())) == 181
    footer = table.schema.metadata
    assert footer[b"cprtools.command"] == b"recommend"
    assert b'"k": 2' in footer[b"cprtools.params"]


def test_the_same_question_gives_the_same_bytes_whatever_the_threads(home):
    one = ok(home, "recommend", "--model", "seller.model", "--all", "--threads", "1")
    two = ok(home, "recommend", "--model", "seller.model", "--all", "--threads", "2",
             env=forking.OTHER_HASHES)  # fmt: skip
    assert one == two


def test_shards_together_are_the_whole_answer(home):
    asked = ("recommend", "--model", "seller.model", "--all", "--threshold", "0", "--format", "csv")
    whole = ok(home, *asked).decode().splitlines()
    parts = [ok(home, *asked, "--shard", f"{i}/3").decode().splitlines() for i in (1, 2, 3)]
    assert [row for part in parts for row in part[1:]] == whole[1:]
    assert all(len(part) > 1 for part in parts)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "one/3", "1/3/2", "99/99"])
def test_a_shard_that_is_none_is_refused(home, shard):
    done = run(home, "recommend", "--model", "seller.model", "--all", "--shard", shard, "-o", "x")
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1 and "--shard" in done.stderr.decode()
    assert not (home / "x").exists()


def test_models_travel_through_pipes(home):
    model = ok(home, "train-cpr", "pairs.parquet", "--products", "products.parquet",
               "--method", "co-purchase", "-o", "-")  # fmt: skip
    out = ok(home, "recommend", "--model", "-", "--product", "A5", "--format", "csv", stdin=model)
    first, second = [line.split(",")[2] for line in out.decode().splitlines()[1:3]]
    assert {first, second} & {"B5", "B6"}


def test_a_complement_model_serves_as_vectors(home):
    model = train(home, "train-cpr", "pairs.parquet", "--products", "products.parquet",
                  "--epochs", "1", "--no-ranker", "-o", "-").stdout  # fmt: skip
    ok(home, "train-linkpred", "graph", "--vectors", "-", "--vectors", "vectors.parquet",
       "--method", "text-knn", "-o", "joined.model", stdin=model)  # fmt: skip
    assert rows_of(home, "--model", "joined.model", "--seller", "S1", "--threshold", "0")


def test_partitions_hold_one_seller_each(home):
    ok(home, "recommend", "--model", "seller.model", "--all", "--threshold", "0",
       "--partition-by", "seller_id", "-o", "parts")  # fmt: skip
    files = sorted((home / "parts").iterdir())
    assert len(files) == 24
    for file in files:
        assert set(pq.read_table(file).column("seller_id").to_pylist()) == {file.stem}
    write(home / "one.parquet", seller_id=["S1"])
    done = run(home, "recommend", "--model", "seller.model", "--queries", "one.parquet",
               "--threshold", "0", "--partition-by", "seller_id", "-o", "parts")  # fmt: skip
    assert "parts: 23 tables of other sellers stay there" in done.stderr.decode()


def test_retrieval_alone_and_an_index_are_options(home):
    args = ("--product", "A1", "--no-rank")
    assert len(rows_of(home, *args)) == 10
    for method in ("mf", "text-knn"):
        ok(home, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--vectors",
           "vectors.parquet", "--method", method, "-o", f"{method}.model")  # fmt: skip
        exact, found = (
            rows_of(home, "--model", f"{method}.model", "--product", "A1", "--search", search)
            for search in ("exact", "hnsw")
        )
        assert [row["product_id"] for row in exact] == [row["product_id"] for row in found]


def test_same_seed_trains_the_same_model(home):
    for name, env in (("one", None), ("two", forking.OTHER_HASHES)):
        train(home, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--epochs", "1",
              "--threads", "1", "-o", f"{name}.model", env=env)  # fmt: skip
    for file in (home / "one.model").iterdir():
        assert file.read_bytes() == (home / "two.model" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (3, ("--product", "A11x"), "did you mean A11"),
        (3, ("--seller", "S999"), "no seller 'S999'"),
        (3, ("--seller", "S1", "--category", "Betta"), "did you mean Beta"),
        (3, ("--product", "A1", "--model", "seller.model"), "holds a sellers model"),
        (3, ("--seller", "S1", "--model", "cpr.model"), "holds a complements model"),
        (3, ("--product", "A1", "--with", "colour"), "no product column 'colour'"),
        (3, ("--product", "A1", "--only", "listings2.parquet"), "none of its"),
        (3, ("--queries", "vectors0.parquet"), "no column product_id, query_id or seller_id"),
        (4, ("--product", "A1", "--model", "nowhere"), "no such folder"),
        (4, ("--product", "A1", "--exclude", "nothing.parquet"), "no such file"),
        (3, ("--product", "A1", "--exclude", "products.parquet"), "or seller_id and product_id"),
        (4, ("--product", "A1", "-o", "no/such/place.parquet"), "does not exist"),
        (2, ("--product", "A1", "-k", "0"), "-k"),
        (2, ("--product", "A1", "--seller", "S1"), "exactly one of"),
        (2, ("--product", "A1", "--product", "A2"), "--product is given twice; many products are"),
        (2, ("--seller=S1", "--seller", "S1"), "--seller is given twice; many sellers are a table"),
        (2, (), "exactly one of"),
        (2, ("--all",), "name one: --model"),
        (2, ("--product", "A1", "--format", "xml"), "--format must be one of"),
        (2, ("--seller", "S1", "--search", "hnsw"), "add --no-rank"),
        (2, ("--seller", "S1", "--threshold", "2"), "threshold"),
        (2, ("--all", "--model", "cpr.model", "--explain"), "--explain needs --product or"),
        (2, ("--queries", "vectors0.parquet", "--explain"), "--explain needs --product or"),
        (2, (*OF_SELLERS, "--all", "--format", "csv"), "--format csv is not for it"),
        (2, (*OF_SELLERS, "--seller", "S1", "--list-categories"), "--partition-by says nothing"),
    ],
)
def test_bad_requests_get_one_line_and_their_code(home, code, words, said):
    write(home / "listings2.parquet", product_id=["x", "y"])
    write(home / "vectors0.parquet", vector=[[1.0]])
    assert said in fails(home, code, "recommend", *words)


def test_the_last_of_an_option_that_is_repeated_counts(home):
    assert len(rows_of(home, "--product", "A1", "-k", "7", "--types", "0", "-k", "2")) == 2


@pytest.mark.parametrize("words", [("--product", "A1"), ("--seller", "S1", "--threshold", "0")])
def test_explain_adds_a_column_and_changes_no_other(home, words):
    ok(home, "recommend", *words, "-o", "plain.parquet")
    ok(home, "recommend", *words, "--explain", "-o", "explained.parquet")
    plain, explained = (pq.read_table(home / f"{n}.parquet") for n in ("plain", "explained"))
    assert "evidence" not in plain.column_names
    assert explained.drop_columns(["evidence"]).equals(plain)
    assert explained.schema.field("evidence").type == EVIDENCE
    assert all(len(pieces) > 1 for pieces in explained.column("evidence").to_pylist())


def test_explain_shows_below_each_row_what_its_score_is_made_of(home):
    shown = ok(home, "recommend", "--product", "A1", "--explain", "-k", "3", "--format", "table")
    lines = shown.decode().splitlines()
    assert sum("before any evidence" in line for line in lines) == 3
    amounts = []
    for line in lines:
        found = re.search(r" ([+-][0-9]+\.[0-9]{2})  ([a-z0-9].*)", line)
        if found and found[2].startswith("in all"):
            assert sum(amounts) == pytest.approx(float(found[1]), abs=0.05)
            amounts = []
        elif found:
            amounts.append(float(found[1]))
    assert amounts == []


def test_explain_in_csv_is_the_json_of_the_pieces(home):
    words = ("recommend", "--product", "A1", "--explain", "-k", "2", "--format")
    rows = list(csv.DictReader(io.StringIO(ok(home, *words, "csv").decode())))
    told = [json.loads(line) for line in ok(home, *words, "json").decode().splitlines()]
    assert [json.loads(row["evidence"]) for row in rows] == [row["evidence"] for row in told]


def test_an_unknown_seller_is_told_no_other_name(home):
    message = fails(home, 3, "recommend", "--seller", "S2x")
    assert "did you mean" not in message
    assert "S2'" not in message


def test_a_model_with_a_missing_table_is_refused(home, tmp_path):
    shutil.copytree(home / "cpr.model", tmp_path / "half.model")
    (tmp_path / "half.model" / "codes.parquet").unlink()
    message = fails(tmp_path, 4, "recommend", "--model", "half.model", "--product", "A1")
    assert "codes.parquet is missing" in message


def test_a_reader_that_leaves_is_no_error(home):
    command = (
        f"{sys.executable} -m cprtools recommend --all --model cpr.model | head -c 1 >/dev/null"
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}; echo ${{PIPESTATUS[0]}}"],
        check=False,
        cwd=home,
        capture_output=True,
    )
    assert done.stdout.strip() in (b"141", b"0")
    assert b"Traceback" not in done.stderr
    assert b"error" not in done.stderr


def test_a_full_disk_is_one_line_and_code_4(home):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cprtools", "recommend", "--all", "--model", "cpr.model"],
            check=False,
            cwd=home,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 4
    assert b"no space left" in done.stderr


def test_a_full_disk_in_the_middle_of_a_batch_is_one_line_and_leaves_nothing(home, tmp_path):
    # files of this process may have 4 kB: the answers to all have more
    command = (
        "ulimit -f 4; exec "
        f"{sys.executable} -m cprtools recommend --all --threshold 0 -k 100 "
        f"--category all --model {home}/seller.model -o all.parquet"
    )

    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {command}"], check=False, cwd=tmp_path, capture_output=True
    )
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 4, lines
    assert len(lines) == 1 and lines[0].startswith("cprtools: error: all.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_gets_a_table_and_titles_are_no_markup(home, tmp_path):
    import pty

    products = pq.read_table(home / "products.parquet")
    titles = ["[red]x[/red] \x1b[31m" for _ in range(products.num_rows)]
    place = products.column_names.index("title")
    pq.write_table(products.set_column(place, "title", pa.array(titles)), tmp_path / "p.parquet")
    ok(tmp_path, "train-cpr", home / "pairs.parquet", "--products", "p.parquet", "--method",
       "co-purchase", "-o", "cpr.model")  # fmt: skip
    main, side = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "cprtools", "recommend", "--product", "A1", "--with", "title"],
        check=False,
        cwd=tmp_path,
        stdout=side,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160"},
    )
    os.close(side)
    shown = os.read(main, 100_000).decode()
    assert done.returncode == 0
    assert "query A1" in shown
    assert "[red]x" in shown
    assert "\x1b[31m" not in shown
