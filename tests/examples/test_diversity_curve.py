"""What the rule of `--types T` lets a perfect list hold: by hand, and against every list."""

import argparse
import importlib.util
from itertools import permutations
from math import ceil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "diversity_curve.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("diversity_curve", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_three_types_in_a_list_of_four_worked_by_hand(script):
    # places 1 to 3: the best of a, of b, and a product of a third type for nothing; then, of at
    # most ceil(4 / 3) = 2 of a type, the second of a
    pairs = [("a", 9.0), ("a", 8.0), ("a", 7.0), ("b", 1.0)]
    assert script.best_weight(pairs, 4, 3, length=4) == 9 + 1 + 0 + 8
    assert script.best_weight(pairs, 3, 3, length=4) == 9 + 1 + 0
    assert script.best_weight(pairs, 1, 3, length=4) == 9
    assert script.best_weight(pairs, 3, 0, length=4) == 9 + 8 + 7
    # two types: the lead is a, b; then the one more of a that the limit of 2 allows
    assert script.best_weight(pairs, 4, 2, length=4) == 9 + 1 + 8


def every_list(pairs, depth, number, length):
    """The best weight over all orders of the pairs and of products of types of their own."""
    fillers = [(f"filler {i}", 0.0) for i in range(depth)]
    limit = ceil(length / number) if number else length
    best = 0.0
    for places in permutations([*pairs, *fillers], depth):
        kinds = [kind for kind, _ in places]
        lead = kinds[:number]
        if len(set(lead)) == len(lead) and max(map(kinds.count, kinds)) <= limit:
            best = max(best, sum(weight for _, weight in places))
    return best


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    pairs=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([1.0, 2.0, 5.0])), max_size=5),
    number=st.integers(0, 4),
    depth=st.integers(1, 3),
)
def test_no_list_under_the_rule_holds_more(script, pairs, number, depth):
    assert script.best_weight(pairs, depth, number, length=3) == every_list(pairs, depth, number, 3)


def test_truth_is_what_evaluate_takes_for_it(script, tmp_path):
    pairs = {
        # query, candidate: co_purchase, complement, similar
        "truth/1": {"qa": (3, True, False), "qb": (1, True, False), "qc": (2, False, False)},
        "truth/2": {"qb": (4, True, False), "qd": (5, True, False), "qx": (5, True, False),
                    "qe": (6, True, False), "ra": (2, True, False)},
        "train": {"qd": (1, True, False), "eq": (0, False, True)},
    }  # fmt: skip
    (tmp_path / "truth").mkdir()
    for name, rows in pairs.items():
        counts, complement, similar = zip(*rows.values(), strict=True)
        ids = {"query_id": [row[0] for row in rows], "candidate_id": [row[1] for row in rows]}
        flags = {"complement": complement, "similar": similar}
        table = pa.table({**ids, "co_purchase": counts, **flags})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    products = pa.table({"product_id": list("qrabcde"), "product_type": [None, None, *"uvvvv"]})
    pq.write_table(products, tmp_path / "products.parquet")
    places = {"truth": "truth", "train": "train.parquet", "model": "."}
    named = {name: str(tmp_path / place) for name, place in places.items()}

    found = script.read_held_out(argparse.Namespace(**named))

    # c is no complement, d is known, e is similar, x is in no catalogue; b counts once, as 4
    assert sorted(found) == [[("u", 2.0)], [("v", 4.0), ("u", 3.0)]]
