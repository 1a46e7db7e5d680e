"""Metrics against slow loops, and properties on random tables."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools.evaluation import evaluate_complements, evaluate_sellers
from tests.evaluation import oracle_metrics as oracle
from tests.evaluation.metric_tables import LETTERS, values_of


def random_case(seed):
    """Small random tables full of ties, short and missing lists, gaps and repeated truth."""
    random = np.random.default_rng(seed)
    recs = []
    for query in LETTERS[: random.integers(3, 9)]:
        size = int(random.integers(0, 7))
        ranks = np.sort(random.choice(9, size, replace=False)) + 1
        for rank, product in zip(ranks, random.permutation(list(LETTERS))[:size], strict=True):
            score = float(random.integers(0, 4)) / 3
            row = {"rank": int(rank), "product_id": str(product), "score": score}
            affinity = None if random.random() < 0.1 else score
            recs.append({**row, "query_id": query, "seller_id": query, "affinity": affinity})
    truth = [
        {"query_id": a, "candidate_id": b, "co_purchase": int(random.integers(0, 4))}
        for a, b in random.choice(list(LETTERS), (12, 2))
    ]
    truth += truth[:2]
    train = [
        {
            "query_id": a,
            "candidate_id": b,
            "co_purchase": int(random.integers(0, 3)),
            "complement": bool(random.integers(2)),
            "similar": bool(random.integers(4) == 0),
        }
        for a, b in random.choice(list(LETTERS[:6]), (7, 2))
    ]
    types = ["t", "u", "v", None]
    products = [{"product_id": p, "product_type": types[random.integers(4)]} for p in LETTERS[:7]]
    return recs, truth, train, products


def as_table(rows, columns):
    kinds = {"rank": pa.int64(), "co_purchase": pa.int64(), "score": pa.float64(),
             "affinity": pa.float64(), "complement": pa.bool_(), "similar": pa.bool_()}  # fmt: skip
    return pa.table(
        {c: pa.array([row[c] for row in rows], kinds.get(c, pa.string())) for c in columns}
    )


REC_COLUMNS = ["query_id", "rank", "product_id", "score"]
PAIR_COLUMNS = ["query_id", "candidate_id", "co_purchase"]


@pytest.mark.parametrize("seed", range(60))
def test_complement_metrics_agree_with_the_slow_loops(seed):
    recs, truth, train, products = random_case(seed)
    expected = oracle.Complements(recs, truth, train, products, (1, 2, 10)).values

    evaluation = evaluate_complements(
        as_table(recs, REC_COLUMNS),
        as_table(truth, PAIR_COLUMNS),
        train=as_table(train, [*PAIR_COLUMNS, "complement", "similar"]),
        products=as_table(products, ["product_id", "product_type"]),
        ks=(1, 2, 10),
        bootstrap=0,
    )

    assert values_of(evaluation) == pytest.approx(expected, abs=1e-9)
    assert len(expected) > 30


@pytest.mark.parametrize("seed", range(60))
def test_seller_metrics_agree_with_the_slow_loops(seed):
    recs, truth, train, products = random_case(seed)
    held_out = [{"seller_id": r["query_id"], "product_id": r["candidate_id"]} for r in truth]
    listed = [{"seller_id": r["query_id"], "product_id": r["candidate_id"]} for r in train]
    named = [{**row, "category": row["product_type"]} for row in products]
    demand = [row["product_id"] for row in products[:6]]
    expected = oracle.Sellers(recs, held_out, listed, named, demand, (1, 3, 100)).values

    evaluation = evaluate_sellers(
        as_table(recs, ["seller_id", "rank", "product_id", "affinity"]),
        as_table(held_out, ["seller_id", "product_id"]),
        train=as_table(listed, ["seller_id", "product_id"]),
        products=as_table(named, ["product_id", "category"]),
        high_demand=pa.table({"product_id": demand}),
        ks=(1, 3, 100),
        bootstrap=0,
    )

    assert values_of(evaluation) == pytest.approx(expected, abs=1e-9)
    assert len(expected) > 10


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=st.integers(100, 10**6), order=st.randoms(use_true_random=False))
def test_row_order_and_other_names_change_no_metric(seed, order):
    recs, truth, _, products = random_case(seed)
    renamed = {letter: f"id-{9 - place}" for place, letter in enumerate(LETTERS)}

    def evaluate(recs, truth, products):
        return values_of(
            evaluate_complements(
                as_table(recs, REC_COLUMNS),
                as_table(truth, PAIR_COLUMNS),
                products=as_table(products, ["product_id", "product_type"]),
                bootstrap=0,
            )
        )

    def rename(rows):
        rows = [{name: renamed.get(v, v) for name, v in row.items()} for row in rows]
        order.shuffle(rows)
        return rows

    if not any(row["co_purchase"] for row in truth):
        return
    plain = evaluate(recs, truth, products)
    assert evaluate(rename(recs), rename(truth), rename(products)) == pytest.approx(
        plain, abs=1e-12
    )


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=st.integers(100, 10**6))
def test_rates_lie_between_0_and_1_and_grow_with_k(seed):
    recs, truth, _, _ = random_case(seed)
    ks = (1, 2, 5, 20)

    found = values_of(
        evaluate_complements(
            as_table(recs, REC_COLUMNS), as_table(truth, PAIR_COLUMNS), ks=ks, bootstrap=0
        )
    )

    for metric in ("Hit", "QueryHit", "Recall", "MRR"):
        values = [found[metric, k, "all"] for k in ks]
        assert values == sorted(values)
    for (metric, _, _), value in found.items():
        if metric != "DistinctProducts":
            assert 0 <= value <= 1
