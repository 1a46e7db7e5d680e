"""The HTML report and the text forms of a metrics table."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from cprtools.errors import UsageError
from cprtools.evaluation import (
    Provenance,
    compare,
    evaluate_sellers,
    html_report,
    parse_ks,
    render,
)

EVIL = '<script>alert(1)</script>&"'


class Reader(HTMLParser):
    """Collects tags and text, and notices tags that are left open."""

    VOID = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def evaluation(method, seed):
    random = np.random.default_rng(seed)
    sellers = [f"s{i % 20}" for i in range(200)]
    affinity = random.random(200)
    recs = pa.table(
        {
            "seller_id": sellers,
            "rank": [i // 20 + 1 for i in range(200)],
            "product_id": [f"p{i}" for i in range(200)],
            "affinity": affinity,
        }
    )
    truth = pa.table({"seller_id": sellers, "product_id": [f"p{2 * i}" for i in range(200)]})
    products = pa.table(
        {"product_id": [f"p{i}" for i in range(400)], "category": [EVIL, "toys"] * 200}
    )
    return evaluate_sellers(recs, truth, products=products, ks=(5, 20), bootstrap=50, method=method)


@pytest.fixture(scope="module")
def page():
    first, second = evaluation(EVIL, 1), evaluation("mf", 2)
    made_by = {
        "command": "recommend",
        "version": "1.2.3",
        "seed": 0,
        "params": {"k": EVIL},
        "inputs": [{"name": EVIL, "rows": 1234, "digest": "d" * 16}],
    }
    made_from = [Provenance("recs.parquet", 10, "e" * 16, made_by), Provenance("t", 5, "f", {})]
    return html_report([first, second], [compare(first, second)], made_from)


def test_the_report_is_whole_html_with_every_section(page):
    reader = Reader()
    reader.feed(page)

    assert not reader.open
    for title in ("Leaderboard", "Differences", "Segments", "Calibration", "Notes", "Inputs"):
        assert title in reader.text
    assert "Recall@20" in reader.text
    assert "no clear difference between" in reader.text
    assert "1,234 rows" in reader.text
    assert "a raw input, or not ours" in reader.text


def test_the_report_runs_no_script_and_loads_nothing(page):
    reader = Reader()
    reader.feed(page)

    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in reader.tags}
    assert not any("src" in attributes for _, attributes in reader.tags)
    links = [attributes["href"] for _, attributes in reader.tags if "href" in attributes]
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert sorted(link.removeprefix("#") for link in links) == sorted(ids)
    assert "http" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    assert EVIL in reader.text


def test_every_table_has_a_caption_and_every_drawing_a_label(page):
    reader = Reader()
    reader.feed(page)
    tags = [tag for tag, _ in reader.tags]

    assert tags.count("table") == tags.count("caption") > 3
    assert tags.count("figure") == tags.count("figcaption") > 1
    drawings = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert all("aria-label" in a or a.get("aria-hidden") == "true" for a in drawings)
    assert all("scope" in a for tag, a in reader.tags if tag == "th")


def test_every_dot_stays_inside_its_frame(page):
    places = re.findall(r'<circle class="dot s\d" cx="([\d.]+)" cy="([\d.]+)"', page)

    assert len(places) > 4
    assert all(0 <= float(x) <= 440 and 0 <= float(y) <= 300 for x, y in places)


def test_text_forms_hold_every_row():
    metrics = evaluation("gnn", 1).metrics

    table = render(metrics, "table").splitlines()
    assert table[0].split() == [
        "method",
        "metric",
        "segment",
        "value",
        "95%",
        "interval",
        "queries",
    ]
    assert len(table) == metrics.num_rows + 1
    assert len({line.index("[") for line in table if "[" in line}) == 1
    assert [
        json.loads(line) for line in render(metrics, "json").splitlines()
    ] == metrics.to_pylist()
    assert len(render(metrics, "csv").splitlines()) == metrics.num_rows + 1


def test_a_category_name_never_sends_control_characters_to_the_terminal():
    metrics = evaluation("gnn", 1).metrics
    place = metrics.column_names.index("segment")
    evil = metrics.set_column(place, "segment", pa.array(["\x1b[31m"] * metrics.num_rows))

    assert "\x1b" not in render(evil, "table")


def test_cut_offs_are_sorted_numbers_or_the_kinds_own():
    assert parse_ks("10, 1,3,3", "complements") == (1, 3, 10)
    assert parse_ks(None, "sellers") == (10, 20, 100)
    for text in ("", "0", "-1", "ten", "1;2", "²"):
        with pytest.raises(UsageError, match="--k must be numbers"):
            parse_ks(text, "sellers")
