"""Answers on a terminal: every word of them at any width, and no number that is cut."""

import re
import sys

import pyarrow as pa
import pytest

from cprtools.cli.rendering import print_table

REASON = "bought together with your Halvex camera bag; like your Elvex tripod"
ROW = {
    "seller_id": "S1",
    "rank": 1,
    "product_id": "P61",
    "title": "Eldia lens filter sand",
    "category": "Photography",
    "affinity": 0.96125,
    "reason": REASON,
}
PIECES = [
    {"name": "popularity", "value": 3.0, "added": 0.5},
    {"name": "popularity", "value": 2.0, "added": -0.25},
]


@pytest.fixture
def shown(monkeypatch, capfd):
    """The lines that a terminal of that many columns shows, without styles."""

    def show(rows, columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_table(pa.Table.from_pylist(rows), "-", "nothing")
        plain = re.sub("\x1b\\[[0-9;]*m", "", capfd.readouterr().out)
        return [line.rstrip() for line in plain.splitlines() if line.strip()]

    return show


def test_a_reason_stands_beside_its_row_where_the_terminal_has_room(shown):
    heading, names, _, line = shown([ROW], 160)
    assert heading == "seller S1"
    assert names.split() == ["rank", "product_id", "title", "category", "affinity", "reason"]
    assert line.split("  ")[-1].strip() == REASON


def test_a_reason_goes_below_its_row_where_it_has_not(shown):
    second = {**ROW, "rank": 2, "product_id": "P7", "reason": "like your Elvex tripod"}
    assert shown([ROW, second], 80) == [
        "seller S1",
        " rank  product_id  title                   category     affinity",
        " " + "─" * 63,
        "    1  P61         Eldia lens filter sand  Photography     0.961",
        f"       {REASON}",
        "    2  P7          Eldia lens filter sand  Photography     0.961",
        "       like your Elvex tripod",
    ]


@pytest.mark.parametrize("columns", [20, 40, 50, 60, 80, 100, 120])
def test_all_is_said_at_any_width_and_in_no_more_columns(shown, columns):
    lines = shown([{**ROW, "evidence": PIECES}], columns)
    assert max(map(len, lines)) <= columns
    said = "".join("".join(lines).split())
    for text in (REASON, "0.961", "P61", "+0.50", "-0.25"):
        assert text.replace(" ", "") in said
    for word in ["Eldia", "lens", "filter", "sand"]:
        assert word in said
    assert "…" not in said


def test_where_the_numbers_do_not_fit_into_a_line_each_has_its_own(shown):
    lines = shown([{**ROW, "price": 1234.5, "score": 0.25, "type_score": 0.5}], 40)
    assert " ".join(" ".join(lines).split()) == (
        "seller S1 rank 1 product_id P61 title Eldia lens filter sand category Photography "
        f"affinity 0.961 price 1234.500 score 0.250 type_score 0.500 {REASON}"
    )


def test_a_long_id_goes_over_several_lines(shown):
    long = "urn:marketplace:" + "0123456789" * 10
    row = {name: ROW[name] for name in ("seller_id", "rank", "affinity", "reason")}
    lines = shown([{**row, "product_id": long}], 60)
    assert max(map(len, lines)) <= 60
    assert long in "".join(word for line in lines for word in line.split() if word != "0.961")


def test_a_small_score_is_shown_in_digits_that_tell_it_from_0(capsys):
    rows = {"query_id": ["q"] * 3, "rank": [1, 2, 3], "product_id": [*"abc"]}
    print_table(pa.table({**rows, "score": [0.25, 0.000421, 0.0]}), "-", "none")

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [words[-1] for words in lines if words[1:2] in (["a"], ["b"], ["c"])] == [
        "0.250",
        "0.00042",
        "0.000",
    ]
