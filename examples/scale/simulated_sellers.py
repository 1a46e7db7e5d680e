"""The sellers of a simulated marketplace and what they list (simulate_marketplace.py)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from logs import Floats, Ints
from simulated_catalogue import BRANDS, CELLS, DEPARTMENT, THEMES, Bools, Catalogue, Shelf

Floats32 = npt.NDArray[np.float32]

SPECIALITIES = 3
HAS_SECOND, HAS_THIRD, SAME_DEPARTMENT = 0.55, 0.2, 0.7
SINGLE_BRAND = 0.12
BRAND_PULL = (2.5, 2.0, 1.5)  # log odds of a preferred brand, by preference
THEME_PULL = (2.0, 1.6, 1.2)
ONLY = 8.0  # log odds of a single-brand seller's brand
PRICE_BAND = 0.5  # of log price
OUTSIDE = 0.05  # of the listings: anything, by popularity
POPULARITY_POWER = 0.6
SIZE_TAIL, SIZE_SCALE, LARGEST = 1.3, 13.0, 3000
HIGH_DEMAND_LIMIT = 0.4  # of the high-demand products of its categories, all that a seller lists


@dataclass(frozen=True)
class Sellers:
    """Arrays are (sellers,), `category` and `share` (sellers, SPECIALITIES), a share of 0: none.

    high, other: listings of high-demand and of other products. level: the price band's middle.
    """

    high: Ints
    other: Ints
    category: Ints
    share: Floats
    level: Floats
    is_single: Bools


class Draws(NamedTuple):
    """Candidates of listings, (rows,) each: the smaller the time, the earlier it was listed."""

    seller: Ints
    product: Ints
    time: Floats32


def draw_sellers(
    rng: np.random.Generator, catalogue: Catalogue, sellers: int, high: int, other: int
) -> Sellers:
    """Sizes by a power law, one to three specialities, mostly of one department."""
    size = np.minimum(SIZE_SCALE * rng.pareto(SIZE_TAIL, sellers), LARGEST)
    part = rng.beta(3, 10, sellers)
    is_single = rng.random(sellers) < SINGLE_BRAND
    total = np.cumsum(catalogue.traffic)
    last = len(total) - 1
    category = np.searchsorted(total, rng.random((sellers, SPECIALITIES)) * total[-1])
    first = category[:, :1] // DEPARTMENT * DEPARTMENT
    beside = np.minimum(first + rng.integers(DEPARTMENT, size=category.shape), last)
    is_beside = rng.random(category.shape) < SAME_DEPARTMENT
    category[:, 1:] = np.where(is_beside, beside, category)[:, 1:]
    weight = rng.gamma((2.0, 1.0, 0.7), size=category.shape)
    more = rng.random(sellers)
    weight[:, 1] *= (more < HAS_SECOND) & ~is_single & (category[:, 1] != category[:, 0])
    weight[:, 2] *= (more < HAS_THIRD) & ~is_single
    weight[:, 2] *= (category[:, 2] != category[:, 0]) & (category[:, 2] != category[:, 1])
    known = np.bincount(catalogue.category[catalogue.high], minlength=last + 1)
    limit = HIGH_DEMAND_LIMIT * (known[category] * (weight > 0)).sum(axis=1)
    return Sellers(
        high=scale(rng, size * part, high, limit),
        other=np.maximum(1, scale(rng, size * (1 - part), other, np.full(sellers, LARGEST))),
        category=category,
        share=weight / weight.sum(axis=1, keepdims=True),
        level=rng.normal(0, 0.5, sellers),
        is_single=is_single,
    )


def scale(rng: np.random.Generator, sizes: Floats, total: int, limit: Floats) -> Ints:
    """Whole numbers in proportion to the sizes, up to the limits, adding up to about the total."""
    factor = 1.0
    for _ in range(30):
        factor *= total / np.minimum(sizes * factor, limit).sum()
    return np.floor(np.minimum(sizes * factor, limit) + rng.random(len(sizes))).astype(np.int64)


def draw_tastes(
    rng: np.random.Generator, catalogue: Catalogue, sellers: Sellers, category: int, who: Ints
) -> Floats32:
    """How much likelier than by popularity each cell of the category is, (who, CELLS).

    exp(brand + theme + price fit): up to three brands, the larger ones more often, up to three
    themes, and a price band.
    """
    rows = np.arange(len(who))
    brand = np.zeros((len(who), BRANDS), np.float32)
    theme = np.zeros((len(who), THEMES), np.float32)
    known = np.cumsum(1 / np.arange(2, BRANDS + 2))
    brands, themes = rng.integers(1, 4, (2, len(who)))
    for place in reversed(range(3)):
        liked = np.searchsorted(known, rng.random(len(who)) * known[-1])
        single = sellers.is_single[who]
        pull = np.where(single, ONLY * (place == 0), BRAND_PULL[place] * (place < brands))
        brand[rows, liked] = np.maximum(brand[rows, liked], pull)
        liked = rng.integers(THEMES, size=len(who))
        pull = THEME_PULL[place] * (place < themes)
        theme[rows, liked] = np.maximum(theme[rows, liked], pull)
    level = catalogue.level[category * CELLS : (category + 1) * CELLS].astype(np.float32)
    fit = (level - sellers.level[who, None].astype(np.float32)) / np.float32(PRICE_BAND)
    taste = (brand[:, :, None] + theme[:, None, :]).reshape(len(who), CELLS)
    taste -= fit * fit / 2
    tastes: Floats32 = np.exp(taste)
    return tastes


def race(
    rng: np.random.Generator, chances: Floats32, who: Ints, wanted: Ints, products: Ints
) -> Draws:
    """Per seller the `wanted` products first drawn without replacement, each with its time.

    chances: (who, products). An exponential race (Efraimidis and Spirakis, 2006): times of several
    categories compare, so that a seller's first ones over all its categories are its listings.
    """
    times = rng.standard_exponential(chances.shape, np.float32) / chances
    kept = np.minimum(wanted, len(products))
    at = np.sort(times, axis=1)[np.arange(len(who)), np.maximum(kept - 1, 0)]
    row, column = np.nonzero((times <= at[:, None]) & (kept > 0)[:, None])
    return Draws(who[row], products[column], times[row, column])


def settle(draws: list[Draws], wanted: Ints, products: int) -> Draws:
    """Each seller's `wanted` earliest different products, sorted; wanted: (sellers,)."""
    seller = np.concatenate([part.seller for part in draws])
    product = np.concatenate([part.product for part in draws])
    time = np.concatenate([part.time for part in draws])
    key = seller * products + product
    order = np.lexsort((time, key))
    key = key[order]
    order = order[np.concatenate([[True], key[1:] != key[:-1]])]
    order = order[np.lexsort((time[order], seller[order]))]
    order = order[rank_within(seller[order]) < wanted[seller[order]]]
    return Draws(seller[order], product[order], time[order])


def rank_within(groups: Ints) -> Ints:
    """Place of each row within its group, from 0; groups: (rows,) sorted."""
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    sizes = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups)) - np.repeat(starts, sizes)


def draw_distinct(
    rng: np.random.Generator, tastes: Floats32, wanted: Ints, shelf: Shelf, category: int
) -> tuple[Ints, Ints]:
    """Per seller the first `wanted` different products: a cell by taste, a product of the cell.

    tastes: (sellers, CELLS); wanted: (sellers,). Returns rows of tastes and of products. Where a
    seller's taste is nearly used up, fewer than wanted.
    """
    at = category * CELLS
    ladder = np.cumsum(tastes * shelf.mass[at : at + CELLS], axis=1, dtype=np.float64)
    ladder /= ladder[:, -1:]
    ladder += np.arange(len(tastes))[:, None]
    steps, products = ladder.ravel(), int(shelf.rows.max()) + 1
    done, drawn = [], np.zeros(0, np.int64)
    short = np.flatnonzero(wanted)
    for attempt in range(6):
        row = np.repeat(short, (wanted[short] * 3 // 2 + 2) * 2**attempt)
        cell = np.searchsorted(steps, row + rng.random(len(row)), side="right")
        cell = np.clip(cell, row * CELLS, row * CELLS + CELLS - 1) - row * CELLS
        drawn = np.concatenate([drawn, row * products + shelf.draw(rng, at + cell)])
        # different ones in the order of their drawing: what without replacement means
        _, first = np.unique(drawn, return_index=True)
        drawn = drawn[np.sort(first)]
        drawn = drawn[np.argsort(drawn // products, kind="stable")]
        drawn = drawn[rank_within(drawn // products) < wanted[drawn // products]]
        found = np.bincount(drawn // products, minlength=len(wanted))
        short = short[found[short] < wanted[short]]
        is_short = np.isin(drawn // products, short)
        done.append(drawn[~is_short])
        drawn = drawn[is_short]
        if not len(short):
            break
    return np.divmod(np.concatenate([*done, drawn]), products)


def draw_outside(rng: np.random.Generator, shelf: Shelf, wanted: Ints) -> Draws:
    """Listings of anything by popularity: OUTSIDE of each seller's; before all of its others."""
    count = rng.binomial(wanted, OUTSIDE)
    seller = np.repeat(np.arange(len(wanted)), count)
    product = shelf.draw_any(rng, len(seller))
    return Draws(seller, product, -rng.random(len(seller), np.float32))
