"""The simulated marketplace: shares as asked, tables that the commands take, an honest oracle."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cprtools import tables

SCALE = Path(__file__).resolve().parents[2] / "examples" / "scale"
SELLERS = 3000
SPECS = {
    "listings": tables.LISTINGS,
    "truth": tables.LISTINGS,
    "products": tables.PRODUCTS,
    "high_demand": tables.HIGH_DEMAND,
    "page_views": tables.PAGE_VIEWS,
    "pairs": tables.PAIRS,
    "oracle": tables.SELLER_RECOMMENDATIONS,
}


def run(*words):
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False
    )


def simulate(folder, sellers, *words):
    done = run(SCALE / "simulate_marketplace.py", folder, "--sellers", sellers, *words)
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """The folder of a market whose oracle answers every seller, and what was told of it."""
    folder = tmp_path_factory.mktemp("simulated") / "market"
    return simulate(folder, SELLERS, "--oracle-sellers", SELLERS)


@pytest.fixture(scope="module")
def drawing():
    """The module that draws sellers and listings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCALE))
        yield importlib.import_module("simulated_sellers")


def ask(market, query):
    folder, _ = market
    names = {name: f"read_parquet('{folder / name}.parquet')" for name in SPECS}
    return duckdb.sql(query.format(**names)).fetchall()


@pytest.mark.parametrize("name", SPECS)
def test_each_table_is_one_that_the_commands_take(market, name):
    source = str(market[0] / f"{name}.parquet")
    read = tables.read(tables.open_table(source, SPECS[name]))
    key = [read.column(column).to_numpy(zero_copy_only=False) for column in SPECS[name].key]
    assert read.num_rows > 0
    assert len(set(zip(*key, strict=True))) == (read.num_rows if key else 0)
    assert run("-m", "cprtools", "inspect", source).returncode == 0


def test_a_graph_is_built_of_it(market, tmp_path):
    words = []
    for option in ("listings", "pairs", "products", "high-demand"):
        words += [f"--{option}", market[0] / f"{option.replace('-', '_')}.parquet"]
    words += ["--views", market[0] / "page_views.parquet", "-o", tmp_path / "graph"]
    done = run("-m", "cprtools", "build-graph", *words)
    assert done.returncode == 0, done.stderr
    nodes = duckdb.read_parquet(str(tmp_path / "graph" / "nodes.parquet"))
    high = nodes.filter("node_type = 'product' AND is_high_demand").count("*").fetchall()
    assert high == [(SELLERS // 3,)]


def test_the_sizes_follow_the_number_of_sellers(market):
    high, products = 1000, 21_000
    assert ask(market, "SELECT count(*) FROM {high_demand}") == [(high,)]
    assert ask(market, "SELECT count(*) FROM {products}") == [(products,)]
    assert ask(market, "SELECT count(*) FROM {pairs}") == [(2 * SELLERS * 100 // 3,)]
    count = """
        SELECT count(*) FROM (SELECT * FROM {listings} UNION ALL SELECT * FROM {truth})
        WHERE (product_id IN (SELECT product_id FROM {high_demand})) = """
    # drawn around the sizes asked for; tastes that are used up leave some out
    assert ask(market, count + "true")[0][0] == pytest.approx(SELLERS * 10, rel=0.02)
    assert ask(market, count + "false")[0][0] == pytest.approx(SELLERS * 100 / 3, rel=0.05)


def test_sizes_can_be_asked_for_one_by_one(tmp_path):
    words = "--high-demand 200 --additional 3000 --high-demand-listings 1500 --pairs 2000"
    small = simulate(tmp_path, 500, *words.split(), "--oracle-sellers", 7)
    assert ask(small, "SELECT count(*) FROM {high_demand}") == [(200,)]
    assert ask(small, "SELECT count(*) FROM {products}") == [(3200,)]
    assert ask(small, "SELECT count(*), min(co_purchase) FROM {pairs}") == [(4000, 2)]
    assert ask(small, "SELECT count(DISTINCT seller_id) FROM {oracle}") == [(7,)]


def test_a_fifth_of_the_high_demand_listings_of_sellers_with_five_is_held_out(market):
    wrong = """
        SELECT seller_id, count(*) AS size, sum(held) AS held FROM (
          SELECT seller_id, product_id, 0 AS held FROM {listings}
          UNION ALL SELECT seller_id, product_id, 1 FROM {truth})
        WHERE product_id IN (SELECT product_id FROM {high_demand})
        GROUP BY seller_id
        HAVING held <> CASE WHEN size >= 5 THEN size // 5 ELSE 0 END"""
    assert ask(market, wrong) == []
    only = "SELECT * FROM {truth} WHERE product_id NOT IN (SELECT product_id FROM {high_demand})"
    assert ask(market, only) == []


@pytest.mark.parametrize("table", ["listings", "page_views"])
def test_nothing_held_out_shows_in_what_is_learned_from(market, table):
    shared = f"SELECT count(*) FROM {{truth}} JOIN {{{table}}} USING (seller_id, product_id)"
    assert ask(market, shared) == [(0,)]


def test_the_oracle_answers_a_hundred_unlisted_high_demand_products(market):
    ranks = """
        SELECT seller_id FROM {oracle} GROUP BY seller_id
        HAVING list(rank ORDER BY rank) <> range(1, 101)
            OR count(DISTINCT product_id) <> 100"""
    assert ask(market, ranks) == []
    listed = "SELECT count(*) FROM {oracle} JOIN {listings} USING (seller_id, product_id)"
    assert ask(market, listed) == [(0,)]
    high = "SELECT * FROM {oracle} WHERE product_id NOT IN (SELECT product_id FROM {high_demand})"
    assert ask(market, high) == []


def test_the_oracle_foretells_far_more_than_popularity_and_its_recall_is_as_told(market):
    # hits / min(100, held out); sold: the unlisted products of most sellers
    recall = """
        WITH sold AS (
          SELECT product_id, count(*) AS sellers FROM {listings}
          WHERE product_id IN (SELECT product_id FROM {high_demand}) GROUP BY product_id),
        popular AS (
          SELECT seller_id, product_id
          FROM (SELECT DISTINCT seller_id FROM {truth}) CROSS JOIN sold
          ANTI JOIN {listings} USING (seller_id, product_id)
          QUALIFY row_number() OVER (PARTITION BY seller_id ORDER BY sellers DESC, product_id)
            <= 100),
        answers AS (
          SELECT 'oracle' AS who, seller_id, product_id FROM {oracle}
          UNION ALL SELECT 'popular', * FROM popular)
        SELECT who, avg(hits / least(100, held)) FROM (
          SELECT who, t.seller_id, count(*) AS held, count(a.product_id) AS hits
          FROM (VALUES ('oracle'), ('popular')) w(who) CROSS JOIN {truth} t
          LEFT JOIN answers a USING (who, seller_id, product_id)
          GROUP BY who, t.seller_id)
        GROUP BY who ORDER BY who"""
    (_, oracle), (_, popular) = ask(market, recall)
    told = re.search(r"oracle ([0-9.]+), popularity ([0-9.]+)", market[1])
    assert float(told[1]) == pytest.approx(oracle, abs=0.001)
    assert float(told[2]) == pytest.approx(popular, abs=0.01)
    assert oracle > 2 * popular
    assert oracle < 0.95


def test_pairs_go_both_ways_with_equal_counts_and_mostly_complete_a_type(market):
    one_way = """
        SELECT * FROM {pairs} a ANTI JOIN {pairs} b
        ON a.query_id = b.candidate_id AND a.candidate_id = b.query_id
        AND a.co_purchase = b.co_purchase"""
    assert ask(market, one_way) == []
    shares = """
        SELECT avg((q.category = c.category)::INT), avg((q.product_type = c.product_type)::INT)
        FROM {pairs} JOIN {products} q ON q.product_id = query_id
        JOIN {products} c ON c.product_id = candidate_id"""
    ((category, product_type),) = ask(market, shares)
    assert 0.8 < category < 0.95
    assert product_type < 0.05


def test_sellers_have_specialities_and_sizes_of_a_power_law(market):
    sizes = """
        SELECT median(n), avg((n < 10)::INT), max(n)
        FROM (SELECT count(*) AS n FROM {listings} GROUP BY seller_id)"""
    ((middle, small, largest),) = ask(market, sizes)
    assert 5 < middle < 100
    assert small > 0.25
    assert 500 < largest < 5000
    # of four categories, the largest of a seller with ten or more: by chance about a third
    main = """
        SELECT avg(top) FROM (
          SELECT max(n) / sum(n) AS top FROM (
            SELECT seller_id, count(*) AS n FROM {listings} JOIN {products} USING (product_id)
            GROUP BY seller_id, category)
          GROUP BY seller_id HAVING sum(n) >= 10)"""
    assert ask(market, main)[0][0] > 0.7


def test_titles_name_the_brand_and_type_but_for_a_quarter_of_the_words(market):
    named = """
        SELECT avg((string_split(title, ' ')[1] = brand)::INT),
               avg((string_split(title, ' ')[3] = product_type)::INT),
               min(len(string_split(title, ' '))), max(len(string_split(title, ' ')))
        FROM {products}"""
    ((brand, product_type, least, most),) = ask(market, named)
    assert brand == pytest.approx(0.75, abs=0.02)
    assert product_type == pytest.approx(0.75, abs=0.02)
    assert (least, most) == (7, 7)


def test_a_marketplace_comes_out_again_from_its_seed(tmp_path):
    first, again, other = (
        simulate(tmp_path / name, 300, "--seed", seed)[0]
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    for name in SPECS:
        same, differs = (
            (first / f"{name}.parquet").read_bytes() == (folder / f"{name}.parquet").read_bytes()
            for folder in (again, other)
        )
        assert (same, differs) == (True, False), name


def test_too_small_a_marketplace_is_refused(tmp_path):
    done = run(SCALE / "simulate_marketplace.py", tmp_path / "no", "--sellers", 90)
    assert done.returncode == 2
    assert "at least 100" in done.stderr
    assert not (tmp_path / "no").exists()


# Two of three products, with chances 3/6, 2/6 and 1/6, without replacement: the last is left out
# when the first two come in either order, 3/6 * 2/3 + 2/6 * 3/4 = 7/12.
LEFT_OUT = 3 / 6 * 2 / 3 + 2 / 6 * 3 / 4


def test_a_race_leaves_products_out_as_draws_without_replacement_do(drawing):
    rng, count = np.random.default_rng(0), 20_000
    chances = np.tile(np.array([3, 2, 1], np.float32) / 6, (count, 1))
    wanted = np.full(count, 2)
    draws = drawing.race(rng, chances, np.arange(count), wanted, np.arange(3))
    listed = drawing.settle([draws], wanted, 3)
    assert len(listed.product) == 2 * count
    assert 1 - np.mean(listed.product == 2) * 2 == pytest.approx(LEFT_OUT, abs=0.015)


def test_cells_and_then_products_leave_products_out_as_draws_without_replacement_do(drawing):
    rng, count = np.random.default_rng(0), 8_000
    # the first two products are in one cell, the last in another that is liked half as much
    weight = np.array([3.0, 2.0, 2.0])
    shelf = drawing.Shelf(np.arange(3), np.array([0, 0, 1]), weight, drawing.CELLS)
    tastes = np.ones((count, drawing.CELLS), np.float32)
    tastes[:, 1] = 0.5
    row, product = drawing.draw_distinct(rng, tastes, np.full(count, 2), shelf, 0)
    assert len(np.unique(row * 3 + product)) == len(row)
    # with these chances a few may not find their second one
    assert len(row) >= 2 * count - count // 1000
    assert 1 - np.sum(product == 2) / count == pytest.approx(LEFT_OUT, abs=0.02)
