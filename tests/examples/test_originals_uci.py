"""UCI Online Retail becomes our tables, from each spelling it is published in."""

import pytest

from tests.examples.originals import at, convert, mine, try_convert, write

UCI = [
    # invoice, code, description, quantity, time, price, customer
    ("536365", "85123A", "WHITE HANGING HEART", 6, "2010-12-01 08:26", 2.55, "17850"),
    ("536365", "85123A", "WHITE HANGING HEART", 6, "2010-12-01 08:26", 2.55, "17850"),
    ("536365", "71053", '"WHITE" LANTERN, METAL ', 6, "2010-12-01 08:26", 3.39, "17850"),
    ("536366", "85123a", "white hanging heart", 1, "2010-12-13 14:05", 2.75, ""),
    ("536366", "22633", "HAND WARMER £5", 2, "2010-12-13 14:05", 1.85, ""),
    ("C536379", "71053", '"WHITE" LANTERN, METAL ', -1, "2010-12-14 09:41", 3.39, "14527"),
    ("536380", "22633", "damaged", -10, "2010-12-14 09:42", 0.0, ""),
    ("536381", "POST", "POSTAGE", 1, "2010-12-14 09:43", 18.0, "14527"),
    ("536381", "DCGSSGIRL", "", 1, "2010-12-14 09:43", 3.0, "14527"),
]
UCI_TABLES = {
    "events": [
        ("customer_id", "session_id", "product_id", "event", "ts"),
        ("14527", "536381", "DCGSSGIRL", "purchase", at("2010-12-14 09:43:00")),
        ("14527", "C536379", "71053", "return", at("2010-12-14 09:41:00")),
        ("17850", "536365", "71053", "purchase", at("2010-12-01 08:26:00")),
        ("17850", "536365", "85123A", "purchase", at("2010-12-01 08:26:00")),
        (None, "536366", "22633", "purchase", at("2010-12-13 14:05:00")),
        (None, "536366", "85123A", "purchase", at("2010-12-13 14:05:00")),
        (None, "536380", "22633", "correction", at("2010-12-14 09:42:00")),
    ],
    "products": [
        ("product_id", "title", "price"),
        ("22633", "HAND WARMER £5", 1.85),
        ("71053", '"WHITE" LANTERN, METAL', 3.39),
        ("85123A", "WHITE HANGING HEART", 2.55),
        ("DCGSSGIRL", None, 3.0),
    ],
}
ISO, US, US_SHORT = "{0:%Y-%m-%d %H:%M:%S}", "{0.month}/{0.day}/{0:%Y} {0.hour}:{0:%M}", (
    "{0.month}/{0.day}/{0:%y} {0.hour}:{0:%M}"
)  # fmt: skip
FIRST = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
SECOND = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"


def uci_csv(header, times, customer="{}"):
    lines = [header]
    for invoice, code, title, quantity, time, price, who in UCI:
        quoted = '"' + title.replace('"', '""') + '"' if {'"', ","} & set(title) else title
        shown = times.format(at(time))
        person = customer.format(who) if who else ""
        lines.append(
            f"{invoice},{code},{quoted},{quantity},{shown},{price},{person},United Kingdom"
        )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("header", "times", "customer"),
    [(FIRST, US, "{}"), (FIRST, US_SHORT, "{}"), (FIRST, ISO, "{}.0"), (SECOND, ISO, "{}.0")],
)
def test_uci_online_retail_is_the_same_in_every_published_spelling(
    tmp_path, header, times, customer
):
    write(tmp_path / "data.csv", uci_csv(header, times, customer))

    assert convert("uci-online-retail", tmp_path) == UCI_TABLES


def test_uci_online_retail_in_latin_1_is_read_when_told_so(tmp_path):
    write(tmp_path / "data.csv", uci_csv(FIRST, US), encoding="latin-1")
    done = try_convert("uci-online-retail", tmp_path)

    assert done.returncode == 3
    assert done.stderr.endswith("try --set encoding=latin-1\n")
    made = convert("uci-online-retail", tmp_path, "--set", "encoding=latin-1")
    assert made == UCI_TABLES


def test_uci_sheets_that_overlap_count_once(tmp_path):
    write(tmp_path / "Online Retail.csv", uci_csv(FIRST, US))
    write(tmp_path / "online_retail_II.csv", uci_csv(SECOND, ISO, "{}.0"))

    assert convert("uci-online-retail", tmp_path) == UCI_TABLES


def test_uci_returns_are_no_purchases(tmp_path):
    write(tmp_path / "data.csv", uci_csv(FIRST, US))
    convert("uci-online-retail", tmp_path)
    pairs, said = mine(tmp_path, tmp_path / "out" / "events.parquet")

    one = (1, 0, 0)
    assert pairs == {
        ("71053", "85123A"): one, ("85123A", "71053"): one,
        ("22633", "85123A"): one, ("85123A", "22633"): one,
    }  # fmt: skip
    assert "return 1" in said
    assert "correction 1" in said
