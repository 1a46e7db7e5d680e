"""The conversions of examples/originals as a script: high demand, bad input, old output."""

import pytest

from tests.examples.originals import (
    ROOT,
    convert,
    rows_of,
    run,
    try_convert,
    write,
    write_parquet,
)


@pytest.fixture
def shop(tmp_path):
    """Ten viewed products, one more that is only searched for, and who lists them."""
    views = {"a": 90, "b": 80, "c": 70, "d": 70, "e": 9, "f": 8, "g": 7, "h": 6, "i": 5, "j": 4}
    # the views of a product are spread over days and sellers
    rows = [(p, half, s) for p, n in views.items() for s, half in (("S1", n - 2), (None, 2))]
    write_parquet(
        tmp_path / "page_views.parquet",
        product_id=[p for p, _, _ in rows],
        views=[n for _, n, _ in rows],
        seller_id=[s for _, _, s in rows],
    )
    offers = [
        "S1 a",
        "S2 a",
        "S3 a",
        "S4 a",
        "S1 b",
        "S2 b",
        "S3 b",
        "S3 b",
        "S1 d",
        "S1 j",
        "S2 k",
    ]
    write_parquet(
        tmp_path / "listings.parquet",
        seller_id=[offer[:2] for offer in offers],
        product_id=[offer[3:] for offer in offers],
    )
    return tmp_path


def test_high_demand_is_viewed_much_and_offered_by_few(shop):
    # a tenth of 10 products is 1: a, which four sellers offer
    done = try_convert("high-demand", shop)
    assert done.returncode == 3
    assert "no rows in any table" in done.stderr

    assert convert("high-demand", shop, "--set", "max_sellers=4") == {
        "high_demand": [("product_id", "sellers"), ("a", 4)]
    }


def test_high_demand_takes_ties_and_products_that_nobody_offers(shop):
    # 3 of 10: a, b and the tie of c and d; b is listed twice by one of its three sellers
    assert convert("high-demand", shop, "--set", "top_share=0.3") == {
        "high_demand": [("product_id", "sellers"), ("b", 3), ("c", 0), ("d", 1)]
    }


def test_high_demand_counts_its_share_exactly(tmp_path):
    # 0.07 * 100 is a little more than 7 in floating point
    write_parquet(
        tmp_path / "page_views.parquet", product_id=[*range(100)], views=[*range(100, 0, -1)]
    )
    write_parquet(tmp_path / "listings.parquet", seller_id=["S1"], product_id=[0])
    written = convert("high-demand", tmp_path, "--set", "top_share=0.07")

    assert [row[0] for row in written["high_demand"][1:]] == [str(i) for i in range(7)]


def test_high_demand_looks_at_searches_on_their_own(shop):
    # searches are fewer than views, and still k leads its own list: the first 1 of 3
    write_parquet(shop / "searches.parquet", product_id=["k", "j", "a", "k"], searches=[2, 3, 1, 2])

    assert convert("high-demand", shop) == {"high_demand": [("product_id", "sellers"), ("k", 1)]}


def test_the_high_demand_list_is_the_one_of_the_graph(shop):
    convert("high-demand", shop, "--set", "top_share=0.3")
    done = run(
        "-m", "cprtools", "build-graph", "--listings", shop / "listings.parquet", "--views",
        shop / "page_views.parquet", "--high-demand", shop / "out" / "high_demand.parquet",
        "-o", shop / "graph",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    nodes = rows_of(shop / "graph" / "nodes.parquet")
    assert {node[1] for node in nodes[1:] if node[2]} == {"b", "c", "d"}


@pytest.fixture
def reviews(tmp_path):
    write(tmp_path / "All_Beauty.jsonl", REVIEW.replace("BUYER", "u1"))
    return tmp_path


REVIEW = (
    '{"user_id": "BUYER", "parent_asin": "P1", "timestamp": 1588687728923, '
    '"verified_purchase": true}\n'
)


def left(folder):
    return sorted(path.name for path in (folder / "out").iterdir())


def test_a_file_that_is_there_plain_and_packed_is_read_once(reviews):
    write(reviews / "All_Beauty.jsonl.gz", REVIEW.replace("BUYER", "packed"))
    write(reviews / "Books.jsonl.gz", REVIEW.replace("BUYER", "u2"))

    assert [row[0] for row in convert("amazon-2023-reviews", reviews)["events"]] == [
        "customer_id",
        "u1",
        "u2",
    ]


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "it's [all] *"
    folder.mkdir()
    write(folder / "All_Beauty.jsonl", REVIEW)
    write(folder / "a[b].jsonl", REVIEW.replace("BUYER", "u2"))

    assert len(convert("amazon-2023-reviews", folder)["events"]) == 3


def test_the_same_files_give_the_same_bytes(reviews):
    write(reviews / "Books.jsonl", "".join(REVIEW.replace("BUYER", f"u{i}") for i in range(5000)))
    convert("amazon-2023-reviews", reviews)
    first = (reviews / "out" / "events.parquet").read_bytes()
    convert("amazon-2023-reviews", reviews)

    assert (reviews / "out" / "events.parquet").read_bytes() == first


def test_a_missing_file_is_named_with_what_is_there(reviews):
    done = try_convert("instacart", reviews)

    assert done.returncode == 4
    assert done.stderr == (
        f"convert.py: error: instacart: {reviews}: no order_products__*.csv or "
        "order_products__*.csv.gz; found All_Beauty.jsonl\n"
    )
    assert try_convert("instacart", reviews / "nowhere").returncode == 4


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("timestamp,visitorid,event,itemid\n1,2,view,3\n", 3, "transactionid"),
        ("timestamp,visitorid,event,itemid,transactionid\nnoon,2,view,3,\n", 3, "noon"),
        ("timestamp,visitorid,event,itemid,transactionid\n1,2,view\n", 3, "events.csv"),
    ],
    ids=["column", "time", "line"],
)
def test_what_the_original_never_had_is_an_error_and_old_output_stays(tmp_path, text, code, words):
    write(tmp_path / "events.csv", text)
    write(tmp_path / "category_tree.csv", "categoryid,parentid\n1,\n")
    write(
        tmp_path / "item_properties_part1.csv",
        "timestamp,itemid,property,value\n1,2,categoryid,1\n",
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "products.parquet").write_bytes(b"old")
    done = try_convert("retailrocket", tmp_path)

    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert left(tmp_path) == ["products.parquet"]
    assert (tmp_path / "out" / "products.parquet").read_bytes() == b"old"


def test_a_packed_file_that_broke_off_is_damaged_data(reviews):
    packed = reviews / "Books.jsonl.gz"
    write(packed, "".join(REVIEW.replace("BUYER", f"u{i}") for i in range(3000)))
    packed.write_bytes(packed.read_bytes()[:400])
    done = try_convert("amazon-2023-reviews", reviews)

    assert done.returncode == 4
    assert f"Unexpected end of GZIP stream: {packed}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert left(reviews) == []


@pytest.mark.parametrize("setting", ["encodings=utf-8", "max_sellers"])
def test_a_setting_that_does_not_exist_is_refused_with_those_that_do(shop, setting):
    done = try_convert("high-demand", shop, "--set", setting)

    assert done.returncode == 2
    assert done.stderr.endswith("variables: max_sellers, top_share\n")


def test_an_output_folder_that_cannot_be_made_is_an_error(reviews):
    write(reviews / "out", "a file")
    done = try_convert("amazon-2023-reviews", reviews)

    assert done.returncode == 4
    assert "out: file exists" in done.stderr.lower()


def test_help_names_every_original_and_an_unknown_one_is_refused(tmp_path):
    shown = run(ROOT / "examples" / "originals" / "convert.py", "--help").stdout

    for name in ("amazon-2014", "uci-online-retail", "high-demand"):
        assert name in shown
    assert "common" not in shown
    assert try_convert("common", tmp_path).returncode == 2
