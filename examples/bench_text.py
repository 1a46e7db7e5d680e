"""Titles to vectors: ours against a plain encode call of the same model, both sides in one run.

Usage: python examples/bench_text.py PRODUCTS [--rows 5000] [--threads 2]
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from one_line import run

from cprtools import tables
from cprtools import text as room

REPEATS = 3


def main() -> None:
    """Read the titles, time each way, and write the ratios to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("products")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = tables.read(tables.open_table(options.products, tables.PRODUCTS))
    texts = room.join_columns(table, ["title"], options.products)
    known = texts.drop_null().to_pylist()
    titles = random.Random(0).sample(known, min(options.rows, len(known)))
    distinct = len(set(titles))
    say(f"{len(titles):,} titles, {distinct:,} distinct, {options.threads} threads")
    compare(titles)


def compare(titles: list[str]) -> None:
    """Write one line per way: texts a second, its ratio to the plain call, smallest cosine."""
    exact = room.load_encoder(precision="float32")
    plain_model = exact.sentence_transformer
    ours = room.load_encoder()
    static = room.load_static()
    products = pa.table({"product_id": [str(i) for i in range(len(titles))]})
    texts = pa.array(titles)

    def plain() -> np.ndarray:
        return np.asarray(plain_model.encode(titles, show_progress_bar=False))

    def transformer(encoder: room.SentenceEncoder) -> Callable[[], np.ndarray]:
        def encode() -> np.ndarray:
            with tempfile.TemporaryDirectory() as folder:
                store = tables.VectorStore(Path(folder), "bench")
                made = room.stream_stored(products, texts, lambda: encoder, store).read_all()
            return tables.to_matrix(made["vector"], "ours")

        return encode

    def of_tokens() -> np.ndarray:
        made = room.stream_products(products, texts, static).read_all()
        return tables.to_matrix(made["vector"], "static")

    def learnt() -> np.ndarray:
        return room.train_doc2vec(sorted(set(titles)))

    ways = {
        "plain SentenceTransformer.encode, float32": plain,
        "embed-text --precision float32": transformer(exact),
        f"embed-text ({ours.precision})": transformer(ours),
        "embed-text --method static": of_tokens,
        "embed-text --method doc2vec": learnt,
    }
    expected = plain()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    made: dict[str, np.ndarray] = {}
    # in turns, so that a busy minute of the machine meets every way
    for _ in range(REPEATS):
        for name, way in ways.items():
            start = time.perf_counter()
            made[name] = way()
            seconds[name].append(time.perf_counter() - start)
    report(seconds, made, expected)


def report(
    seconds: dict[str, list[float]], made: dict[str, np.ndarray], expected: np.ndarray
) -> None:
    """Medians of the repeats; cosines where the vectors are of the same model."""
    rates = {name: len(expected) / statistics.median(times) for name, times in seconds.items()}
    base = next(iter(rates.values()))
    say("| way | texts a second | ratio | smallest cosine to plain |")
    say("|---|---|---|---|")
    for name, rate in rates.items():
        vectors = made[name]
        cosine = "-"
        if vectors.shape == expected.shape:
            cosine = f"{(vectors * expected).sum(axis=1).min():.5f}"
        say(f"| {name} | {rate:,.0f} | {rate / base:.2f} | {cosine} |")


def say(line: str) -> None:
    """One line of the report, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
