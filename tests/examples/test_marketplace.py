"""The example market keeps the promises that other tests and demos build on."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "marketplace.py"
SMALL = ("--products", "600", "--sellers", "60", "--events", "12000")
WEEK = np.timedelta64(7, "D")
STRING, DOUBLE, INT, TIME = pa.string(), pa.float64(), pa.int64(), pa.timestamp("us")
SCHEMAS = {
    "events": {
        "customer_id": STRING,
        "session_id": STRING,
        "product_id": STRING,
        "event": STRING,
        "ts": TIME,
    },
    "products": {
        "product_id": STRING,
        "title": STRING,
        "category": STRING,
        "product_type": STRING,
        "brand": STRING,
        "price": DOUBLE,
    },
    "listings": {"seller_id": STRING, "product_id": STRING},
    "high_demand": {"product_id": STRING},
    "page_views": {"product_id": STRING, "seller_id": STRING, "ts": TIME, "views": INT},
    "truth_complements": {"query_id": STRING, "candidate_id": STRING},
    "new_products": {"product_id": STRING},
}
Tables = dict[str, pa.Table]


def write_market(folder: Path, *options: str) -> Tables:
    subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), str(folder), *options],
        check=True,
        capture_output=True,
    )
    return {path.stem: pq.read_table(path) for path in folder.glob("*.parquet")}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return write_market(tmp_path_factory.mktemp("market"))


def values(table: pa.Table, column: str) -> list[Any]:
    return list(table.column(column).to_pylist())


def column_by_product(market: Tables, column: str) -> dict[str, str]:
    products = market["products"]
    return dict(zip(values(products, "product_id"), values(products, column), strict=True))


def purchase_times(market: Tables) -> dict[str, dict[str, np.datetime64]]:
    """First purchase of each product by each customer."""
    times: dict[str, dict[str, np.datetime64]] = defaultdict(dict)
    events = market["events"]
    for customer, product, event, ts in zip(
        values(events, "customer_id"),
        values(events, "product_id"),
        values(events, "event"),
        events.column("ts").to_numpy(),
        strict=True,
    ):
        if event == "purchase":
            times[product].setdefault(customer, ts)
    return times


def test_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("first", "3"), ("again", "3"), ("other", "4")):
        write_market(tmp_path / name, "--seed", seed, *SMALL)
    for name in SCHEMAS:
        first = (tmp_path / "first" / f"{name}.parquet").read_bytes()
        assert first == (tmp_path / "again" / f"{name}.parquet").read_bytes()
        assert first != (tmp_path / "other" / f"{name}.parquet").read_bytes()


def test_tables_have_the_columns_and_types_of_the_contract(market: Tables) -> None:
    found = {
        name: dict(zip(table.schema.names, table.schema.types, strict=True))
        for name, table in market.items()
    }
    assert found == SCHEMAS
    assert all(column.null_count == 0 for table in market.values() for column in table.columns)


def test_script_imports_numpy_pyarrow_and_the_standard_library_only() -> None:
    roots = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(str(node.module).split(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"numpy", "pyarrow"}


def test_sizes_are_about_as_asked(market: Tables) -> None:
    events, products = market["events"], market["products"]
    assert 57_000 <= len(events) <= 63_000
    assert set(values(events, "event")) == {"view", "purchase"}
    assert set(values(products, "product_id")) == {f"P{i}" for i in range(1, 2001)}
    assert len(set(values(products, "category"))) == 8
    assert len(set(values(products, "product_type"))) == 48
    assert 0.25 <= len(market["high_demand"]) / len(products) <= 0.30
    assert len(market["new_products"]) == 100
    ts = events.column("ts").to_numpy()
    assert np.timedelta64(85, "D") < ts.max() - ts.min() <= np.timedelta64(90, "D")


def test_sizes_follow_the_options(tmp_path: Path) -> None:
    market = write_market(tmp_path, *SMALL, "--days", "40")
    assert len(market["products"]) == 600
    assert set(values(market["listings"], "seller_id")) == {f"S{i}" for i in range(1, 61)}
    assert 10_500 <= len(market["events"]) <= 13_500
    ts = market["events"].column("ts").to_numpy()
    assert ts.max() - ts.min() <= np.timedelta64(40, "D")


def test_too_small_a_market_is_refused_as_a_usage_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "market"), "--products", "20"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "400 products" in done.stderr
    assert not (tmp_path / "market").exists()


def test_tables_of_another_origin_are_not_written_over(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), str(tmp_path), *SMALL]
    (tmp_path / "events.parquet").write_text("a shop's own")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds events.parquet, which no earlier market left" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["events.parquet"]
    assert (tmp_path / "events.parquet").read_text() == "a shop's own"
    # of an earlier market they are made anew
    (tmp_path / "truth_complements.parquet").touch()
    subprocess.run(words, capture_output=True, check=True)
    assert pq.read_metadata(tmp_path / "events.parquet").num_rows > 10_000


def test_titles_name_the_brand_and_the_type(market: Tables) -> None:
    products = market["products"]
    for title, brand, product_type in zip(
        values(products, "title"),
        values(products, "brand"),
        values(products, "product_type"),
        strict=True,
    ):
        assert title.startswith(f"{brand} ")
        assert f" {product_type} " in title


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_first_seller_specialises_in_photography_for_every_seed(tmp_path: Path, seed: str) -> None:
    market = write_market(tmp_path, "--seed", seed, *SMALL)
    category = column_by_product(market, "category")
    listings = market["listings"]
    pairs = zip(values(listings, "seller_id"), values(listings, "product_id"), strict=True)
    listed = [category[product] for seller, product in pairs if seller == "S1"]
    assert listed.count("Photography") >= 12
    assert listed.count("Photography") > len(listed) / 2
    shares: dict[str, int] = defaultdict(int)
    for row in market["page_views"].to_pylist():
        if row["seller_id"] == "S1":
            shares[category[row["product_id"]]] += row["views"]
    assert max(shares, key=lambda name: shares[name]) == "Photography"


def test_seller_sizes_follow_a_power_law_around_25_listings(market: Tables) -> None:
    _, counts = np.unique(values(market["listings"], "seller_id"), return_counts=True)
    assert len(counts) == 300
    assert counts.min() >= 4
    assert 18 <= np.median(counts) <= 32
    assert counts.max() > 5 * np.median(counts)


def test_high_demand_products_have_several_sellers_and_sellers_several_of_them(
    market: Tables,
) -> None:
    high = set(values(market["high_demand"], "product_id"))
    sellers: dict[str, set[str]] = {product: set() for product in high}
    ranges: dict[str, set[str]] = defaultdict(set)
    for row in market["listings"].to_pylist():
        ranges[row["seller_id"]].add(row["product_id"])
        if row["product_id"] in high:
            sellers[row["product_id"]].add(row["seller_id"])
    counts = [len(found) for found in sellers.values()]
    assert min(counts) >= 5
    assert np.quantile(counts, 0.9) <= 15
    several = [len(listed & high) >= 3 for listed in ranges.values() if len(listed) >= 5]
    assert np.mean(several) > 0.85


def test_page_views_are_monthly_and_of_listed_products_only(market: Tables) -> None:
    listed = {(row["seller_id"], row["product_id"]) for row in market["listings"].to_pylist()}
    seen = market["page_views"].to_pylist()
    assert {(row["seller_id"], row["product_id"]) for row in seen} <= listed
    assert {(row["ts"].day, row["ts"].hour) for row in seen} == {(1, 0)}
    assert len({(row["seller_id"], row["product_id"], row["ts"]) for row in seen}) == len(seen)
    assert min(row["views"] for row in seen) > 0


def test_every_purchase_follows_a_view_in_its_session(market: Tables) -> None:
    viewed: dict[tuple[str, str, str], object] = {}
    rows = market["events"].to_pylist()
    for row in rows:
        key = (row["customer_id"], row["session_id"], row["product_id"])
        if row["event"] == "view":
            viewed.setdefault(key, row["ts"])
        else:
            assert viewed[key] < row["ts"]


def test_a_session_belongs_to_one_customer(market: Tables) -> None:
    rows = market["events"].select(["customer_id", "session_id"]).to_pylist()
    owners = {(row["session_id"], row["customer_id"]) for row in rows}
    assert len({session for session, _ in owners}) == len(owners)


def test_new_products_have_no_behaviour(market: Tables) -> None:
    new = set(values(market["new_products"], "product_id"))
    assert new <= set(values(market["products"], "product_id"))
    assert not new & set(values(market["events"], "product_id"))
    assert not new & set(values(market["page_views"], "product_id"))
    assert not new & set(values(market["high_demand"], "product_id"))
    truth = market["truth_complements"]
    assert not new & (set(values(truth, "query_id")) | set(values(truth, "candidate_id")))


def test_substitutes_are_viewed_together_and_bought_apart(market: Tables) -> None:
    product_type = column_by_product(market, "product_type")
    baskets: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in market["events"].to_pylist():
        baskets[row["event"], row["session_id"]].add(row["product_id"])
    together = {"view": 0, "purchase": 0}
    for (event, _), basket in baskets.items():
        together[event] += len({product_type[product] for product in basket}) < len(basket)
    assert together["view"] > 5000
    assert together["purchase"] < 100


def test_planted_complements_are_bought_in_their_direction(market: Tables) -> None:
    truth = market["truth_complements"]
    pairs = set(zip(values(truth, "query_id"), values(truth, "candidate_id"), strict=True))
    one_way = [(query, other) for query, other in pairs if (other, query) not in pairs]
    assert len(one_way) > 400
    bought = purchase_times(market)
    onward = backward = 0
    for query, other in one_way:
        for customer in bought[query].keys() & bought[other].keys():
            gap = bought[other][customer] - bought[query][customer]
            onward += bool(np.timedelta64(0) < gap <= WEEK)
            backward += bool(-WEEK <= gap < np.timedelta64(0))
    assert onward > 4 * len(one_way)
    assert backward < onward / 20


def test_planted_complements_join_different_types(market: Tables) -> None:
    product_type = column_by_product(market, "product_type")
    truth = market["truth_complements"]
    followers: dict[str, set[str]] = defaultdict(set)
    for row in truth.to_pylist():
        followers[product_type[row["query_id"]]].add(product_type[row["candidate_id"]])
    assert all(query not in found for query, found in followers.items())
    assert len(truth.group_by(["query_id", "candidate_id"]).aggregate([])) == len(truth)
