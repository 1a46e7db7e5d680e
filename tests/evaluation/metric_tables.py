"""Small tables for the tests of the metrics."""

import pyarrow as pa

LETTERS = "abcdefgh"


def rows_of(table):
    """{(metric, k, segment): row} of an evaluation's metrics."""
    return {(r["metric"], r["k"], r["segment"]): r for r in table.to_pylist()}


def values_of(evaluation):
    return {key: row["value"] for key, row in rows_of(evaluation.metrics).items()}


def lists(text, query="query_id"):
    """`x: a b c; y: b` as a recommendations table, scores falling from 1."""
    rows = []
    for line in text.split(";"):
        name, products = line.split(":")
        for rank, product in enumerate(products.split(), 1):
            rows.append({query: name.strip(), "rank": rank, "product_id": product})
    return pa.Table.from_pylist(rows)


def pairs(text, **columns):
    """`x a 2, y b 1` as pairs with counts."""
    rows = [part.split() for part in text.split(",")]
    table = {
        "query_id": [r[0] for r in rows],
        "candidate_id": [r[1] for r in rows],
        "co_purchase": [int(r[2]) for r in rows],
    }
    return pa.table({**table, **columns})


def listings(text):
    rows = [part.split() for part in text.split(",")]
    return pa.table({"seller_id": [r[0] for r in rows], "product_id": [r[1] for r in rows]})
