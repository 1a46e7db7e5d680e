"""The three formats of Amazon metadata, and the reviews of 2023, become our tables."""

import pytest

from tests.examples.originals import (
    at,
    convert,
    mine,
    run,
    try_convert,
    write,
    write_json_lines,
)

PRODUCTS = ("product_id", "title", "category", "product_type", "brand", "price")
RELATIONS = ("query_id", "candidate_id", "relation", "rank")

# as the file has them: Python dictionaries with both kinds of quotes, escapes, missing keys
DICTIONARIES = r"""
{'asin': '0000031852', 'title': "Girls' \"Ballet\" Tutu, Zebra \xe9dition &amp; Bow", 'price': 3.17, 'imUrl': 'http://example.com/1.jpg', 'related': {'also_bought': ['B00JHONN1S', 'B002BZX8Z6'], 'also_viewed': ['B008F0SU0Y'], 'bought_together': ['B002BZX8Z6'], 'buy_after_viewing': ['B008F0SU0Y', 'B00JHONN1S']}, 'salesRank': {'Toys & Games': 211836}, 'brand': 'Coxlures', 'categories': [['Sports & Outdoors', 'Other Sports', 'Dance'], ['Clothing', 'Girls']]}
{'asin': 'B00JHONN1S', 'description': 'a\tb', 'brand': 'Unknown', 'categories': [['Sports & Outdoors']]}
{'asin': 'B008F0SU0Y', 'title': '', 'brand': '', 'related': {'also_viewed': ['0000031852', '0000031852']}, 'categories': [[]]}
""".lstrip()  # noqa: E501


def test_amazon_2014_lists_keep_their_order_as_rank(tmp_path):
    write(tmp_path / "metadata.json.gz", DICTIONARIES)
    written = convert("amazon-2014", tmp_path)

    assert written == {
        "products": [
            PRODUCTS,
            (
                "0000031852", 'Girls\' "Ballet" Tutu, Zebra édition & Bow',
                "Sports & Outdoors", "Dance", "Coxlures", 3.17,
            ),
            ("B008F0SU0Y", None, None, None, None, None),
            ("B00JHONN1S", None, "Sports & Outdoors", "Sports & Outdoors", None, None),
        ],
        "relations": [
            RELATIONS,
            ("0000031852", "B002BZX8Z6", "also_bought", 2),
            ("0000031852", "B002BZX8Z6", "bought_together", 1),
            ("0000031852", "B008F0SU0Y", "also_viewed", 1),
            ("0000031852", "B008F0SU0Y", "buy_after_viewing", 1),
            ("0000031852", "B00JHONN1S", "also_bought", 1),
            ("0000031852", "B00JHONN1S", "buy_after_viewing", 2),
            ("B008F0SU0Y", "0000031852", "also_viewed", 1),
        ],
    }  # fmt: skip


def test_amazon_2014_is_the_same_when_somebody_made_it_strict_json(tmp_path):
    (tmp_path / "python").mkdir()
    (tmp_path / "strict").mkdir()
    write(tmp_path / "python" / "meta_Toys.json", DICTIONARIES)
    write_json_lines(
        tmp_path / "strict" / "metaStrict_Toys.json",
        {
            "asin": "0000031852", "title": "Girls' \"Ballet\" Tutu, Zebra édition &amp; Bow",
            "price": 3.17, "brand": "Coxlures", "related": {
                "also_bought": ["B00JHONN1S", "B002BZX8Z6"], "also_viewed": ["B008F0SU0Y"],
                "bought_together": ["B002BZX8Z6"],
                "buy_after_viewing": ["B008F0SU0Y", "B00JHONN1S"],
            },
            "categories": [["Sports & Outdoors", "Other Sports", "Dance"]],
        },
        {"asin": "B00JHONN1S", "brand": "Unknown", "categories": [["Sports & Outdoors"]]},
        {"asin": "B008F0SU0Y", "title": None, "price": None, "related": {
            "also_viewed": ["0000031852"]}},
    )  # fmt: skip

    made = [convert("amazon-2014", tmp_path / name) for name in ("strict", "python")]
    assert made[0] == made[1]


def test_amazon_2014_relations_are_mined(tmp_path):
    write(tmp_path / "metadata.json.gz", DICTIONARIES)
    convert("amazon-2014", tmp_path)
    pairs, _ = mine(tmp_path, "--relations", tmp_path / "out" / "relations.parquet")

    assert pairs == {
        ("0000031852", "B002BZX8Z6"): (1, 0, 0),
        ("0000031852", "B008F0SU0Y"): (0, 1, 1),
        ("0000031852", "B00JHONN1S"): (1, 0, 1),
        ("B008F0SU0Y", "0000031852"): (0, 1, 0),
    }


def test_a_line_of_2014_that_is_no_dictionary_is_named_and_nothing_is_written(tmp_path):
    write(tmp_path / "metadata.json", "{'asin': '1'}\n{'asin': open('x')}\n")
    done = try_convert("amazon-2014", tmp_path)

    assert done.returncode == 3
    assert "neither JSON nor a Python dictionary" in done.stderr
    assert "open('x')" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


CAMERA_2018 = {
    "category": ["Electronics", "Camera &amp; Photo", "</span></span></span>"],
    "tech1": "", "description": ["a \"b\""], "fit": "", "title": "Camera, 10&quot; &amp; bag",
    "also_buy": ["B2", "B3", "B2"], "brand": "Acme", "rank": "2,938 in Electronics (",
    "also_view": ["B4"], "details": {"ASIN:": "B1"}, "main_cat": "Camera &amp; Photo",
    "price": "$1,299.00", "asin": "B1", "imageURL": [],
}  # fmt: skip
META_2018 = [
    CAMERA_2018,
    CAMERA_2018,
    {"asin": "B2", "category": [], "title": "var aPageStart = (new Date()).getTime();",
     "brand": "", "main_cat": "All Electronics", "price": "$10.00 - $20.00", "also_buy": [],
     "also_view": [], "rank": [], "details": {}},
    {"asin": "B3", "category": ["Electronics"], "title": "Bag", "price": ".a-box-inner{x}",
     "main_cat": '<img src="x.png" alt="Amazon Home"/>', "also_buy": ["B1"]},
    {"asin": "B4", "category": [], "main_cat": '<img src="x.png"/>', "price": ""},
]  # fmt: skip


def test_amazon_2018_is_cleaned_of_repeated_products_and_scraps_of_pages(tmp_path):
    write_json_lines(tmp_path / "meta_Electronics.json.gz", *META_2018)

    assert convert("amazon-2018", tmp_path) == {
        "products": [
            PRODUCTS,
            ("B1", 'Camera, 10" & bag', "Electronics", "Camera & Photo", "Acme", 1299.0),
            ("B2", None, "All Electronics", None, None, None),
            ("B3", "Bag", "Electronics", "Electronics", None, None),
            ("B4", None, None, None, None, None),
        ],
        "relations": [
            RELATIONS,
            ("B1", "B2", "also_buy", 1),
            ("B1", "B3", "also_buy", 2),
            ("B1", "B4", "also_view", 1),
            ("B3", "B1", "also_buy", 1),
        ],
    }


def test_amazon_2018_lines_that_repeat_a_product_are_mined_once(tmp_path):
    write_json_lines(tmp_path / "meta_Electronics.json.gz", *META_2018)
    convert("amazon-2018", tmp_path)
    relations = tmp_path / "out" / "relations.parquet"
    pairs, said = mine(tmp_path, "--relations", relations)

    assert pairs == {
        ("B1", "B2"): (1, 0, 0),
        ("B1", "B3"): (1, 0, 0),
        ("B1", "B4"): (0, 1, 0),
        ("B3", "B1"): (1, 0, 0),
    }
    # one view relation only: it alone says what is similar
    assert "co_view without co_purchase: the source has no other" in said


META_2023 = [
    {"main_category": "All Beauty", "title": "Brush", "average_rating": 4.5, "features": [],
     "price": 6.99, "images": [{"thumb": "x"}], "store": "Lurrose", "categories": [],
     "details": {"Color": "red"}, "parent_asin": "P1", "bought_together": None},
    {"main_category": None, "title": "Case", "price": "from 14.99", "store": None,
     "categories": ["Electronics", "Accessories", "Cases"], "parent_asin": "P2",
     "bought_together": None},
    {"main_category": "Computers", "title": "Skin \"Marble\"", "price": None, "store": "Digi",
     "categories": ["Electronics", "Skins"], "parent_asin": "P3", "bought_together": None},
]  # fmt: skip


def test_amazon_2023_products_without_any_bought_together(tmp_path):
    write_json_lines(tmp_path / "meta_All_Beauty.jsonl.gz", *META_2023)

    assert convert("amazon-2023", tmp_path) == {
        "products": [
            PRODUCTS,
            ("P1", "Brush", "All Beauty", None, "Lurrose", 6.99),
            ("P2", "Case", "Electronics", "Cases", None, None),
            ("P3", 'Skin "Marble"', "Computers", "Skins", "Digi", None),
        ]
    }


def test_amazon_2023_bought_together_where_there_is_some(tmp_path):
    write_json_lines(
        tmp_path / "meta_All_Beauty.jsonl", {**META_2023[0], "bought_together": ["P3", "P2"]}
    )
    written = convert("amazon-2023", tmp_path)

    assert written["relations"] == [
        RELATIONS,
        ("P1", "P2", "bought_together", 2),
        ("P1", "P3", "bought_together", 1),
    ]


@pytest.fixture
def reviewed(tmp_path):
    """Metadata beside the reviews, as after downloading both into one folder."""
    write_json_lines(tmp_path / "meta_All_Beauty.jsonl", *META_2023)
    first = {
        "rating": 5.0, "title": "Nice", "text": "a, \"b\"\nc", "images": [], "asin": "P1-red",
        "parent_asin": "P1", "user_id": "AGKH", "timestamp": 1588687728923, "helpful_vote": 0,
        "verified_purchase": True,
    }  # fmt: skip
    write_json_lines(
        tmp_path / "All_Beauty.jsonl.gz",
        first,
        first,
        {**first, "parent_asin": "P2", "timestamp": 1588687728923 + 86_400_000},
        {**first, "parent_asin": "P3", "verified_purchase": False},
        {**first, "user_id": "BZZZ", "parent_asin": "P2", "timestamp": 1009843200000},
    )
    return tmp_path


def test_amazon_2023_verified_reviews_are_purchases(reviewed):
    assert convert("amazon-2023-reviews", reviewed) == {
        "events": [
            ("customer_id", "product_id", "event", "ts"),
            ("AGKH", "P1", "purchase", at("2020-05-05 14:08:48.923")),
            ("AGKH", "P2", "purchase", at("2020-05-06 14:08:48.923")),
            ("AGKH", "P3", "review", at("2020-05-05 14:08:48.923")),
            ("BZZZ", "P2", "purchase", at("2002-01-01 00:00:00")),
        ]
    }


def test_amazon_2023_reviews_are_mined_and_unverified_ones_only_counted(reviewed):
    convert("amazon-2023-reviews", reviewed)
    pairs, said = mine(reviewed, reviewed / "out" / "events.parquet")

    # the later purchase within a week follows the earlier one, not the other way round
    assert pairs == {("P1", "P2"): (1, 0, 0)}
    assert "skipped: review 1" in said
    done = run("-m", "cprtools", "inspect", reviewed / "out" / "events.parquet")
    assert done.returncode == 0
    assert "customer_id" in done.stdout
