"""Real logs: every count of the report and of the pairs against a second count, by pandas.

The second count shares nothing with cprtools.mining: the definition of DESIGN.md 3 as joins of a
customer's rows with each other. Of the largest log it takes some products' rows of the pairs table.
"""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from cprtools import mining, tables

KEY = ["query_id", "candidate_id"]
RELATIONS = ["co_purchase", "co_view", "purchase_after_view"]
COUNTS = [*KEY, *RELATIONS, "query_count", "candidate_count", "complement", "similar"]
WEEK, DAY = pd.Timedelta("7d"), pd.Timedelta("1d")


@pytest.fixture
def mined(real_data):
    """Mine one of the shared files; returns (pairs as a data frame, report, the file's rows)."""

    def run(name, spec=tables.EVENTS, **rules):
        path = real_data(name)
        with mining.mine_pairs(tables.open_table(path, spec), mining.Rules(**rules)) as found:
            pairs = found.pairs.read_all().to_pandas()
        return pairs, found.report, pq.read_table(path).to_pandas()

    return run


def usable(log):
    """The rows that count, once each, as who, session, product, event, ts; without bots."""
    rows = log[log.event.isin(["view", "purchase"]) & log.product_id.notna()]
    customer = rows.customer_id if "customer_id" in rows else pd.Series(None, rows.index, object)
    who = ("customer " + customer).where(customer.notna(), "session " + rows.session_id)
    times = rows.ts if "ts" in rows else pd.Series(pd.NaT, rows.index)
    rows = rows.assign(who=who, session=who + " " + rows.session_id, ts=times)
    columns = ["who", "session", "product_id", "event", "ts"]
    return rows[columns].rename(columns={"product_id": "product"})


def bots(rows, most=500):
    sizes = rows.groupby("session")["product"].nunique()
    return sizes.index[sizes > most]


def meetings(left, right):
    """Rows of a customer beside each other: the products, one session or not, the time between."""
    met = left.merge(right, on="who", suffixes=("_x", "_y"))
    met = met[met.product_x != met.product_y]
    return met.assign(together=met.session_x == met.session_y, gap=met.ts_y - met.ts_x)


def has_bought(met, side, bought):
    """Whether the customer of each row bought that side's product anywhere in the log."""
    pairs = zip(met.who, met[f"product_{side}"], strict=True)
    return pd.Series([pair in bought for pair in pairs], met.index, bool)


def count(met):
    distinct = met[["who", "product_x", "product_y"]].drop_duplicates()
    return distinct.groupby(["product_x", "product_y"]).size()


def pairs_by_pandas(rows, least, queries=None):
    """The pairs table's counts and flags; of the given queries alone where there are any."""
    rows = rows.drop_duplicates()
    purchases, views = (rows[rows.event == event] for event in ("purchase", "view"))
    bought = set(zip(purchases.who, purchases["product"], strict=True))
    left, seen = (
        part if queries is None else part[part["product"].isin(queries)]
        for part in (purchases, views)
    )
    both = meetings(left, purchases)
    both = both[both.together | both.gap.between(pd.Timedelta(0), WEEK)]
    viewed = meetings(seen, views)
    viewed = viewed[viewed.together | (viewed.gap.abs() <= DAY)]
    viewed = viewed[~(has_bought(viewed, "x", bought) & has_bought(viewed, "y", bought))]
    after = meetings(seen, purchases)
    after = after[after.gap.between(pd.Timedelta(0), WEEK)]
    after = after[~has_bought(after, "x", bought)]
    counts = dict(zip(RELATIONS, map(count, (both, viewed, after)), strict=True))
    return finish(pd.DataFrame(counts).fillna(0).astype("int64"), purchases, least)


def finish(table, purchases, least):
    """Counts below the least one are 0; flags on what is left; customers who bought each."""
    occurring = [name for name in RELATIONS[1:] if (table[name] > 0).any()]
    table = table.where(table >= least, 0)
    table = table[(table > 0).any(axis=1)].rename_axis(KEY)
    viewed = table[RELATIONS[1:]] > 0
    table["complement"] = (table.co_purchase > 0) & ~viewed.any(axis=1)
    similar = viewed[occurring].all(axis=1) if occurring else False
    table["similar"] = similar & (table.co_purchase == 0)
    buyers = purchases.groupby("product").who.nunique()
    table = table.reset_index()
    for name, column in zip(KEY, ("query_count", "candidate_count"), strict=True):
        table[column] = table[name].map(buyers).fillna(0).astype("int64")
    return table[COUNTS].sort_values(KEY, ignore_index=True)


def check_pairs(found, expected, purchasers):
    """Equal row by row, in the order of the ids' bytes; lift by its formula."""
    key = [(a.encode(), b.encode()) for a, b in found[KEY].itertuples(index=False)]
    assert key == sorted(key)
    pd.testing.assert_frame_equal(found[COUNTS].sort_values(KEY, ignore_index=True), expected)
    product = found.query_count.astype(float) * found.candidate_count
    lift = found.co_purchase * float(purchasers) / product.where(product > 0)
    np.testing.assert_allclose(found.lift.astype(float), lift, rtol=1e-12)


def check_report(report, pairs):
    """What the report says of the pairs is what is in the table."""
    assert report.pairs == len(pairs)
    assert report.after == {name: (pairs[name] > 0).sum() for name in RELATIONS}
    for (one, other), n in report.overlaps.items():
        assert n == ((pairs[one] > 0) & (pairs[other] > 0)).sum()
    assert (report.complements, report.similar) == (pairs.complement.sum(), pairs.similar.sum())


def check_totals(report, log, rows):
    dropped = bots(rows)
    left = rows[~rows.session.isin(dropped)]
    assert report.rows == len(log)
    assert report.totals["products"] == rows["product"].nunique()
    assert report.totals["customers"] == rows.who.nunique()
    assert report.totals["sessions"] == rows.session.nunique()
    assert report.totals["sessions dropped as bots"] == len(dropped)
    assert report.totals["rows dropped as bots"] == len(rows) - len(left)
    purchasers = left[left.event == "purchase"].who.nunique()
    assert report.totals["customers with a purchase"] == purchasers
    return left, purchasers


def test_uci_online_retail_with_its_returns_and_missing_customers(mined):
    pairs, report, log = mined("uci-online-retail/events.parquet")

    left, purchasers = check_totals(report, log, usable(log))
    assert report.skipped == {"neither view nor purchase": 10_624}
    assert report.other_events == {"return": 10_624}
    # a quarter of the rows has no customer: their sessions are customers of their own
    assert log.customer_id.isna().sum() == 135_080
    known = log[log.event == "purchase"].customer_id.nunique()
    assert report.totals["customers"] > known
    assert report.totals["sessions dropped as bots"] > 0
    check_report(report, pairs)
    # forty products, from the most bought to those of a single customer
    buyers = left.groupby("product").who.nunique().sort_values(kind="stable")
    queries = buyers.index[np.linspace(0, len(buyers) - 1, 40).astype(int)]
    expected = pairs_by_pandas(left, 2, queries)
    assert len(expected) > 20_000
    check_pairs(pairs[pairs.query_id.isin(queries)], expected, purchasers)
    assert pairs.complement.all()


def test_instacart_without_times_and_customers(mined):
    pairs, report, log = mined("instacart/events.parquet")

    left, purchasers = check_totals(report, log, usable(log))
    assert purchasers == report.totals["customers"] == report.totals["sessions"] == 131_209
    assert report.skipped == {}
    check_report(report, pairs)
    # every order is a customer, so the counts are those of a product of matrices, all of them
    baskets, products = (pd.factorize(left[name], sort=True) for name in ("who", "product"))
    shape = len(baskets[1]), len(products[1])
    ones = np.ones(len(left), np.int32)
    contains = scipy.sparse.csr_matrix((ones, (baskets[0], products[0])), shape)
    contains.data[:] = 1
    together = scipy.sparse.triu(contains.T @ contains, k=1).tocoo()
    kept = together.data >= 2
    assert len(pairs) == 2 * kept.sum()
    order = np.lexsort((together.col[kept], together.row[kept]))
    up = pairs[pairs.query_id < pairs.candidate_id].sort_values(KEY)
    down = pairs[pairs.query_id > pairs.candidate_id].sort_values(KEY[::-1])
    for half, (one, other) in ((up, KEY), (down, KEY[::-1])):
        assert (half[one].to_numpy() == products[1][together.row[kept][order]]).all()
        assert (half[other].to_numpy() == products[1][together.col[kept][order]]).all()
        assert (half.co_purchase.to_numpy() == together.data[kept][order]).all()
    buyers = pd.Series(contains.sum(axis=0).A1, products[1])
    for name, column in zip(KEY, ("query_count", "candidate_count"), strict=True):
        assert (pairs[column].to_numpy() == pairs[name].map(buyers).to_numpy()).all()
    assert pairs.complement.all()
    assert not pairs.similar.any()


def test_rees46_where_views_come_before_every_purchase(mined):
    pairs, report, log = mined("rees46/events.parquet", min_count=1)

    left, purchasers = check_totals(report, log, usable(log))
    assert report.other_events == {"cart": 165}
    check_report(report, pairs)
    check_pairs(pairs, pairs_by_pandas(left, 1), purchasers)
    # a purchase has its view before it in the session, and complements are found all the same
    purchases = left[left.event == "purchase"].drop_duplicates(["session", "product"])
    viewed = left[left.event == "view"][["session", "product"]].drop_duplicates()
    share = len(purchases.merge(viewed, on=["session", "product"])) / len(purchases)
    assert share > 0.9
    assert 0 < report.complements <= report.after["co_purchase"]
    assert report.similar > 0


def test_completejourney_with_customers_baskets_and_times(mined):
    for least in (1, 2):
        pairs, report, log = mined("completejourney/events.parquet", min_count=least)
        left, purchasers = check_totals(report, log, usable(log))
        check_report(report, pairs)
        check_pairs(pairs, pairs_by_pandas(left, least), purchasers)
        # across baskets an order of purchases is one direction alone
        assert (pairs.complement.sum() == len(pairs)) and len(pairs) > 0


def relations_by_pandas(lists, kinds):
    """The larger of the lists that mean one relation; flags from what each pair has."""
    lists = lists[lists.query_id != lists.candidate_id]
    counts = lists.groupby([*KEY, "relation"]).size().reset_index(name="n")
    counts["kind"] = counts.relation.map(kinds)
    table = counts.pivot_table(index=KEY, columns="kind", values="n", aggfunc="max")
    table = table.reindex(columns=RELATIONS).fillna(0).astype("int64").rename_axis(columns=None)
    none = pd.DataFrame({"product": [], "who": []})
    return finish(table, none, 1)


def check_lists(pairs, report, lists, kinds):
    itself = lists.query_id == lists.candidate_id
    assert report.rows == len(lists)
    expected = {"a product paired with itself": itself.sum()} if itself.any() else {}
    assert report.skipped == expected
    named = pd.concat([lists.query_id[~itself], lists.candidate_id[~itself]])
    assert report.totals["products"] == named.nunique()
    check_report(report, pairs)
    pd.testing.assert_frame_equal(
        pairs[COUNTS].sort_values(KEY, ignore_index=True), relations_by_pandas(lists, kinds)
    )
    assert pairs.lift.isna().all()


def test_amazon_cellphones_has_lists_of_two_relations(mined):
    pairs, report, lists = mined("amazon-cellphones/relations.parquet", tables.RELATIONS)

    check_lists(pairs, report, lists, {"co_purchase": "co_purchase", "co_view": "co_view"})
    # one of the two view relations alone: it decides what is similar
    assert report.single_relation == "co_view"
    assert pairs.similar.sum() == ((pairs.co_view > 0) & (pairs.co_purchase == 0)).sum() > 0


def test_amazon_digital_music_has_lists_of_four_names(mined):
    pairs, report, lists = mined("amazon-digital-music/relations.parquet", tables.RELATIONS)

    kinds = {"also_bought": "co_purchase", "bought_together": "co_purchase"}
    kinds |= {"also_viewed": "co_view", "buy_after_viewing": "purchase_after_view"}
    check_lists(pairs, report, lists, kinds)
    assert 0 < report.complements < report.after["co_purchase"]
