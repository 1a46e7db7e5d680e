"""Pairs and products of a shop of any size, as mine-pairs leaves them: what training is timed on.

Usage: python examples/scale/complements.py OUT [--pairs 1000000] [--per-product 20] [--dim 384]

OUT becomes a folder with pairs.parquet and products.parquet, and with --dim vectors.parquet, whose
vectors say nothing: of random numbers, as many as a sentence model's. A growing shop has more
products and not more pairs of each, so the number of products follows that of the complement
pairs. Skew is that of logs.py: a complement is of the kind that completes the query's, the first of
a kind is drawn most often, and a pair drawn again counts once more. For five complement pairs there
is one similar pair within a kind.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from logs import KIND_SIZE, Ints, draw_products, write_ids

PER_PRODUCT = 20
PER_SIMILAR = 5
BRANDS = 50


def main() -> None:
    """Write the tables that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="complement pairs")
    parser.add_argument("--per-product", type=int, default=PER_PRODUCT)
    parser.add_argument("--dim", type=int, help="write vectors of so many numbers, too")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    products = max(2 * KIND_SIZE, args.pairs // args.per_product)
    args.out.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(args.seed)
    table = draw_tables(draw, args.pairs, products)
    pq.write_table(table, args.out / "pairs.parquet", compression="zstd")
    pq.write_table(list_products(products), args.out / "products.parquet", compression="zstd")
    if args.dim:
        pq.write_table(draw_vectors(draw, products, args.dim), args.out / "vectors.parquet")


def draw_tables(draw: np.random.Generator, pairs: int, products: int) -> pa.Table:
    """The pairs table: exactly so many complement pairs, and the similar ones."""
    query, candidate, count = draw_pairs(draw, pairs, products, following=1)
    like, other, _ = draw_pairs(draw, pairs // PER_SIMILAR, products, following=0)
    is_complement = np.repeat([True, False], [len(query), len(like)])
    bought = np.concatenate([count, np.zeros(len(like), np.int64)])
    viewed = np.where(is_complement, 0, 2)
    query, candidate = np.concatenate([query, like]), np.concatenate([candidate, other])
    customers = np.bincount(query, bought, minlength=products).astype(np.int64) + 1
    lift = bought * customers.sum() / (customers[query] * customers[candidate])
    return pa.table(
        {
            "query_id": write_ids("P", query),
            "candidate_id": write_ids("P", candidate),
            "co_purchase": bought,
            "co_view": viewed,
            "purchase_after_view": viewed,
            "query_count": customers[query],
            "candidate_count": customers[candidate],
            "lift": lift,
            "complement": is_complement,
            "similar": ~is_complement,
        }
    )


def draw_pairs(
    draw: np.random.Generator, pairs: int, products: int, following: int
) -> tuple[Ints, Ints, Ints]:
    """Exactly so many different pairs and how often each was drawn, sorted.

    following: how many kinds further the candidate's kind lies.
    """
    kinds = products // KIND_SIZE
    keys = np.zeros(0, np.int64)
    different = keys
    while len(different) < pairs:
        kind = (kinds * draw.random(pairs) ** 2).astype(np.int64)
        query = draw_products(draw, kind, kinds, products)
        candidate = draw_products(draw, (kind + following) % kinds, kinds, products)
        keys = np.concatenate([keys, (query * products + candidate)[query != candidate]])
        different, counts = np.unique(keys, return_counts=True)
    chosen = np.sort(draw.choice(len(different), pairs, replace=False))
    query, candidate = np.divmod(different[chosen], products)
    return query, candidate, counts[chosen]


def list_products(products: int) -> pa.Table:
    """The products table: a kind and a brand for each."""
    number = np.arange(products)
    return pa.table(
        {
            "product_id": write_ids("P", number),
            "product_type": write_ids("kind ", number % (products // KIND_SIZE)),
            "brand": write_ids("brand ", number * 7919 % BRANDS),
        }
    )


def draw_vectors(draw: np.random.Generator, products: int, dim: int) -> pa.Table:
    """The vectors table: a direction at random for each."""
    vectors = draw.standard_normal((products, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), dim)
    return pa.table({"product_id": write_ids("P", np.arange(products)), "vector": column})


if __name__ == "__main__":
    main()
