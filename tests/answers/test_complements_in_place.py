"""A model of complements read in place answers with the same bits as the model in memory."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import answers, tables
from cprtools.answers.in_place import open_in_place
from cprtools.baselines.contract import NotInPlace
from cprtools.cpr import recipe
from cprtools.cpr.problem import build_problem
from cprtools.ranking.two_stage import known_mask
from tests import forking
from tests.answers.newcomer_market import FAST, parts_by_time, shop_pairs, shop_products, train_shop
from tests.answers.test_in_place import HEAVY, IN_PLACE_ONLY, PROBE


def untyped_products():
    """Every sixth product has neither a type nor a category to take for one."""
    rows = shop_products().to_pylist()
    nothing = {"product_type": None, "category_paths": None}
    return pa.Table.from_pylist([row if i % 6 else row | nothing for i, row in enumerate(rows)])


RANKED = {"with_ranker": True, **FAST}
CASES = {
    "default": ("p-companion", RANKED),
    "paper": ("p-companion", {"preset": "paper", **RANKED}),
    "article": ("p-companion", {"preset": "article", **RANKED}),
    "of late": ("p-companion", {"parts": parts_by_time(), **RANKED}),
    "without types": ("p-companion", {"products": untyped_products(), **RANKED}),
    "without a ranker": ("p-companion", FAST),
    "popularity": ("popularity", {}),
    "type-popularity": ("type-popularity", {"smoothing": 3.0}),
    "type-counts": ("type-counts", {"products": untyped_products()}),
    "count": ("co-purchase", {}),
    "lift": ("co-purchase", {"variant": "lift"}),
    "reverse": ("reverse", {"variant": "lift"}),
    "reverse confidence": ("reverse", {"variant": "confidence"}),
    "item-knn": ("item-knn", {"weighting": "log"}),
    "ease": ("ease", {"weighting": "raw"}),
    "mf": ("mf", {"tune": False}),
    "text-knn": ("text-knn", {}),
    "item2vec": ("item2vec", {"epochs": 2}),
    "triplet": ("triplet", {"epochs": 2}),
    "sceptre": ("sceptre", {"topics": 5}),
    "blend": ("blend", {"second": "ease", "scaling": "evidence"}),
}


@pytest.fixture(scope="module", params=CASES)
def models(request, tmp_path_factory):
    """The folder of a method's model, the model in memory, and the one in place."""
    method, options = CASES[request.param]
    folder = train_shop(tmp_path_factory.mktemp("shop"), method, **options)
    place = str(folder / "full.model")
    in_place = open_in_place(tables.open_folder(place, (answers.COMPLEMENTS,)))
    return place, answers.open_model(place), in_place


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """A model with its ranker, and the folder it lies in."""
    return train_shop(tmp_path_factory.mktemp("ranked"), **RANKED) / "full.model"


@pytest.fixture(scope="module")
def of_late(tmp_path_factory):
    """The same of a shop that knows what was bought of late."""
    folder = tmp_path_factory.mktemp("late")
    return train_shop(folder, parts=parts_by_time(), **RANKED) / "full.model"


@pytest.mark.parametrize("method", ["item-knn", "popularity", "co-purchase"])
def test_products_without_types_texts_or_vectors_are_answered_in_place_too(tmp_path, method):
    products = shop_products().select(["product_id"])
    built = build_problem(shop_pairs(), products, [])
    assert built.problem.num_types == 0
    stage = recipe.train(built.problem, method, options={}, with_ranker=True)
    members, facts = answers.model_members(stage, built.catalogue)
    place = str(tmp_path / "bare.model")
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    tables.write_folder(members, place, answers.COMPLEMENTS, footer, facts)
    memory = answers.open_model(place)
    in_place = open_in_place(memory.folder)
    request = answers.ComplementRequest()
    for query in range(0, products.num_rows, 4):
        one, other = (
            pa.concat_tables(answers.recommend_complements(model, np.array([query]), request))
            for model in (memory, in_place)
        )
        assert other.equals(one)


@pytest.mark.parametrize("k", [3, 5])
def test_a_short_list_reaches_other_types_past_one_of_many_products(tmp_path, k):
    ids = [f"p{i:03}" for i in range(204)]
    kinds = ["many"] * 200 + ["one", "two", "three", "four"]
    number = len(ids) - 1
    pairs = pa.table({
        "query_id": [ids[-1]] * number, "candidate_id": ids[:-1],
        "co_purchase": [100] * 200 + [1] * 3, "co_view": [0] * number,
        "complement": [True] * number, "similar": [False] * number,
    })  # fmt: skip
    built = build_problem(pairs, pa.table({"product_id": ids, "product_type": kinds}), [])
    stage = recipe.train(built.problem, "type-popularity", options={"smoothing": 1.0})
    members, facts = answers.model_members(stage, built.catalogue)
    place = str(tmp_path / "wide.model")
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    tables.write_folder(members, place, answers.COMPLEMENTS, footer, facts)
    memory = answers.open_model(place)
    request = answers.ComplementRequest(k=k, types=3)
    query = np.array([memory.find_query(ids[-1])])
    one, other = (
        pa.concat_tables(answers.recommend_complements(model, query, request))
        for model in (memory, open_in_place(memory.folder))
    )
    assert other.equals(one)
    first = one.column("product_type").to_pylist()[:3]
    assert len(set(first)) == 3


@pytest.mark.parametrize(
    "asked",
    [{}, {"k": 60, "types": 0}, {"use_ranker": False, "k": 4}, {"columns": ("title", "price")}],
    ids=str,
)
def test_every_products_answer_is_that_of_the_model_in_memory(models, asked):
    _, memory, in_place = models
    request = answers.ComplementRequest(**asked)
    every = np.arange(len(memory.query_ids()))
    together = pa.concat_tables(answers.recommend_complements(memory, every, request))
    alone = [
        table
        for query in every
        for table in answers.recommend_complements(in_place, np.array([query]), request)
    ]
    assert pa.concat_tables(alone).equals(together)


@pytest.mark.parametrize("shop", ["ranked", "of_late"])
def test_every_column_of_evidence_is_that_of_the_model_in_memory(request, shop):
    folder = str(request.getfixturevalue(shop))
    memory = answers.open_model(folder).stage
    in_place = open_in_place(tables.open_folder(folder, (answers.COMPLEMENTS,))).stage
    names = {"similar_queries", "siblings", "co_viewed", "words", "text", "price_ratio"}
    late = {"recent", "recent_share", "trend"}
    assert names <= set(memory.feature_names())
    assert (late & set(memory.feature_names())) == (late if shop == "of_late" else set())
    every = np.arange(memory.problem.num_queries)
    whole = memory.evidence_block(every, np.ones((len(every), len(every)), bool))
    for query in every:
        own = in_place.evidence_block(np.array([query]), np.ones((1, len(every)), bool))
        rows = whole.rows == query
        assert (own.cols == whole.cols[rows]).all()
        for at, name in enumerate(memory.trees.names):
            assert (own.features[:, at] == whole.features[rows, at]).all(), name


def test_what_lines_and_trees_add_makes_up_the_scores(ranked):
    memory = answers.open_model(str(ranked)).stage
    in_place = open_in_place(tables.open_folder(str(ranked), (answers.COMPLEMENTS,))).stage
    assert memory.lines is not None
    query = np.array([7])
    allowed = known_mask(memory.problem, query, memory.pool)
    ((cols, scores),) = memory.lists(query, allowed, 5)
    for stage in (memory, in_place):
        explained = stage.explain(7, cols[:5], scores[:5])
        assert explained.is_ranked.all()
        total = explained.base + explained.added.sum(axis=1)
        np.testing.assert_allclose(total, scores[:5], rtol=1e-5)
    # without the lines they are others
    ((_, bare),) = replace(memory, lines=None).lists(query, allowed, 5)
    assert not np.allclose(bare[:5], scores[:5], rtol=1e-3)


def test_every_product_is_found_by_its_id_and_no_other(models):
    _, memory, in_place = models
    for at, name in enumerate(memory.product_ids.to_pylist()):
        assert in_place.find_query(name) == at
    for stranger in ("", "p", "p00x", "zzz", "\u00e9"):
        assert in_place.find_query(stranger) == -1


def test_the_command_gives_the_rows_of_a_list_of_queries_and_loads_nothing_heavy(models, tmp_path):
    place, _, _ = models
    pq.write_table(pa.table({"product_id": ["p07"]}), tmp_path / "asked.parquet")
    one, listed = tmp_path / "one.parquet", tmp_path / "listed.parquet"
    words = ["recommend", "--model", place, "--quiet"]
    # in a process of its own, which begins with nothing loaded
    command = [sys.executable, "-c", PROBE, *words, "--product", "p07", "-o", str(one)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert HEAVY & set(json.loads(done.stderr.splitlines()[-1])) == set()
    recommend(*words, "--queries", str(tmp_path / "asked.parquet"), "-o", str(listed))
    assert pq.read_table(one).equals(pq.read_table(listed))
    assert pq.read_table(one).num_rows == 10


@pytest.mark.parametrize("option", ["--exclude", "--only"])
def test_lists_of_what_may_be_answered_are_kept_to_in_place(ranked, tmp_path, option):
    pq.write_table(pa.table({"product_id": ["p07"]}), tmp_path / "asked.parquet")
    plain, one, listed = (str(tmp_path / f"{name}.parquet") for name in ("plain", "one", "listed"))
    words = ["recommend", "--model", str(ranked), "--quiet"]
    recommend(*words, "--product", "p07", "-o", plain)
    shown = pq.read_table(plain).column("product_id").to_pylist()
    lists = {
        "--exclude": {"query_id": ["p07"] * 4, "candidate_id": shown[:4]},
        "--only": {"product_id": shown[4:]},
    }
    pq.write_table(pa.table(lists[option]), tmp_path / "list.parquet")
    words += [option, str(tmp_path / "list.parquet")]
    recommend(*words, "--product", "p07", "-o", one, probe=IN_PLACE_ONLY)
    recommend(*words, "--queries", str(tmp_path / "asked.parquet"), "-o", listed)
    assert pq.read_table(one).equals(pq.read_table(listed))
    found = pq.read_table(one).column("product_id").to_pylist()
    assert found
    assert not set(found) & set(shown[:4])


def test_an_unknown_product_is_told_with_the_nearest_ids(ranked):
    done = recommend("recommend", "--model", str(ranked), "--product", "p7", check=False)
    assert done.returncode == 3
    assert "no product 'p7' in this model; did you mean" in done.stderr


def test_a_model_without_the_members_for_it_is_read_as_a_whole(ranked, tmp_path):
    folder = tables.open_folder(str(ranked), (answers.COMPLEMENTS,))
    members = {
        name: folder.table(name)
        for name in folder.manifest["members"]
        if name not in ("backward", "backward_starts", "sums", "type_sums", "products_places")
    }
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    old = str(tmp_path / "old.model")
    tables.write_folder(members, old, answers.COMPLEMENTS, footer, folder.manifest["facts"])
    with pytest.raises(NotInPlace):
        open_in_place(tables.open_folder(old, (answers.COMPLEMENTS,)))
    shown = [
        recommend("recommend", "--model", place, "--product", "p07", "--format", "csv").stdout
        for place in (old, str(ranked))
    ]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("preset", ["default", "article"])
def test_transitions_that_earlier_versions_stored_as_a_table_are_read(tmp_path, preset):
    new = train_shop(tmp_path, preset=preset, type_weight=1.0, **FAST) / "full.model"
    folder = tables.open_folder(str(new), (answers.COMPLEMENTS,))
    members = {name: folder.table(name) for name in folder.manifest["members"]}
    transitions = answers.open_model(str(new)).stage.model._form.transitions
    table = transitions.rows(np.arange(transitions.num_types))
    members["p_companion_types"] = pa.table({"transition": tables.vector_array(table)})
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    old = str(tmp_path / "old.model")
    tables.write_folder(members, old, answers.COMPLEMENTS, footer, folder.manifest["facts"])
    queries, request = np.arange(4), answers.ComplementRequest()
    of_new, of_old, in_place = (
        pa.concat_tables(answers.recommend_complements(model, queries, request))
        for model in (
            answers.open_model(str(new)),
            answers.open_model(old),
            open_in_place(tables.open_folder(old, (answers.COMPLEMENTS,))),
        )
    )
    assert of_old.equals(of_new)
    assert in_place.equals(of_old)
    stored = answers.open_model(old).stage.model.tables()["p_companion_types"]
    assert stored.equals(members["p_companion_types"])


DAMAGE = {
    "indices": ("interactions", "candidate_idx", lambda v: v + 10_000),
    "indices below": ("backward", "candidate_idx", lambda v: v - 10_000),
    "starts": ("interactions_starts", "start", lambda v: np.where(v, v + 7, v)),
    "starts that fall": ("words_starts", "start", lambda v: np.where(v < v[-1], -v, v)),
    "types": ("codes", "type_idx", lambda v: v + 99),
    "vectors": ("p_companion_items", "target", lambda v: v * np.float32(np.nan)),
    "types' vectors": ("p_companion_types", "target", lambda v: v * np.float32(np.nan)),
    "text": ("text_vectors", "vector", None),
    "factors": ("mf_candidates", "factor", None),
    "sums": ("sums", "given", None),
    "trees": ("ranker", "left", lambda v: v * 0),
    "lines": ("ranker_lines", "weight", lambda v: v * np.nan),
    "places": ("products_places", "end_product_id", lambda v: v * 1000),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line_and_a_documented_exit_code(ranked, tmp_path, kind):
    member, column, change = DAMAGE[kind]
    folder = tables.open_folder(str(ranked), (answers.COMPLEMENTS,))
    members = {name: folder.table(name) for name in folder.manifest["members"]}
    table = members[member]
    at = table.column_names.index(column)
    if change is None:
        members[member] = table.slice(1)
    else:
        values = change(column_values(table.column(column)))
        array = tables.vector_array(values) if values.ndim == 2 else pa.array(values)
        members[member] = table.set_column(at, column, array)
    place = str(tmp_path / "damaged.model")
    footer = tables.Footer(command="train-cpr", params={}, seed=0, inputs=[])
    tables.write_folder(members, place, answers.COMPLEMENTS, footer, folder.manifest["facts"])
    done = recommend(
        "recommend", "--model", place, "--product", "p07", "--format", "csv", check=False
    )
    assert done.returncode in (3, 4)
    line, _ = done.stderr.splitlines()
    assert re.fullmatch(r"cprtools: error: .+", line)
    assert done.stdout == ""


def column_values(column):
    """A number column as it is, vectors as a matrix."""
    if pa.types.is_fixed_size_list(column.type):
        return tables.to_matrix(column, "column")
    return column.to_numpy()


def recommend(*words, check=True, probe=PROBE):
    """The command's run; the last line of its stderr is that of the probe."""
    done = forking.run(words, text=True, program=probe)
    assert done.returncode == 0 or not check, done.stderr
    return done
