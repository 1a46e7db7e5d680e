"""A market small enough to store: every kind of table, and what the commands make of it.

`python -m tests.robust.market FOLDER` writes it; version 0.1.0 wrote tests/robust/stored/ so.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests import forking
from tests.cli.commands import write

KINDS = "ABC"
EACH = 10
SELLERS = 16
IDS = [f"{kind}{i}" for kind in KINDS for i in range(EACH)]
# tables of the user, and commands in the order that each needs the one before
RAW = ("events", "relations", "products", "listings", "views", "high_demand")
COMMANDS = {
    "pairs.parquet": "mine-pairs events.parquet",
    "text.parquet": "embed-text products.parquet --method static --dim 8",
    "graph": "build-graph --listings listings.parquet --pairs pairs.parquet "
    "--products products.parquet --high-demand high_demand.parquet --views views.parquet "
    "--min-bought-together 1",
    "cpr.model": "train-cpr pairs.parquet --products products.parquet --vectors text.parquet "
    "--epochs 2",
    "seller.model": "train-linkpred graph --vectors text.parquet --embedding-dim 8 --num-layers 2 "
    "--epochs 2 --networks 1",
    "recs.parquet": "recommend --model cpr.model --all -k 3",
    "seller_recs.parquet": "recommend --model seller.model --all --threshold 0 -k 3",
    "metrics.parquet": "evaluate recs.parquet --truth pairs.parquet --bootstrap 50",
    "train.parquet": "split listings.parquet --by seller_id --fraction 0.2 --test-out test.parquet",
}
# the network of a usual size would be most of what is stored
_MAIN = """
from cprtools.cli import main
from cprtools.cpr import config
config._PRESET_VALUES["default"] = dict.fromkeys(
    ("embedding_dim", "type_dim", "hidden_dim", "attribute_dim"), 8)
main()
"""


def make_raw(folder):
    """The user's own tables: purchases and views where A is completed by B, and B by C."""
    rng = np.random.default_rng(0)
    events, at = [], 1_700_000_000
    for customer in range(150):
        i = int(rng.integers(EACH))
        bought = [f"A{i}", f"B{i}"] if customer % 2 else [f"B{i}", f"C{i}"]
        viewed = [f"A{i}", f"A{(i + 1) % EACH}"]
        for kind, ids in (("purchase", bought), ("view", viewed)):
            events += [(f"K{customer}", product, kind, at := at + 60) for product in ids]
    columns = zip(*events, strict=True)
    write(folder / "events.parquet", **dict(zip(("customer_id", "product_id", "event", "ts"),
          map(list, columns), strict=True)))  # fmt: skip
    write(folder / "relations.parquet", query_id=["A1", "A2"], candidate_id=["B1", "B2"],
          relation=["also_bought", "also_viewed"], count=[3, 2])  # fmt: skip
    write(folder / "products.parquet", product_id=IDS, title=[f"Title number {i}" for i in IDS],
          category=["Alpha" if i[0] == "A" else "Beta" for i in IDS],
          product_type=[f"type {i[0]}" for i in IDS], brand=[f"brand {i[1]}" for i in IDS],
          price=[float(n + 1) for n in range(len(IDS))])  # fmt: skip
    listed = [
        (f"S{s}", IDS[p])
        for s in range(SELLERS)
        for p in rng.choice(len(IDS), 9, replace=False).tolist()
    ]
    sellers, products = (list(column) for column in zip(*listed, strict=True))
    write(folder / "listings.parquet", seller_id=sellers, product_id=products)
    views = rng.integers(1, 90, len(IDS))
    write(folder / "views.parquet", product_id=IDS, views=pa.array(views, pa.int64()))
    write(folder / "high_demand.parquet", product_id=IDS[::2] + IDS[1::4])


def make(folder, targets=tuple(COMMANDS)):
    """The tables, and then what the commands make of them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make_raw(folder)
    for target in targets:
        words = [*COMMANDS[target].split(), "--threads", "1", "-q", "-o", target]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        forking.run(words, folder, env=environment, program=_MAIN).check_returncode()


if __name__ == "__main__":
    make(sys.argv[1])
