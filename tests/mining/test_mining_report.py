"""The report: rows, pairs before and after cleaning, types crossed, and why nothing is left."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import mining, tables
from cprtools.errors import SchemaError


@pytest.fixture
def report_of(tmp_path):
    """The report of an Arrow table beside a catalogue given as columns."""

    def run(log, catalogue=None, spec=tables.EVENTS, **rules):
        pq.write_table(log, tmp_path / "log.parquet")
        source = tables.open_table(str(tmp_path / "log.parquet"), spec)
        products = None
        if catalogue is not None:
            pq.write_table(pa.table(catalogue), tmp_path / "products.parquet")
            products = tables.open_table(str(tmp_path / "products.parquet"), tables.PRODUCTS)
        run = mining.mine_pairs(source, mining.Rules(**rules), products=products, threads=1)
        with run as mined:
            return mined.report

    return run


def lists(*rows):
    names = ["query_id", "candidate_id", "relation"]
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})


def said(report):
    return {str(name): " ".join(map(str, values)) for name, *values in report.lines()}


PHONES = lists(
    # a phone with its case and charger; two phones bought by who compared them; a fourth phone
    ("phone", "case", "also_bought"),
    ("phone", "charger", "also_bought"),
    ("phone", "phone2", "also_bought"),
    ("phone", "phone2", "also_viewed"),
    ("phone2", "phone", "also_viewed"),
    ("phone2", "phone", "buy_after_viewing"),
    ("phone", "phone3", "buy_after_viewing"),
    ("phone", "phone3", "also_viewed"),
    ("phone2", "stranger", "also_bought"),
    ("tablet", "tablet2", "also_viewed"),
)
TYPES = {
    "product_id": ["phone", "phone2", "phone3", "case", "charger", "tablet", "unsold"],
    "product_type": ["Phones", "Phones", "Phones", "Cases", "Chargers", None, "Cases"],
}


def test_cleaning_is_shown_as_pairs_before_and_after_it(report_of):
    report = report_of(PHONES, spec=tables.RELATIONS)
    found = report.as_dict()
    # of phone -> case, charger, phone2 and phone2 -> stranger, the third was viewed together, too
    assert found["complements"] == {"before": 4, "after": 3}
    # phone2 -> phone and phone -> phone3 are in both view relations
    assert (found["similar"]["before"], found["similar"]["after"]) == (2, 2)
    assert said(report)["complement pairs"] == "3 of 4 before cleaning"
    # both of the 2 pairs bought after a view are among the 4 viewed together
    assert said(report)["co_view and purchase_after_view"] == "2 (100.0% of the smaller)"
    # tablet and tablet2 are co-viewed only: in a pair, but neither complement nor similar
    assert found["products_in_no_pair"] == 0
    assert found["products_with_no_complement_or_similar"] == 2
    assert said(report)["products with no complement or similar"] == "2"


def test_similar_pairs_that_are_bought_together_go_by_cleaning(report_of):
    report = report_of(
        lists(("a", "b", "also_view"), ("a", "b", "also_buy"), ("a", "c", "also_view")),
        spec=tables.RELATIONS,
    )
    # co_view alone decides: a-b and a-c before, a-c after
    assert (report.similar_before, report.similar) == (2, 1)


def test_cleaned_complements_cross_types_more_often(report_of):
    report = report_of(PHONES, TYPES, tables.RELATIONS)
    found = report.catalogue
    # before: phone -> case, charger, phone2; after: without phone2; stranger has no type
    before, after = found.complements
    assert (before.crossing, before.typed, before.share) == (2, 3, 2 / 3)
    assert (after.crossing, after.typed, after.share) == (2, 2, 1)
    assert [(x.crossing, x.typed) for x in found.similar] == [(0, 2), (0, 2)]
    # "unsold" is in no list; stranger and tablet2 are not in the catalogue
    assert (found.products, found.unseen, found.foreign) == (7, 1, 2)
    line = said(report)["complement pairs across product types"]
    assert line == "66.7% of 3 before, 100.0% of 2 after cleaning"


def test_the_catalogues_category_stands_in_for_a_type_and_lists_count_by_their_end(report_of):
    catalogue = {"product_id": ["a", "b", "c"], "category": [["X", "Y"], ["Z", "Y"], ["X", "Z"]]}
    log = lists(("a", "b", "also_buy"), ("a", "c", "also_buy"))
    assert report_of(log, catalogue, tables.RELATIONS).catalogue.complements[1].share == 1 / 2


def test_a_catalogue_without_types_has_no_share_to_show(report_of):
    report = report_of(PHONES, {"product_id": ["phone", "case"]}, tables.RELATIONS)
    assert report.catalogue.complements[0].share is None
    line = said(report)["complement pairs across product types"]
    assert line == "unknown: no such pair has types of both products"
    json.dumps(report.as_dict(), allow_nan=False)


def test_views_by_another_name_are_asked_for_where_no_two_were_viewed(report_of):
    def told(*names):
        log = {
            "session_id": [name for name in names for _ in "ab"],
            "product_id": ["a", "b"] * len(names),
            "event": [name for name in names for _ in "ab"],
        }
        return report_of(pa.table(log)).warnings()[0]

    skipped = "2 rows are neither view nor purchase and were skipped: view_item 2"
    assert (
        told("purchase", "view_item") == f"{skipped}; those that mean a view must be called 'view'"
    )
    assert told("view_item") == (
        f"{skipped}; those that mean a view or a purchase must be called 'view' or 'purchase'"
    )
    assert told("purchase", "view", "cart").endswith("skipped: cart 2")


def test_a_catalogue_without_ids_is_refused_before_the_log_is_read(report_of, monkeypatch):
    from cprtools.mining import pairs

    monkeypatch.setattr(pairs, "count_relations", None)
    with pytest.raises(SchemaError, match="no column 'product_id'"):
        report_of(PHONES, {"sku": ["a"]}, tables.RELATIONS)


def test_the_catalogue_changes_no_pair(tmp_path, mine):
    expected, _ = mine(PHONES, spec=tables.RELATIONS)
    pq.write_table(pa.table(TYPES), tmp_path / "products.parquet")
    products = tables.open_table(str(tmp_path / "products.parquet"), tables.PRODUCTS)
    source = tables.open_table(str(tmp_path / "log.parquet"), tables.RELATIONS)
    with mining.mine_pairs(source, products=products) as mined:
        assert mined.pairs.read_all().to_pylist() == expected


def test_every_row_read_is_skipped_dropped_with_a_bot_or_used(report_of, events_table, at):
    bot = [("9", "bot", f"p{i}", "purchase", at()) for i in range(4)]
    rows = [*bot, *bot[:2], ("1", "s", "a", "view", at()), ("1", "s", "b", "view", at())]
    rows += [("1", "s", "a", "cart", at()), (None, None, "a", "view", at())]
    rows += [("1", "s", None, "view", at()), (None, "bot", "p0", "view", at())]
    report = report_of(events_table(rows), max_session=3, min_count=1)
    assert report.rows == 12
    assert report.skipped == {
        "neither view nor purchase": 1,
        "neither customer_id nor session_id": 1,
        "no product_id": 1,
    }
    # repeated rows count as often as they were read; another customer's session of that name stays
    assert report.totals["sessions dropped as bots"] == 1
    assert report.totals["rows dropped as bots"] == 4 + 2
    assert report.totals["customers"] == 3
    assert report.as_dict()["totals"]["rows_dropped_as_bots"] == 6


def test_products_of_the_log_in_no_pair_are_counted(report_of, events_table, at):
    rows = [("1", "s", p, "purchase", at()) for p in "ab"] + [("2", "s", "c", "view", at())]
    report = report_of(events_table(rows), min_count=1)
    assert report.as_dict()["products_in_no_pair"] == 1
    assert said(report)["products in no pair"] == "1"


def test_nothing_left_is_said_with_the_relations_there_are(report_of, events_table, at):
    rows = [("1", "s", p, "purchase", at()) for p in "ab"]
    rows += [("2", "s", p, "view", at()) for p in "ab"]
    report = report_of(events_table(rows), min_co_view=50)
    assert report.pairs == 0
    assert report.warnings() == [
        "no pair is left; there are pairs of co_purchase (least count 2), "
        "co_view (least count 50), all below their least counts; lower --min-count"
    ]
    assert said(report)["purchase_after_view pairs"] == "0 (it does not occur here)"
    assert report.as_dict()["relations"]["purchase_after_view"]["occurs"] is False


def test_products_that_never_met_are_no_matter_of_least_counts(report_of, events_table, at):
    rows = [(c, "s", c, "purchase", at()) for c in "123"] + [("4", "s", "a", "cart", at())]
    report = report_of(events_table(rows))
    assert report.warnings()[-1] == (
        "no pair is left; 3 of 4 rows were usable and no two products met in them"
    )


def test_a_mistaken_event_column_does_not_fill_the_report(report_of, events_table, at):
    rows = [("1", "s", "a", f"e{i}", at()) for i in range(50)]
    report = report_of(events_table(rows))
    assert len(report.as_dict()["rows"]["other_events"]) == 20
    assert report.as_dict()["rows"]["skipped"] == {"neither view nor purchase": 50}
