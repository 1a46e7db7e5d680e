"""A marketplace of any size, with sellers who specialise and an oracle that knows their tastes.

Usage: python examples/scale/simulate_marketplace.py FOLDER [--sellers 300000] [--seed 0]

FOLDER gets listings, products, high_demand, page_views and pairs (.parquet) to learn from; truth,
the held-out listings; and oracle, what a model at best could answer. Nothing here knows of any
model. By default everything follows the number of sellers: 300,000 have 100,000 high-demand and
2,000,000 additional products, 3 million high-demand and 10 million other listings, and 10 million
pairs bought together (20 million rows, both directions, equal counts).

How the market works:

- A category has about 333 high-demand and 6,700 further products of 6 types, 40 brands (a power
  law) and 12 themes: lines or styles that no table shows. A larger market has more categories, not
  larger ones; eight of them make a department. Three brands of ten sell in a whole department, the
  others in one category. A brand makes some themes more than others, and a brand's theme is a
  *cell* with a price level.
- A title has seven words: brand, type, category, a model, and three of the six words of the theme,
  which other themes use too. A quarter of all words are replaced by any words.
- Popularity is a power law. The most popular products, as seen through noise, are in high demand.
- A seller has one to three categories with shares (most often of one department), up to three
  brands and three themes that it prefers in each, and a price band; 12% sell a single brand. Sizes
  are a power law. It lists without replacement by share of the category times popularity^0.6 times
  exp(brand + theme + price fit); 5% of its listings are anything, by popularity.
- Bought together: 70% of the pairs within a theme, 15% within a category, 10% within a department,
  all of these of types that complete each other; 5% anything. Counts from 2, by a power law.
- A listing has views in one of the last six months, by popularity times a lognormal factor.
- Held out: of the high-demand listings of sellers with 5 or more 20%, rounded down, without the
  views that they had.
- The oracle ranks the high-demand products that a seller does not list by the probability that its
  tastes give them, for `--oracle-sellers` of the sellers with held-out listings.

The same arguments give the same bytes. A summary and the oracle's Recall@100 go to stderr.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from logs import Floats, Ints
from simulated_catalogue import (
    CELLS,
    Bools,
    Catalogue,
    Shelf,
    draw_catalogue,
    draw_pairs,
    list_products,
)
from simulated_sellers import (
    OUTSIDE,
    POPULARITY_POWER,
    Draws,
    Sellers,
    draw_distinct,
    draw_outside,
    draw_sellers,
    draw_tastes,
    race,
    rank_within,
    settle,
)

# what a table holds; ids as the numbers of sellers and products
Columns = Mapping[str, npt.NDArray[Any] | pa.Array]

FIRST_MONTH = np.datetime64("2024-01")
MONTHS = 6
HELD_OUT, MIN_LISTINGS = 0.2, 5
K = 100
BLOCK = 1 << 20


class Listings(NamedTuple):
    """Rows (listings,), by seller and product number: training and held-out ones."""

    seller: Ints
    product: Ints
    is_held_out: Bools


def main() -> None:
    """Write the marketplace that the options ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sellers", type=int, default=300_000)
    parser.add_argument("--high-demand", type=int, help="default: 1 for 3 sellers")
    parser.add_argument("--additional", type=int, help="products; default: 20 for 3 sellers")
    parser.add_argument("--high-demand-listings", type=int, help="default: 10 a seller")
    parser.add_argument("--other-listings", type=int, help="default: 100 for 3 sellers")
    parser.add_argument("--pairs", type=int, help="unordered ones; default: 100 for 3 sellers")
    parser.add_argument("--oracle-sellers", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if min(args.sellers, args.high_demand or args.sellers // 3) < 100:
        parser.error("a marketplace has at least 100 sellers and 100 high-demand products")
    make_marketplace(args)


def make_marketplace(args: argparse.Namespace) -> None:
    """Draw and write one table after the other."""
    sellers, rngs = args.sellers, np.random.default_rng(args.seed).spawn(6)
    catalogue = draw_catalogue(
        rngs[0], args.high_demand or sellers // 3, args.additional or sellers * 20 // 3
    )
    high = args.high_demand_listings or sellers * 10
    people = draw_sellers(
        rngs[1], catalogue, sellers, high, args.other_listings or sellers * 100 // 3
    )
    out = Output(args.folder, name_ids("S", sellers), name_ids("P", len(catalogue.number)))
    out.folder.mkdir(parents=True, exist_ok=True)
    out.write("products", list_products(rngs[2], catalogue, out.product_ids))
    high_demand = np.sort(catalogue.number[catalogue.high])
    out.write("high_demand", {"product_id": high_demand})
    pairs = draw_pairs(rngs[3], catalogue, args.pairs or sellers * 100 // 3)
    out.write("pairs", list_pairs(catalogue, *pairs))
    del pairs

    large = np.flatnonzero(people.high >= MIN_LISTINGS)
    sample = np.sort(rngs[5].permutation(large)[: args.oracle_sellers])
    draws, scores = draw_listings(rngs[4], catalogue, people, sample)
    listings = hold_out(rngs[5], catalogue, draws)
    for name, is_in in (("listings", ~listings.is_held_out), ("truth", listings.is_held_out)):
        product = catalogue.number[listings.product[is_in]]
        out.write(name, {"seller_id": listings.seller[is_in], "product_id": product})
    out.write("page_views", draw_views(rngs[5], catalogue, listings))
    answers = rank_answers(scores, listings, sellers, catalogue.number)
    ranks, product = rank_within(answers.seller) + 1, catalogue.number[answers.product]
    out.write("oracle", {"seller_id": answers.seller, "rank": ranks, "product_id": product})
    tell(catalogue, people, listings, sample, answers)


@dataclass(frozen=True)
class Output:
    """The folder, and the ids of all sellers and of all products by number."""

    folder: Path
    seller_ids: pa.Array
    product_ids: pa.Array

    def write(self, name: str, columns: Columns) -> None:
        """Write a table block by block, so that no id is spelt out for all rows at once."""
        count = len(next(iter(columns.values())))
        first = self.make_block(columns, slice(0, BLOCK))
        with pq.ParquetWriter(self.folder / f"{name}.parquet", first.schema) as writer:
            for start in range(0, count, BLOCK):
                writer.write_table(self.make_block(columns, slice(start, start + BLOCK)))

    def make_block(self, columns: Columns, part: slice) -> pa.Table:
        """Some of the rows, with numbers in columns of ids as ids."""
        block = {}
        for name, column in columns.items():
            values = pa.array(column[part])
            if name.endswith("_id") and not pa.types.is_string(values.type):
                values = (self.seller_ids if name == "seller_id" else self.product_ids).take(values)
            block[name] = values
        return pa.table(block)


def name_ids(letter: str, count: int) -> pa.Array:
    """Ids of seven digits behind a letter, from 1."""
    digits = pc.utf8_lpad(pa.array(np.arange(1, count + 1)).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise(letter, digits, "")


def list_pairs(catalogue: Catalogue, x: Ints, y: Ints, count: Ints) -> Columns:
    """The pairs table, both directions: complements all, none of them looked at together."""
    products = len(catalogue.number)
    query = catalogue.number[np.concatenate([x, y])]
    candidate = catalogue.number[np.concatenate([y, x])]
    order = np.argsort(query * products + candidate)
    query, candidate, count = query[order], candidate[order], np.concatenate([count, count])[order]
    customers = np.bincount(query, count, minlength=products).astype(np.int64) + 1
    none = np.zeros(len(count), np.int64)
    lift = count * (customers.sum() / customers[query] / customers[candidate])
    return {
        "query_id": query,
        "candidate_id": candidate,
        "co_purchase": count,
        "co_view": none,
        "purchase_after_view": none,
        "query_count": customers[query],
        "candidate_count": customers[candidate],
        "lift": lift,
        "complement": none == 0,
        "similar": none != 0,
    }


def draw_listings(
    rng: np.random.Generator, catalogue: Catalogue, sellers: Sellers, sample: Ints
) -> tuple[list[Draws], list[Draws]]:
    """Category by category what each seller lists, and the oracle's scores for the sample.

    A score is a draw whose time is minus the probability of the product for the seller.
    """
    products, weight = np.arange(len(catalogue.cell)), catalogue.popularity**POPULARITY_POWER
    cells = len(catalogue.level)
    high, other = (
        Shelf(products[is_in], catalogue.cell[is_in], weight[is_in], cells)
        for is_in in (catalogue.high, ~catalogue.high)
    )
    anyhow = weight / weight[catalogue.high].sum() * OUTSIDE
    outside = draw_outside(rng, other, sellers.other)
    inside = sellers.other - np.bincount(outside.seller, minlength=len(sellers.other))
    split = rng.multinomial(inside, sellers.share)
    races, others = [draw_outside(rng, high, sellers.high)], [outside]
    scores = [offer(sample, high.rows, anyhow[high.rows])]
    for category in range(len(catalogue.traffic)):
        who, place = np.nonzero((sellers.category == category) & (sellers.share > 0))
        tastes = draw_tastes(rng, catalogue, sellers, category, who)
        row, product = draw_distinct(rng, tastes, split[who, place], other, category)
        others.append(Draws(who[row], product, np.zeros(len(row), np.float32)))

        ends = np.searchsorted(high.group, [category * CELLS, (category + 1) * CELLS])
        rows = high.rows[slice(*ends)]
        chances = tastes[:, catalogue.cell[rows] - category * CELLS]
        chances *= weight[rows].astype(np.float32)
        chances *= (sellers.share[who, place] / chances.sum(axis=1))[:, None].astype(np.float32)
        races.append(race(rng, chances, who, sellers.high[who], rows))
        known = np.isin(who, sample)
        score = chances[known] * np.float32(1 - OUTSIDE) + anyhow[rows].astype(np.float32)
        row, column = np.indices(score.shape).reshape(2, -1)
        scores.append(Draws(who[known][row], rows[column], -score.ravel()))
    everything = np.full(len(sellers.other), len(products))
    listed = [
        settle(races, sellers.high, len(products)),
        settle(others, everything, len(products)),
    ]
    return listed, scores


def offer(sellers: Ints, products: Ints, weight: Floats, count: int = 3 * K) -> Draws:
    """The `count` products of the largest weight for each of the sellers, as draws."""
    best = np.argsort(-weight, kind="stable")[:count]
    return Draws(
        np.repeat(sellers, len(best)),
        np.tile(products[best], len(sellers)),
        np.tile(-weight[best].astype(np.float32), len(sellers)),
    )


def hold_out(rng: np.random.Generator, catalogue: Catalogue, draws: list[Draws]) -> Listings:
    """Hold out HELD_OUT of each seller's high-demand listings, rounded down, from MIN_LISTINGS."""
    seller = draws[0].seller
    order = np.lexsort((rng.random(len(seller)), seller))
    size = np.bincount(seller)
    held = np.where(size < MIN_LISTINGS, 0, (size * HELD_OUT + 1e-9).astype(np.int64))
    is_held_out = np.zeros(len(seller) + len(draws[1].seller), np.bool_)
    is_held_out[order] = rank_within(seller) < held[seller]
    seller, product = (np.concatenate(part) for part in zip(*(d[:2] for d in draws), strict=True))
    order = np.argsort(seller * len(catalogue.number) + catalogue.number[product])
    return Listings(seller[order], product[order], is_held_out[order])


def draw_views(rng: np.random.Generator, catalogue: Catalogue, listings: Listings) -> Columns:
    """The page views of each training listing, in one of the months."""
    seller, product = (column[~listings.is_held_out] for column in listings[:2])
    views = 5 * catalogue.popularity[product] * rng.lognormal(0, 1, len(seller))
    month = FIRST_MONTH + rng.integers(MONTHS, size=len(seller))
    return {
        "product_id": catalogue.number[product],
        "seller_id": seller,
        "views": 1 + np.minimum(views, 1e6).astype(np.int64),
        "ts": month.astype("datetime64[us]"),
    }


def rank_answers(scores: list[Draws], listings: Listings, sellers: int, number: Ints) -> Draws:
    """The K best offers to each seller that it does not list in training, by seller and rank."""
    training = ~listings.is_held_out
    listed = listings.seller[training] * len(number) + number[listings.product[training]]
    unlisted = []
    for part in scores:
        key = part.seller * len(number) + number[part.product]
        place = np.searchsorted(listed, key).clip(max=len(listed) - 1)
        unlisted.append(Draws(*(column[listed[place] != key] for column in part)))
    return settle(unlisted, np.full(sellers, K), len(number))


def find_recall(answers: Draws, listings: Listings, products: int) -> float:
    """Hits / min(K, held-out), averaged over the answered sellers with held-out listings."""
    seller, product = (column[listings.is_held_out] for column in listings[:2])
    asked = np.unique(answers.seller)
    hit = np.isin(answers.seller * products + answers.product, seller * products + product)
    hits = np.bincount(answers.seller[hit], minlength=asked[-1] + 1)[asked]
    held = np.bincount(seller, minlength=asked[-1] + 1)[asked]
    return float(np.mean(hits[held > 0] / np.minimum(held[held > 0], K)))


def tell(
    catalogue: Catalogue, sellers: Sellers, listings: Listings, sample: Ints, answers: Draws
) -> None:
    """Print to stderr what the marketplace is like and how much can be foretold of it."""
    count, products = len(sellers.high), len(catalogue.number)
    is_high = catalogue.high[listings.product]
    training, known = ~listings.is_held_out, int(catalogue.high.sum())
    size = np.bincount(listings.seller[training], minlength=count)
    sold = np.bincount(listings.product[training & is_high], minlength=products)
    rows = np.flatnonzero(catalogue.high)
    popular = offer(sample, rows, sold[rows].astype(np.float64), 10 * K)
    popular = rank_answers([popular], listings, count, catalogue.number)
    recalls = [find_recall(found, listings, products) for found in (answers, popular)]
    lines = [
        f"{count} sellers, {known} high-demand and {products - known} additional products, "
        f"{len(catalogue.traffic)} categories",
        f"{is_high.sum()} high-demand listings, {listings.is_held_out.sum()} of them held out; "
        f"{(~is_high).sum()} other listings",
        f"sparsity of the affinity matrix {1 - is_high.sum() / count / known:.6f}",
        f"training listings of a seller: median {np.median(size):.0f}, "
        f"mean {size.mean():.1f}, largest {size.max()}, {np.mean(size < 10):.0%} below 10",
        f"Recall@{K} over {len(sample)} sellers: oracle {recalls[0]:.3f}, "
        f"popularity {recalls[1]:.3f}",
    ]
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
