"""Metrics against trec_eval, by its bindings pytrec_eval, on random tables."""

import numpy as np
import pyarrow as pa
import pytest

from cprtools.evaluation import evaluate_complements, evaluate_sellers
from tests.evaluation.metric_tables import values_of

pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is not installed")

KS = (1, 3, 10)
PRODUCTS = [f"p{i}" for i in range(30)]


def random_case(seed):
    """Lists of 0 to 15 products, queries without list, tied scores, and truth given twice."""
    random = np.random.default_rng(seed)
    lists, truth = {}, {}
    for query in (f"q{i}" for i in range(40)):
        wanted = random.choice(PRODUCTS, random.integers(1, 14), replace=False)
        truth[query] = [str(product) for product in wanted]
        if random.random() < 0.8:
            shown = random.choice(PRODUCTS, random.integers(1, 16), replace=False)
            lists[query] = [str(product) for product in shown]
    return lists, truth


def expected(lists, truth):
    """Means over all queries of the truth; one without a list counts 0."""
    measures = {f"{m}.{','.join(map(str, KS))}" for m in ("success", "recall", "ndcg_cut")}
    judged = {q: dict.fromkeys(wanted, 1) for q, wanted in truth.items()}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, measures)
    found = evaluator.evaluate(as_run(lists))
    cut = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"})
    result = {}
    for k in KS:
        first = cut.evaluate(as_run({q: shown[:k] for q, shown in lists.items()}))
        for name, metric in (("success", "QueryHit"), ("recall", "Recall"), ("ndcg_cut", "NDCG")):
            every = [found[q][f"{name}_{k}"] if q in found else 0.0 for q in truth]
            result[metric, k, "all"] = sum(every) / len(every)
        ranks = [first[q]["recip_rank"] if q in first else 0.0 for q in truth]
        result["MRR", k, "all"] = sum(ranks) / len(ranks)
        # what k places can hold at most, which trec_eval does not divide by
        hits = {q: found[q][f"recall_{k}"] * len(truth[q]) if q in found else 0.0 for q in truth}
        reached = [hits[q] / min(k, len(truth[q])) for q in truth]
        result["SellerRecall", k, "all"] = sum(reached) / len(reached)
    return result


def as_run(lists):
    # trec_eval sorts by score alone, so the score is what stands for the rank
    return {q: {p: -float(rank) for rank, p in enumerate(s)} for q, s in lists.items()}


def tables(lists, truth, query, candidate, score):
    rows = [(q, rank, p) for q, shown in lists.items() for rank, p in enumerate(shown, 1)]
    recs = pa.table(
        {
            query: [row[0] for row in rows],
            "rank": [row[1] for row in rows],
            "product_id": [row[2] for row in rows],
            score: [1.0 / (1 + row[1] // 3) for row in rows],
        }
    )
    pairs = [(q, p) for q, wanted in truth.items() for p in [*wanted, wanted[0]]]
    return recs, pa.table({query: [q for q, _ in pairs], candidate: [p for _, p in pairs]})


@pytest.mark.parametrize("seed", range(20))
def test_complement_metrics_are_those_of_trec_eval(seed):
    lists, truth = random_case(seed)
    recs, pairs = tables(lists, truth, "query_id", "candidate_id", "score")

    found = values_of(evaluate_complements(recs, pairs, ks=KS, bootstrap=0))

    wanted = {key: v for key, v in expected(lists, truth).items() if key[0] != "SellerRecall"}
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, abs=1e-9)
    assert len(wanted) == 4 * len(KS)


@pytest.mark.parametrize("seed", range(20))
def test_seller_metrics_are_those_of_trec_eval(seed):
    lists, truth = random_case(seed)
    recs, listings = tables(lists, truth, "seller_id", "product_id", "affinity")

    found = values_of(evaluate_sellers(recs, listings, ks=KS, bootstrap=0))

    wanted = expected(lists, truth)
    for k in KS:
        assert found["NDCG", k, "all"] == pytest.approx(wanted["NDCG", k, "all"], abs=1e-9)
        recall = wanted["SellerRecall", k, "all"]
        assert found["Recall", k, "all"] == pytest.approx(recall, abs=1e-9)
