"""Pair mining as DESIGN.md 3 says it, in slow loops over customers, products and events."""

from collections import defaultdict
from datetime import timedelta
from itertools import permutations
from statistics import NormalDist

RELATIONS = ("co_purchase", "co_view", "purchase_after_view")


def mine_by_loops(events, rules, default_minimum=2):
    """Rows of the pairs table from (customer, session, product, event, ts) tuples, None missing."""
    histories = _histories(events, rules.max_session)
    counts = defaultdict(lambda: dict.fromkeys(RELATIONS, 0))
    for history in histories.values():
        for x, y in permutations(sorted({product for _, product, _, _ in history}), 2):
            for relation in _relations(history, x, y, rules):
                counts[x, y][relation] += 1
    buyers = defaultdict(int)
    for history in histories.values():
        for product in _bought(history):
            buyers[product] += 1
    population = sum(bool(_bought(history)) for history in histories.values())
    return _rows(counts, buyers, population, rules.minimums(default_minimum))


def lower_end_of_share(count, n):
    """Wilson (1927): the lower p that count / n is z standard errors of p away from."""
    if n == 0:
        return None
    z = NormalDist().inv_cdf(0.975)
    low, high = 0.0, count / n
    for _ in range(200):
        p = (low + high) / 2
        if (count / n - p) ** 2 > z**2 * p * (1 - p) / n:
            low = p
        else:
            high = p
    return low


def _histories(events, max_session):
    histories = defaultdict(set)
    for customer, session, product, event, ts in events:
        if event not in ("view", "purchase") or product is None:
            continue
        if customer is None and session is None:
            continue
        who = ("session", session) if customer is None else ("customer", customer)
        histories[who].add((session, product, event, ts))
    for who, history in histories.items():
        products = defaultdict(set)
        for session, product, _, _ in history:
            if session is not None:
                products[session].add(product)
        bots = {session for session, found in products.items() if len(found) > max_session}
        histories[who] = {row for row in history if row[0] not in bots}
    return histories


def _bought(history):
    return {product for _, product, event, _ in history if event == "purchase"}


def _relations(history, x, y, rules):
    bought = _bought(history)
    buys_x, buys_y = _rows_of(history, x, "purchase"), _rows_of(history, y, "purchase")
    views_x, views_y = _rows_of(history, x, "view"), _rows_of(history, y, "view")
    if any(_one_session(a, b) or _follows(a, b, rules.window) for a in buys_x for b in buys_y):
        yield "co_purchase"
    both = x in bought and y in bought
    if (rules.count_buyers or not both) and any(
        _one_session(a, b) or _follows(a, b, rules.view_window) or _follows(b, a, rules.view_window)
        for a in views_x
        for b in views_y
    ):
        yield "co_view"
    if (rules.count_buyers or x not in bought) and any(
        _follows(a, b, rules.window) for a in views_x for b in buys_y
    ):
        yield "purchase_after_view"


def _rows_of(history, product, event):
    return [(s, ts) for s, p, e, ts in history if p == product and e == event]


def _one_session(a, b):
    return a[0] is not None and a[0] == b[0]


def _follows(a, b, window):
    return a[1] is not None and b[1] is not None and timedelta(0) <= b[1] - a[1] <= window


def _rows(counts, buyers, population, minimums):
    occurring = {name for row in counts.values() for name in RELATIONS if row[name]}
    browsing = [name for name in ("co_view", "purchase_after_view") if name in occurring]
    rows = []
    for (x, y), row in sorted(counts.items()):
        left = {
            name: row[name] if row[name] >= least else 0
            for name, least in zip(RELATIONS, minimums, strict=True)
        }
        if not any(left.values()):
            continue
        viewed = {name for name in browsing if left[name]}
        both = buyers[x] * buyers[y]
        rows.append(
            {
                "query_id": x,
                "candidate_id": y,
                **left,
                "query_count": buyers[x],
                "candidate_count": buyers[y],
                "lift": left["co_purchase"] * population / both if both else None,
                "confidence_low": lower_end_of_share(left["co_purchase"], buyers[x]),
                "complement": left["co_purchase"] > 0 and not viewed,
                "similar": not left["co_purchase"] and viewed == set(browsing) != set(),
            }
        )
    return rows


def check_rows(found, expected):
    """Every row equal; the confidence bound, which each side rounds in its own order, nearly so."""
    assert [_without_bound(row) for row in found] == [_without_bound(row) for row in expected]
    for row, other in zip(found, expected, strict=True):
        bounds = row["confidence_low"], other["confidence_low"]
        assert bounds[0] == bounds[1] or abs(bounds[0] - bounds[1]) < 1e-12


def _without_bound(row):
    return {name: value for name, value in row.items() if name != "confidence_low"}
