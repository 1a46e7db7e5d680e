"""Seconds and peak memory of `evaluate` on a million queries, one thread: a folder to work in."""

import argparse
import resource
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from processes import run_command

LENGTH = 10
HELD_OUT = 2


def name(prefix: str, numbers: npt.NDArray[np.int64]) -> pa.Array:
    """Ids of a shop: a prefix and eight digits."""
    texts = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0")
    return pc.binary_join_element_wise(prefix, texts, "")


def make_tables(folder: Path, queries: int, seed: int) -> None:
    """Lists of ten for every query, two held-out and two training pairs each, and the catalogue.

    The candidates of a query are drawn from a window of the catalogue, so that some hit.
    """
    generator = np.random.default_rng(seed)
    own = np.arange(queries)
    # a step that shares no factor with the window visits ten distinct places of it
    window = 101
    first = generator.integers(0, window, queries)[:, None]
    shown = (own[:, None] + 1 + (first + 7 * np.arange(LENGTH)) % window) % queries
    score = np.sort(generator.random((queries, LENGTH)), axis=1)[:, ::-1]
    lists = {
        "query_id": name("p", np.repeat(own, LENGTH)),
        "rank": np.tile(np.arange(1, LENGTH + 1), queries),
        "product_id": name("p", shown.ravel()),
        "score": score.ravel(),
    }
    pq.write_table(pa.table(lists), folder / "recs.parquet")
    for table in ("truth", "train"):
        bought = (own[:, None] + 1 + generator.integers(0, window, (queries, HELD_OUT))) % queries
        pairs = np.unique(np.repeat(own, HELD_OUT) * queries + bought.ravel())
        columns = {
            "query_id": name("p", pairs // queries),
            "candidate_id": name("p", pairs % queries),
            "co_purchase": generator.integers(1, 9, len(pairs)),
        }
        pq.write_table(pa.table(columns), folder / f"{table}.parquet")
    types = pc.binary_join_element_wise("type ", pa.array(own % 200).cast(pa.string()), "")
    catalogue = {"product_id": name("p", own), "product_type": types}
    pq.write_table(pa.table(catalogue), folder / "products.parquet")


def processor_seconds() -> float:
    """What the commands so far took of a processor: less than the clock says on a busy machine."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Make the tables where they are missing, measure, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    folder = options.folder / f"evaluate-{options.queries}"
    if not (folder / "products.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_tables(folder, options.queries, seed=0)
    words = [sys.executable, "-m", "cprtools", "evaluate", str(folder / "recs.parquet")]
    for table in ("truth", "train", "products"):
        words += [f"--{table}", str(folder / f"{table}.parquet")]
    words += ["-o", str(folder / "metrics.parquet"), "--threads", "1", "--quiet"]
    for _ in range(options.repeats):
        before = processor_seconds()
        cost = run_command(words)
        used = processor_seconds() - before
        sys.stdout.write(
            f"{cost.seconds:.1f} s, of a processor {used:.1f} s, {cost.peak_gigabytes:.2f} GB\n"
        )


if __name__ == "__main__":
    main()
