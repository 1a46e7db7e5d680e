"""Write a small, seeded marketplace: shoppers, products and sellers as Parquet tables.

python examples/marketplace.py OUT_FOLDER --seed 0

How the market works (nothing here knows of any model; words are in marketplace/catalogue.toml):

- A product has a type, a brand, a price tier and a *system* (a mount, size or standard: what
  must fit). Most titles name the system; a brand keeps mostly to one system and one tier.
- A shopper compares a few products of one type at a close price, across systems, and buys one
  of them or none. Whatever is bought was viewed before, in the same session.
- Who bought x often returns within a week for a *partner* of x: a product of a type that completes
  x's type, chosen once by system, brand, tier and popularity. A few type pairs (`baskets`) go into
  one basket instead, in which no direction can be seen.
- Shelf items (some batteries and gift bags) are shown to everybody and taken along with anything.
- About 18% of the products sell well, 5% are new: in the catalogue, without any behaviour.
- A seller lists by category, type, brand and tier, by demand, and what completes its own range.

`truth_complements.parquet` holds the planted pairs that can be observed: (x, partner of x) whose
expected number of co-purchases, given how often x was bought on a visit of its own, is at least
MIN_EXPECTED; for `baskets` the reverse pair too. The same arguments give the same bytes.
"""

import argparse
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# what completes a product: product rows (-1: unused), share, same basket; (products, 3) each
Partners = tuple[Ints, Floats, Bools]

WORDS = tomllib.loads(Path(__file__).with_suffix("").joinpath("catalogue.toml").read_text("utf-8"))
CATEGORIES: list[str] = list(WORDS["categories"])
TYPE_WORDS = {name: row for types in WORDS["categories"].values() for name, row in types.items()}
TYPES = list(TYPE_WORDS)
TYPE_CATEGORY = np.array([CATEGORIES.index(c) for c in CATEGORIES for _ in WORDS["categories"][c]])
BRANDS = [head + tail for head in WORDS["brand_heads"] for tail in WORDS["brand_tails"]]

MINUTE = 60_000_000  # microseconds, as all times
DAY = 1440 * MINUTE
FIRST_DAY = np.datetime64("2024-01-01", "us").astype(np.int64)

MOVERS = 0.18  # share of the products that sell well; the rest is looked at more than bought
BUY = 0.65
RETURNS = (0.9, 0.03)  # chance that a buyer returns for a partner, and for a second one
RETURN_BUY = 0.92
LOYAL = 0.9  # of the returning buyers take the partner, the rest another product of its type
EVENTS_PER_VISIT = 5.6  # with the returns and shelf items that a visit leads to
MIN_EXPECTED = 2.0


@dataclass(frozen=True)
class Products:
    """The range: arrays are (products,); demand is relative, 0 for new products."""

    type_idx: Ints
    category: Ints
    brand_idx: Ints
    system: Ints
    tier: Ints
    price: Floats
    demand: Floats
    is_new: Bools
    is_shelf: Bools


def draw(rng: np.random.Generator, weights: Floats, size: int) -> Ints:
    """Row numbers drawn with these relative weights, (size,) int64."""
    total = np.cumsum(weights)
    rows: Ints = np.searchsorted(total, rng.random(size) * total[-1], side="right")
    return rows


def either(rng: np.random.Generator, chance: float, first: Ints, second: Ints) -> Ints:
    """Per row: the first with this chance, else the second."""
    return np.where(rng.random(len(first)) < chance, first, second)


def make_products(rng: np.random.Generator, count: int) -> Products:
    """Draw the range: a brand keeps mostly to a category, a few types, one system and tier."""
    type_idx = rng.permutation(np.arange(count) % len(TYPES))
    brand_category = np.arange(len(BRANDS)) % len(CATEGORIES)
    fit = np.where(rng.random((len(TYPES), len(BRANDS))) < 0.45, 1.0, 0.08)
    fit *= np.where(TYPE_CATEGORY[:, None] == brand_category, 1.0, 0.015)
    brand = np.array([draw(rng, fit[row], 1)[0] for row in type_idx])
    system = either(rng, 0.7, rng.integers(6, size=len(BRANDS))[brand], rng.integers(6, size=count))
    tier = either(rng, 0.55, rng.integers(3, size=len(BRANDS))[brand], rng.integers(3, size=count))
    middle = np.array([TYPE_WORDS[name]["price"] for name in TYPES])
    price = middle[type_idx] * np.array([0.55, 1.0, 1.9])[tier] * rng.lognormal(0, 0.12, count)
    is_shelf, is_new = np.zeros((2, count), dtype=np.bool_)
    for name in WORDS["shelf_types"]:
        is_shelf[np.flatnonzero(type_idx == TYPES.index(name))[:3]] = True
    order = rng.permutation(np.flatnonzero(~is_shelf))
    is_new[order[-(count // 20) :]] = True
    movers = order[: int(MOVERS * count)]
    demand = 0.009 * rng.lognormal(0, 0.5, count)
    demand[movers] = rng.lognormal(0, 0.25, len(movers))
    demand[is_new] = 0
    category = TYPE_CATEGORY[type_idx]
    return Products(type_idx, category, brand, system, tier, price, demand, is_new, is_shelf)


def make_partners(rng: np.random.Generator, products: Products) -> Partners:
    """Choose what completes each product: one partner in each of two or three types."""
    shape = (len(products.price), 3)
    partner, share, in_basket = np.full(shape, -1), np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    appeal = 0.35 * np.log(products.demand + 1e-3)
    appeal[products.is_new | products.is_shelf] = -np.inf
    for row, type_idx in enumerate(products.type_idx):
        wanted = TYPE_WORDS[TYPES[type_idx]]["completed_by"]
        wanted = [wanted[i] for i in sorted(rng.permutation(len(wanted))[:3])]
        for column, other in enumerate(wanted):
            pool = np.flatnonzero(products.type_idx == TYPES.index(other))
            score = appeal[pool] + 3.0 * (products.system[pool] == products.system[row])
            score += 1.0 * (products.brand_idx[pool] == products.brand_idx[row])
            score -= 0.8 * np.abs(products.tier[pool] - products.tier[row])
            score += rng.gumbel(0, 0.5, len(pool))
            partner[row, column] = pool[np.argmax(score)]
            in_basket[row, column] = [TYPES[type_idx], other] in WORDS["baskets"]
        share[row, : len(wanted)] = (0.58, 0.42) if len(wanted) == 2 else (0.4, 0.32, 0.28)
    return partner, share, in_basket


def make_rivals(products: Products) -> tuple[Ints, Floats]:
    """What a product is compared with: rows and log weights, (products, 12) each."""
    log_price = np.log(products.price)
    weight = 0.5 * np.log(products.demand + 1e-12) - np.abs(log_price[:, None] - log_price) / 0.3
    # Shoppers compare rival systems more than two products of one system.
    weight -= 3.0 * (products.system[:, None] == products.system)
    weight[products.type_idx[:, None] != products.type_idx] = -np.inf
    weight[:, products.is_new] = -np.inf
    np.fill_diagonal(weight, -np.inf)
    best = np.argsort(-weight, axis=1, kind="stable")[:, :12]
    return best, np.take_along_axis(weight, best, axis=1)


@dataclass
class Shop:
    """Shop floor; entries of its log: customer, session, product, is_purchase, time (5, rows)."""

    rng: np.random.Generator
    products: Products
    partners: Partners
    rivals: tuple[Ints, Floats]
    log: list[Ints] = field(default_factory=list)

    def add(self, customer: Ints, session: Ints, product: Ints, ts: Ints, bought: bool) -> None:
        """Append one event per row; arrays are (rows,)."""
        self.log.append(np.stack([customer, session, product, np.full(len(ts), int(bought)), ts]))

    def visit(
        self, customer: Ints, session: Ints, focus: Ints, start: Ints, compare: Floats, buys: Bools
    ) -> Ints:
        """View the focus product among its rivals, then buy it or not; returns the end times.

        compare: chances of 0, 1, 2 ... rivals. The other arrays are (visits,).
        """
        wish = self.rivals[1][focus] + self.rng.gumbel(size=(len(focus), self.rivals[1].shape[1]))
        chosen = np.argsort(-wish, axis=1)[:, : len(compare) - 1]
        seen = np.column_stack([focus, np.take_along_axis(self.rivals[0][focus], chosen, axis=1)])
        shown = np.arange(len(compare)) <= draw(self.rng, compare, len(focus))[:, None]
        shown[:, 1:] &= np.take_along_axis(wish, chosen, axis=1) > -np.inf
        position = np.argsort(self.rng.random(seen.shape), axis=1)
        ts = start[:, None] + (position * 2 + self.rng.random(seen.shape)) * MINUTE
        row, column = np.nonzero(shown)
        when = ts[row, column].astype(np.int64)
        self.add(customer[row], session[row], seen[row, column], when, False)
        end = start + 2 * len(compare) * MINUTE
        self.add(customer[buys], session[buys], focus[buys], end[buys], True)
        return end

    def pass_shelf(self, customer: Ints, session: Ints, start: Ints, takes: Floats) -> None:
        """Most look at a shelf item as they come in; takes: chance that they buy it then."""
        shelf = np.flatnonzero(self.products.is_shelf)
        item = shelf[draw(self.rng, 1 / np.arange(1.0, len(shelf) + 1), len(start))]
        looks = self.rng.random(len(start)) < 0.6
        self.add(customer[looks], session[looks], item[looks], start[looks] - MINUTE, False)
        bought = looks & (self.rng.random(len(start)) < takes)
        paid = start[bought] + 15 * MINUTE
        self.add(customer[bought], session[bought], item[bought], paid, True)

    def choose_partner(self, focus: Ints) -> tuple[Ints, Bools]:
        """A product to complete each focus product, and whether it goes into the same basket."""
        products, shares, in_basket = self.partners
        levels = np.cumsum(shares[focus], axis=1)[:, :2]
        column = (self.rng.random(len(focus))[:, None] > levels).sum(axis=1)
        partner = products[focus, column]
        kinds = np.where(self.products.is_new | self.products.is_shelf, -1, self.products.type_idx)
        for row in np.flatnonzero(self.rng.random(len(focus)) > LOYAL):
            partner[row] = self.rng.choice(np.flatnonzero(kinds == kinds[partner[row]]))
        return partner, in_basket[focus, column]

    def complete(self, customer: Ints, sessions: Ints, focus: Ints, end: Ints) -> None:
        """Buyers of the focus products return for a partner within a week, or take it at once.

        sessions: (2, buyers), the present one and that of a return.
        """
        partner, in_basket = self.choose_partner(focus)
        at_once = in_basket | (self.rng.random(len(focus)) < 0.01)
        wait = (self.rng.uniform(0.5, 6.8, len(focus)) * DAY).astype(np.int64)
        start = end + np.where(at_once, MINUTE, wait)
        session = np.where(at_once, sessions[0], sessions[1])
        own = np.flatnonzero(~at_once)
        self.pass_shelf(customer[own], session[own], start[own], np.full(len(own), 0.05))
        buys = self.rng.random(len(focus)) < RETURN_BUY
        self.visit(customer, session, partner, start, np.array([0.65, 0.35]), buys)


def simulate(shop: Shop, visits: int, days: int) -> tuple[Ints, Ints]:
    """Events in order of time, and how often each product was bought on a visit of its own."""
    rng, products = shop.rng, shop.products
    focus = draw(rng, products.demand, visits)
    hobby = either(rng, 0.35, products.category[focus], rng.integers(len(CATEGORIES), size=visits))
    # Customers are numbered hobby by hobby; low numbers shop more often.
    people = visits * 7 // 10 // len(CATEGORIES) + 1
    customer = (rng.random(visits) ** 1.3 * people).astype(np.int64) * len(CATEGORIES) + hobby
    start = (rng.random(visits) * days * DAY).astype(np.int64) + MINUTE
    buys = rng.random(visits) < BUY
    session = np.arange(visits)
    shop.pass_shelf(customer, session, start, np.where(buys, 0.16, 0.05))
    end = shop.visit(customer, session, focus, start, np.array([0.1, 0.4, 0.3, 0.2]), buys)
    for turn, chance in enumerate(RETURNS, start=1):
        back = buys & (rng.random(visits) < chance)
        sessions = np.stack([session, session + turn * visits])[:, back]
        shop.complete(customer[back], sessions, focus[back], end[back])
    # Some who buy nothing look at what would have completed it, or at anything at all.
    strolls = np.flatnonzero(~buys & (rng.random(visits) < 0.03))
    anything = draw(rng, products.demand, len(strolls))
    target = either(rng, 0.6, shop.choose_partner(focus[strolls])[0], anything)
    shop.add(customer[strolls], session[strolls], target, end[strolls], False)
    events = np.concatenate(shop.log, axis=1)
    events = events[:, ~np.isin(events[1], events[1, events[4] >= days * DAY])]
    return events[:, np.lexsort(events)], np.bincount(focus[buys], minlength=len(products.price))


def list_truth(partners: Partners, bought: Ints) -> Ints:
    """Planted pairs with enough exposure to be seen: query and candidate rows, (2, pairs)."""
    rate = sum(RETURNS) * RETURN_BUY * LOYAL
    partner, share, in_basket = partners
    is_seen = bought[:, None] * share * rate >= MIN_EXPECTED
    pairs = np.stack([np.nonzero(is_seen)[0], partner[is_seen]])
    reverse = pairs[::-1, in_basket[is_seen]]
    return np.unique(np.concatenate([pairs, reverse], axis=1), axis=1)


def make_tastes(rng: np.random.Generator, products: Products, sellers: int) -> Floats:
    """How well each product suits each seller, (sellers, products) log weights."""
    tastes = np.zeros((sellers, len(products.price)))
    homes = rng.integers(len(CATEGORIES), size=sellers)
    homes[0] = CATEGORIES.index("Photography")
    for seller, home in enumerate(homes):
        categories = np.full(len(CATEGORIES), -3.5 if seller else -6.0)
        if seller and rng.random() < 0.5:
            categories[rng.integers(len(CATEGORIES))] = -0.7
        categories[home] = 0
        types = np.where(rng.random(len(TYPES)) < 0.5, 0.0, -2.0)
        brands = np.where(rng.random(len(BRANDS)) < 0.3, 0.0, -2.0)
        tiers = -0.8 * np.abs(np.arange(3) - rng.integers(3))
        tastes[seller] = categories[products.category] + types[products.type_idx]
        tastes[seller] += brands[products.brand_idx] + tiers[products.tier]
    return tastes


def make_listings(
    rng: np.random.Generator, tastes: Floats, partners: Partners, appeal: Floats, least: Ints
) -> Bools:
    """Who lists what, (sellers, products); appeal and the least number of sellers: (products,)."""
    sellers, count = tastes.shape
    lists = np.zeros((sellers, count), dtype=np.bool_)
    # Lomax: a power law with a median of about 25 listings.
    sizes = np.minimum(4 + 58 * ((1 - rng.random(sellers)) ** (-1 / 2.2) - 1), 0.12 * count)
    sizes[0] = 40
    for seller in rng.permutation(sellers):
        size = int(sizes[seller])
        # Two thirds are chosen by taste and demand, the rest also by what completes those.
        crowd = np.maximum(lists.sum(axis=0) - 9, 0)
        score = tastes[seller] + appeal - 0.8 * crowd + rng.gumbel(size=count)
        lists[seller, np.argsort(-score, kind="stable")[: size * 2 // 3]] = True
        completing = partners[0][lists[seller]]
        score[completing[completing >= 0]] += 2.5
        score[lists[seller]] = -np.inf
        lists[seller, np.argsort(-score, kind="stable")[: size - size * 2 // 3]] = True
    for product in np.flatnonzero(lists.sum(axis=0) < least):
        # Wanted goods do not stay without sellers: the likeliest ones take them in.
        score = tastes[:, product] + np.log(sizes) + rng.gumbel(size=sellers)
        score[lists[:, product]] = np.inf
        lists[np.argsort(-score, kind="stable")[: least[product]], product] = True
    return lists


def names(prefix: str, rows: Ints) -> pa.Array:
    """Ids from row numbers: row 0 is P1, S1, C1 or V1."""
    return pa.array([f"{prefix}{row + 1}" for row in rows], pa.string())


def catalogue_table(rng: np.random.Generator, products: Products) -> dict[str, Any]:
    """Columns of products.parquet; one title in eight does not name the system."""
    categories = [CATEGORIES[row] for row in products.category]
    types = [TYPES[row] for row in products.type_idx]
    brands, titles = [BRANDS[row] for row in products.brand_idx], []
    for row, category in enumerate(categories):
        words = [brands[row], rng.choice(WORDS["tier_words"][products.tier[row]]), types[row]]
        words += [WORDS["systems"][category][products.system[row]]] * (rng.random() < 0.875)
        titles.append(" ".join([*words, rng.choice(WORDS["colours"])]))
    return {
        "product_id": names("P", np.arange(len(titles))),
        "title": titles,
        "category": categories,
        "product_type": types,
        "brand": brands,
        "price": np.round(products.price, 2),
    }


def events_table(events: Ints) -> dict[str, Any]:
    """Columns of events.parquet."""
    return {
        "customer_id": names("C", events[0]),
        "session_id": names("V", events[1]),
        "product_id": names("P", events[2]),
        "event": np.where(events[3] == 1, "purchase", "view").astype(object),
        "ts": (FIRST_DAY + events[4]).astype("datetime64[us]"),
    }


def seller_tables(shop: Shop, sellers: int, product: Ints, ts: Ints) -> dict[str, dict[str, Any]]:
    """Columns of high_demand, listings and page_views; product, ts: the views in the log."""
    rng, products = shop.rng, shop.products
    views = np.bincount(product, minlength=len(products.price))
    searched = np.log1p(views) + rng.normal(0, 0.15, len(views)) - 99.0 * products.is_new
    high = np.sort(np.argsort(-searched, kind="stable")[: int(0.28 * len(views))])
    least = np.where(products.is_new, 0, 1)
    least[high] = 5
    appeal = 0.55 * np.log1p(views) - 1.5 * products.is_new
    lists = make_listings(rng, make_tastes(rng, products, sellers), shop.partners, appeal, least)
    seller, listed = np.nonzero(lists)
    months = (FIRST_DAY + ts).astype("datetime64[us]").astype("datetime64[M]")
    month = (months - months.min()).astype(np.int64)
    # A view in the log stands for six page views, spread over the sellers of the product.
    expected = np.zeros((month.max() + 1, len(views)))
    np.add.at(expected, (month, product), 6.0)
    strength = rng.lognormal(0, 0.6, lists.shape) * lists
    strength /= np.maximum(strength.sum(axis=0), 1e-12)
    counts = rng.poisson(expected[:, None, :] * strength)
    month, offering, offered = np.nonzero(counts)
    shown = {
        "product_id": names("P", offered),
        "seller_id": names("S", offering),
        "ts": (months.min() + month).astype("datetime64[us]"),
        "views": counts[counts > 0],
    }
    rows = {"seller_id": names("S", seller), "product_id": names("P", listed)}
    return {"high_demand": {"product_id": names("P", high)}, "listings": rows, "page_views": shown}


def main() -> None:
    """Read the options, write the tables, say in one line what was written."""
    parser = argparse.ArgumentParser(description="Write a small, seeded marketplace.")
    parser.add_argument("folder", type=Path)
    defaults = {"seed": 0, "products": 2000, "sellers": 300, "events": 60_000, "days": 90}
    for option, value in defaults.items():
        parser.add_argument(f"--{option}", type=int, default=value, help=f"default {value}")
    options = parser.parse_args()
    if options.products < 400 or min(options.sellers, options.days) < 10 or options.events < 1000:
        parser.error("at least 400 products, 10 sellers, 10 days and 1000 events are needed")
    there = sorted(path.name for path in options.folder.glob("*.parquet"))
    if there and "truth_complements.parquet" not in there:  # which is written first
        parser.error(f"{options.folder}: holds {there[0]}, which no earlier market left")
    rng = np.random.default_rng(options.seed)
    products = make_products(rng, options.products)
    shop = Shop(rng, products, make_partners(rng, products), make_rivals(products))
    events, bought = simulate(shop, int(options.events / EVENTS_PER_VISIT), options.days)
    query, candidate = (names("P", rows) for rows in list_truth(shop.partners, bought))
    looks = events[:, events[3] == 0]
    tables = {
        "truth_complements": {"query_id": query, "candidate_id": candidate},
        "events": events_table(events),
        "products": catalogue_table(rng, products),
        "new_products": {"product_id": names("P", np.flatnonzero(products.is_new))},
        **seller_tables(shop, options.sellers, looks[2], looks[4]),
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), options.folder / f"{name}.parquet")
    sizes = {name: len(next(iter(columns.values()))) for name, columns in tables.items()}
    sys.stderr.write(f"{options.folder}: {', '.join(f'{sizes[name]} {name}' for name in sizes)}\n")


if __name__ == "__main__":
    main()
