"""Why a complement is recommended: pairs known from the product, and pairs known towards it."""

import numpy as np
import pyarrow as pa

from cprtools import answers, tables
from cprtools.answers.in_place import open_in_place
from cprtools.cpr import recipe
from cprtools.cpr.problem import build_problem


def test_a_pair_known_the_other_way_round_is_a_reason_of_its_own(tmp_path):
    pairs = pa.table({
        "query_id": ["a", "b", "c"], "candidate_id": ["b", "a", "a"], "co_purchase": [3, 3, 2],
        "co_view": [0] * 3, "complement": [True] * 3, "similar": [False] * 3,
    })  # fmt: skip
    built = build_problem(pairs, pa.table({"product_id": ["a", "b", "c"]}), [])
    stage = recipe.train(built.problem, "reverse", options={}, with_ranker=True)
    members, facts = answers.model_members(stage, built.catalogue)
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    place = str(tmp_path / "reverse.model")
    tables.write_folder(members, place, answers.COMPLEMENTS, footer, facts)
    memory = answers.open_model(place)
    for model in (memory, open_in_place(memory.folder)):
        query = model.find_query("a")
        (found,) = answers.recommend_complements(
            model, np.array([query]), answers.ComplementRequest()
        )
        reasons = dict(zip(*(found.column(n).to_pylist() for n in ("product_id", "reason")),
                           strict=True))  # fmt: skip
        # nothing is known from a to c, and the pair of a and b is known both ways
        assert reasons["c"].split("; ")[0] == "bought the other way round 2 times"
        assert reasons["b"].split("; ")[0] == "bought together 3 times"
