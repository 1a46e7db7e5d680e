"""Exact against approximate search over the size of a catalogue, as a table and a plot.

Usage: python examples/scale/bench_search.py FOLDER PLOT.png [--limit 900]
       [--sizes 10000,30000,100000,300000,1000000,2000000]

Vectors of --dim numbers with 16 hidden themes and a little noise, of length one: what embeddings of
products are like, and kinder to a graph than numbers drawn at random. The 100 best of each query,
seconds of one thread of the processor. `exact` is the blocked product with top-k, for many queries
at once and for one alone; `hnsw` the index of `--index hnsw`. It has to be read before its first
answer: from how many queries on that pays is the crossover. A size whose index is not built within
--limit seconds has no hnsw figures. FOLDER keeps the figures, so that another run finds them.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

matplotlib.use("Agg")
from matplotlib import pyplot

from cprtools.baselines.dense import stable_product
from cprtools.retrieval import top_k
from cprtools.retrieval.approximate import MEMBERS, HnswIndex

FloatArray = npt.NDArray[np.float32]
K, THEMES, NOISE, QUERIES, TURNS = 100, 16, 0.3, 500, 3
HEADS = ["candidates", "exact, ms a query of many", "exact, ms for one", "hnsw, ms a query"]
HEADS += ["Recall@100", "build, s", "read, s", "index, MB", "pays from queries"]


def main() -> None:
    """Measure every size and show them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("plot", nargs="?")
    parser.add_argument("--sizes", default="10000,30000,100000,300000,1000000,2000000")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--limit", type=int, default=900, help="seconds for one index")
    parser.add_argument("--measure", type=int, help="one size alone, in this process")
    args = parser.parse_args()
    if args.measure:
        measure(args.measure, args.dim, args.limit, args.folder)
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for size in map(int, args.sizes.split(",")):
        place = place_of(args.folder, size, args.dim)
        if not place.exists():
            words = [str(args.folder), "--measure", str(size), "--dim", str(args.dim)]
            words += ["--limit", str(args.limit)]
            subprocess.run([sys.executable, __file__, *words], check=True)
        rows.append(json.loads(place.read_text()))
    cells = [HEADS, ["---"] * len(HEADS), *map(show, rows)]
    sys.stdout.write("".join("| " + " | ".join(row) + " |\n" for row in cells))
    if args.plot:
        draw(rows, args.plot)


def place_of(folder: Path, size: int, dim: int) -> Path:
    """Where the figures of one size are kept."""
    return folder / f"search-{size}-{dim}.json"


def make_vectors(rows: int, dim: int, seed: int) -> FloatArray:
    """Unit vectors (rows, dim) around the same hidden themes for every seed."""
    themes = np.random.default_rng(0).standard_normal((THEMES, dim), dtype=np.float32)
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((rows, THEMES), dtype=np.float32) @ themes / THEMES**0.5
    vectors += NOISE * random.standard_normal((rows, dim), dtype=np.float32)
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def measure(size: int, dim: int, limit: int, folder: Path) -> None:
    """Figures of one size, into its file."""
    vectors, queries = make_vectors(size, dim, 1), make_vectors(QUERIES, dim, 2)
    # scores of many queries at once that fit into half a gigabyte
    block = max(64, min(QUERIES, 128_000_000 // size))
    many = median_seconds(lambda: exact(queries[:block], vectors)) / block
    found: dict[str, Any] = {"size": size, "dim": dim, "many": many}
    found["one"] = median_seconds(lambda: exact(queries[:1], vectors))
    try:
        found |= measure_index(vectors, queries, limit, folder)
    except TimeoutError:
        found["given_up"] = limit
    place_of(folder, size, dim).write_text(json.dumps(found))


def measure_index(
    vectors: FloatArray, queries: FloatArray, limit: int, folder: Path
) -> dict[str, Any]:
    """Build, store, read and ask the index. Raises TimeoutError where building takes too long."""
    size, dim = vectors.shape
    files = [folder / f"{member}-{size}-{dim}.parquet" for member in MEMBERS]
    # hnswlib does not look at signals while it adds vectors: a process of its own can be ended
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        tables = HnswIndex(vectors).tables()
        for member, file in zip(MEMBERS, files, strict=True):
            pq.write_table(tables[member], file)
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise TimeoutError
    start = time.process_time()
    index = HnswIndex.load(vectors, *[pq.read_table(file) for file in files])
    read = time.process_time() - start
    per_query = median_seconds(lambda: index.search(queries, K)) / len(queries)
    best = [exact(queries[at : at + 64], vectors) for at in range(0, len(queries), 64)]
    shared = [
        len(np.intersect1d(*pair))
        for pair in zip(np.concatenate(best), index.search(queries, K)[0], strict=True)
    ]
    return {
        "build": usage.ru_utime + usage.ru_stime,
        "read": read,
        "hnsw": per_query,
        "recall": float(np.mean(shared)) / K,
        "bytes": sum(file.stat().st_size for file in files),
    }


def exact(queries: FloatArray, vectors: FloatArray) -> npt.NDArray[np.int64]:
    """Indices of the K best of each query."""
    return top_k(stable_product(queries, vectors), K)[0]


def median_seconds(act: Any) -> float:
    """Seconds of the processor, so that other work on the machine counts less; of several turns."""
    seconds = []
    for _ in range(TURNS):
        start = time.process_time()
        act()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def pays_from(row: dict[str, Any]) -> float:
    """Queries from which on reading and asking the index takes less than the exact way."""
    if "hnsw" not in row or row["hnsw"] >= row["many"]:
        return float("inf")
    return float(row["read"] / (row["many"] - row["hnsw"]))


def show(row: dict[str, Any]) -> list[str]:
    """One line of the table."""
    cells = [f"{row['size']:,}", f"{row['many'] * 1e3:.2f}", f"{row['one'] * 1e3:.1f}"]
    if "given_up" in row:
        return [*cells, "", "", f"given up after {row['given_up']}", "", "", ""]
    pays = pays_from(row)
    cells += [f"{row['hnsw'] * 1e3:.2f}", f"{row['recall']:.3f}", f"{row['build']:.0f}"]
    cells += [f"{row['read']:.2f}", f"{row['bytes'] / 1e6:.0f}"]
    return [*cells, "never" if pays == float("inf") else f"{pays:,.0f}"]


def draw(rows: list[dict[str, Any]], target: str) -> None:
    """Milliseconds a query, and seconds of all queries, both over the size of the catalogue."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    sizes = [row["size"] for row in rows]
    built = [row for row in rows if "hnsw" in row]
    left.loglog(sizes, [row["many"] * 1e3 for row in rows], marker="o", label="exact, many queries")
    left.loglog(sizes, [row["one"] * 1e3 for row in rows], marker="^", label="exact, one query")
    asked = [row["hnsw"] * 1e3 for row in built]
    left.loglog([row["size"] for row in built], asked, marker="s", label="hnsw")
    left.set(title="one answer of 100", xlabel="candidates", ylabel="milliseconds")
    left.legend()
    queries = np.logspace(0, 6, 40)
    for row in built:
        line = right.loglog(queries, queries * row["many"], label=f"exact, {row['size']:,}")[0]
        seconds = row["read"] + queries * row["hnsw"]
        right.loglog(queries, seconds, color=line.get_color(), linestyle="--")
    right.set(title="dashed: hnsw, its reading included", xlabel="queries", ylabel="seconds")
    right.legend()
    for panel in (left, right):
        panel.grid(visible=True, alpha=0.3)
    figure.savefig(target, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
