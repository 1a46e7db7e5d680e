"""An event log of any size, day by day, as a shop's tracking leaves it.

Usage: python examples/scale/logs.py OUT [--events 10000000] [--customers N] [--products N]

OUT becomes a folder partitioned by date. Skew is that of shops: few customers make many of the
visits, few products get most of the views. A visit stays within one kind of product and looks at
some of them; of its events 25% are purchases, mostly of what was viewed, else of a product of the
kind that completes it. Shares no code with the mining it serves to measure.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FIRST_DAY = np.datetime64("2024-01-01")
DAY = 86_400_000_000
KIND_SIZE = 400
VIEWS_PER_VISIT = 4.0
PURCHASES_PER_VIEW = 1 / 3


@dataclass(frozen=True)
class Shop:
    """Sizes of a log; `customers` and `products` default to a fixed share of the events."""

    events: int
    customers: int
    products: int
    days: int
    seed: int


def main() -> None:
    """Write the log that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--customers", type=int, help="default: one for 25 events")
    parser.add_argument("--products", type=int, help="default: one for 50 events")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    customers, products = args.customers or args.events // 25, args.products or args.events // 50
    shop = Shop(args.events, max(2, customers), max(2, products), args.days, args.seed)
    for day, table in enumerate(draw_days(shop)):
        folder = Path(args.out) / f"date={FIRST_DAY + day}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "part-0.parquet", compression="zstd")


def draw_days(shop: Shop) -> Iterator[pa.Table]:
    """One table a day, sorted by time; together exactly `shop.events` rows."""
    draw = np.random.default_rng(shop.seed)
    visitors = np.cumsum(draw.lognormal(0, 1.2, shop.customers))
    names = draw.permutation(shop.products)
    visits = 0
    for day in range(shop.days):
        size = shop.events * (day + 1) // shop.days - shop.events * day // shop.days
        customer, visit, product, purchase, time = draw_events(draw, shop, visitors, size)
        order = np.argsort(time, kind="stable")[:size]
        yield pa.table(
            {
                "customer_id": write_ids("C", customer[order]),
                "session_id": write_ids("S", visit[order] + visits),
                "product_id": write_ids("P", names[product[order]]),
                "event": pc.if_else(pa.array(purchase[order]), "purchase", "view"),
                "ts": pa.array((FIRST_DAY + day).astype("datetime64[us]") + time[order]),
            }
        )
        visits += int(visit.max()) + 1


def draw_events(
    draw: np.random.Generator, shop: Shop, visitors: Floats, size: int
) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bool_], Ints]:
    """At least `size` events of one day: customer, visit, product, is a purchase, microsecond."""
    count = int(size / (VIEWS_PER_VISIT * (1 + PURCHASES_PER_VIEW)) * 1.1) + 20
    who = np.searchsorted(visitors, draw.random(count) * visitors[-1])
    views = draw.geometric(1 / VIEWS_PER_VISIT, count)
    kinds = max(1, shop.products // KIND_SIZE)
    kind = (kinds * draw.random(count) ** 2).astype(np.int64)
    start = draw.integers(0, DAY - 7_200_000_000, count)

    visit = np.repeat(np.arange(count), views)
    product = draw_products(draw, kind[visit], kinds, shop.products)
    seconds = draw.integers(0, 3600, len(visit))

    # a purchase: of a product just viewed, or of the kind that completes this one
    bought = np.flatnonzero(draw.random(len(visit)) < PURCHASES_PER_VIEW)
    completing = draw_products(draw, (kind[visit[bought]] + 1) % kinds, kinds, shop.products)
    item = np.where(draw.random(len(bought)) < 0.7, product[bought], completing)
    later = seconds[bought] + draw.integers(1, 3600, len(bought))

    visit_all = np.concatenate([visit, visit[bought]])
    purchase = np.repeat([False, True], [len(visit), len(bought)])
    time = start[visit_all] + np.concatenate([seconds, later]) * 1_000_000
    return who[visit_all], visit_all, np.concatenate([product, item]), purchase, time


def draw_products(draw: np.random.Generator, kind: Ints, kinds: int, products: int) -> Ints:
    """One product of each kind, the first of a kind most often (a power law)."""
    place = (KIND_SIZE * draw.random(len(kind)) ** 3).astype(np.int64)
    return (kind + kinds * place) % products


def write_ids(letter: str, numbers: Ints) -> pa.Array:
    """Ids of eight digits behind a letter."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0")
    return pc.binary_join_element_wise(letter, digits, "")


if __name__ == "__main__":
    main()
