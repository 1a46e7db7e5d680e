"""The products of a simulated marketplace and what is bought together (simulate_marketplace.py)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from logs import Floats, Ints

Bools = npt.NDArray[np.bool_]

DEPARTMENT = 8  # categories that share brands and sellers
HIGH_DEMAND_PER_CATEGORY = 333
BRANDS, THEMES, TYPES = 40, 12, 6  # of a category
CELLS = BRANDS * THEMES

GENERAL_WORDS, THEME_WORDS, MODEL_WORDS = 6000, 6, 20_000
TITLE_NOISE = 0.25
SYLLABLES = [a + b for a in "bcdfghjklmnprstvwyzx" for b in "aeiou"]

SAME_THEME, SAME_CATEGORY, SAME_DEPARTMENT = 0.70, 0.15, 0.10  # the rest: anything


@dataclass(frozen=True)
class Catalogue:
    """Products in the order of their cells: arrays are (products,) where not said otherwise.

    cell: (category * BRANDS + brand slot) * THEMES + theme. number: what the id shows, in no order.
    brand_of: (categories, BRANDS) brand of each slot. level: (cells,) log price beside the type's.
    traffic: (categories,) share of the products, and of the sellers.
    """

    cell: Ints
    product_type: Ints
    number: Ints
    price: Floats
    popularity: Floats
    high: Bools
    brand_of: Ints
    level: Floats
    traffic: Floats

    @property
    def category(self) -> Ints:
        """(products,) category."""
        return self.cell // CELLS

    @property
    def theme(self) -> Ints:
        """(products,) theme within the category; no table shows it."""
        return self.cell % THEMES


def draw_catalogue(rng: np.random.Generator, high_demand: int, additional: int) -> Catalogue:
    """Categories, their brands, themes and price levels, and the products of each cell."""
    count, categories = high_demand + additional, max(4, high_demand // HIGH_DEMAND_PER_CATEGORY)
    traffic = rng.lognormal(0, 0.5, categories)
    traffic /= traffic.sum()
    # a power law of brands; a brand makes more of some themes than of others
    width = rng.lognormal(0, 1, (categories, BRANDS, THEMES)) / np.arange(2, BRANDS + 2)[:, None]
    share = traffic[:, None] * width.reshape(categories, CELLS) / width.sum(axis=(1, 2))[:, None]
    cell = np.repeat(np.arange(share.size), rng.multinomial(count, share.ravel()))
    category = cell // CELLS

    kinds = rng.dirichlet(np.full(TYPES, 3.0), categories).cumsum(axis=1)
    product_type = (kinds[category, :-1] < rng.random(count)[:, None]).sum(axis=1)
    level = 0.5 * rng.standard_normal((categories, BRANDS, 1))
    level = level + 0.25 * rng.standard_normal((categories, 1, THEMES))
    level = (level + 0.1 * rng.standard_normal((categories, BRANDS, THEMES))).ravel()
    price = np.exp(rng.normal(3, 0.9, (categories, TYPES)))[category, product_type]
    price = np.round(price * np.exp(level[cell] + rng.normal(0, 0.12, count)), 2).clip(0.5)

    popularity = 1 + rng.pareto(1.2, count)
    demand = np.log(popularity) + rng.normal(0, 0.5, count)
    high = np.zeros(count, np.bool_)
    high[np.argpartition(-demand, high_demand - 1)[:high_demand]] = True

    # three brands of ten sell in the whole department, the others in one category
    own = np.arange(categories * BRANDS).reshape(categories, BRANDS)
    first = np.arange(categories) // DEPARTMENT * DEPARTMENT
    brand_of = np.where(rng.random(own.shape) < 0.3, own[first], own)
    number = rng.permutation(count)
    return Catalogue(cell, product_type, number, price, popularity, high, brand_of, level, traffic)


def list_products(
    rng: np.random.Generator, catalogue: Catalogue, ids: pa.Array
) -> dict[str, pa.Array]:
    """The products table by id: titles tell of the theme, a quarter of their words of nothing."""
    categories = len(catalogue.traffic)
    theme_words = rng.integers(GENERAL_WORDS, size=(categories * THEMES, THEME_WORDS))
    at_brand = GENERAL_WORDS + MODEL_WORDS
    at_category = at_brand + categories * BRANDS
    at_type = at_category + categories
    words = make_words(at_type + categories * TYPES)

    order = np.argsort(catalogue.number)
    cell, category = catalogue.cell[order], catalogue.category[order]
    line = category * THEMES + cell % THEMES
    brand = at_brand + catalogue.brand_of.ravel()[cell // THEMES]
    kind = at_type + category * TYPES + catalogue.product_type[order]
    of_theme = [theme_words[line, rng.integers(THEME_WORDS, size=len(order))] for _ in range(3)]
    model = GENERAL_WORDS + rng.integers(MODEL_WORDS, size=len(order))
    title = []
    for column in (
        brand,
        of_theme[0],
        kind,
        of_theme[1],
        at_category + category,
        of_theme[2],
        model,
    ):
        noise = rng.integers(GENERAL_WORDS, size=len(order))
        title.append(words.take(np.where(rng.random(len(order)) < TITLE_NOISE, noise, column)))
    return {
        "product_id": ids,
        "title": pc.binary_join_element_wise(*title, " "),
        "category": words.take(at_category + category),
        "product_type": words.take(kind),
        "brand": words.take(brand),
        "price": pa.array(catalogue.price[order]),
    }


def make_words(count: int) -> pa.Array:
    """So many different words of three syllables; neighbours have nothing in common."""
    # coprime with the million of possible words, so that none comes twice
    number = np.arange(count) * 617_371 % len(SYLLABLES) ** 3
    syllables = pa.array(SYLLABLES)
    parts = [syllables.take(number // 100**place % 100) for place in range(3)]
    return pc.binary_join_element_wise(*parts, "")


class Shelf:
    """Products in groups, drawn by weight within a group or over all of them."""

    def __init__(self, rows: Ints, group: Ints, weight: Floats, groups: int) -> None:
        """rows: (products,) what is drawn; group, weight: (products,) of each row."""
        order = np.argsort(group, kind="stable")
        self.rows, self.group = rows[order], group[order]
        self.total = np.cumsum(weight[order])
        self.mass = np.bincount(group, weight, minlength=groups)
        size = np.bincount(group, minlength=groups)
        self.start = np.concatenate([[0.0], self.total])[np.cumsum(size) - size]

    def draw(self, rng: np.random.Generator, group: Ints) -> Ints:
        """A row of each group; of an empty group, a row of another."""
        place = self.start[group] + rng.random(len(group)) * self.mass[group]
        return self.find(place)

    def draw_any(self, rng: np.random.Generator, count: int) -> Ints:
        """So many rows by weight over all groups."""
        place = rng.random(count) * self.total[-1]
        return self.find(place)

    def find(self, place: Floats) -> Ints:
        """The rows at places of the running total; rounding may put one behind the end."""
        at = np.searchsorted(self.total, place, side="right")
        rows: Ints = self.rows[np.minimum(at, len(self.rows) - 1)]
        return rows


def draw_pairs(
    rng: np.random.Generator, catalogue: Catalogue, pairs: int
) -> tuple[Ints, Ints, Ints]:
    """So many unordered pairs bought together, as rows x < y, and their counts from 2, (pairs,)."""
    group = (catalogue.category * THEMES + catalogue.theme) * TYPES + catalogue.product_type
    groups = len(catalogue.traffic) * THEMES * TYPES
    rows = np.arange(len(group))
    shelf = Shelf(rows, group, catalogue.popularity**0.6, groups)
    drawn = keys = np.zeros(0, np.int64)
    for more in draw_partners(rng, catalogue, shelf, group, pairs):
        drawn = np.concatenate([drawn, more])
        keys, times = np.unique(drawn, return_counts=True)
        if len(keys) >= pairs:
            break
    chosen = np.sort(rng.choice(len(keys), pairs, replace=False))
    count = times[chosen] + np.minimum(rng.zipf(2.2, pairs), 500)
    x, y = np.divmod(keys[chosen], len(group))
    return x, y, count


def draw_partners(
    rng: np.random.Generator, catalogue: Catalogue, shelf: Shelf, group: Ints, pairs: int
) -> Iterator[Ints]:
    """Rounds of keys x * products + y of pairs drawn, x < y; some are drawn many times."""
    for _ in range(100):
        x = shelf.draw_any(rng, pairs)
        how = rng.random(pairs)
        category = catalogue.category[x]
        near = category // DEPARTMENT * DEPARTMENT + rng.integers(DEPARTMENT, size=pairs)
        near = np.minimum(near, len(catalogue.traffic) - 1)
        abroad = SAME_THEME + SAME_CATEGORY
        category = np.where(how < abroad, category, near)
        theme = np.where(how < SAME_THEME, catalogue.theme[x], rng.integers(THEMES, size=pairs))
        # types stand in a ring: each completes its two neighbours
        step = np.where(rng.random(pairs) < 0.5, 1, TYPES - 1)
        wanted = (category * THEMES + theme) * TYPES + (catalogue.product_type[x] + step) % TYPES
        y = shelf.draw(rng, wanted)
        fits = group[y] == wanted
        anything = how >= abroad + SAME_DEPARTMENT
        y[anything] = shelf.draw_any(rng, int(anything.sum()))
        kept = (x != y) & (fits | anything)
        yield (np.minimum(x, y) * len(group) + np.maximum(x, y))[kept]
    raise SystemExit(f"{pairs} pairs are more than this catalogue has")
