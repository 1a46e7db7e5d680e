"""`--explain`: what each score is made of, and nothing about other sellers."""

import numpy as np
import pyarrow as pa
import pytest

from cprtools import answers, tables
from cprtools.answers.evidence import BASE, UNRANKED, in_words
from cprtools.answers.in_place import open_in_place
from cprtools.answers.sellers import affinities
from tests.answers.newcomer_market import FAST, train_sellers, train_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = train_shop(tmp_path_factory.mktemp("shop"), with_ranker=True, **FAST)
    return both(folder / "full.model", answers.COMPLEMENTS)


@pytest.fixture(scope="module")
def sellers(tmp_path_factory):
    folder = train_sellers(tmp_path_factory.mktemp("s"), epochs=2, embedding_dim=8)
    return both(folder / "full.model", answers.SELLERS)


def both(place, kind):
    """The model in memory, and the one in place."""
    folder = tables.open_folder(str(place), (kind,))
    return answers.open_model(str(place)), open_in_place(folder)


def complements(model, query, **asked):
    request = answers.ComplementRequest(explain=True, **asked)
    return pa.concat_tables(answers.recommend_complements(model, np.array([query]), request))


def for_seller(model, seller, **asked):
    request = answers.SellerRequest(explain=True, category="all", threshold=0.0, **asked)
    return pa.concat_tables(answers.recommend_products(model, np.array([seller]), request))


def sums(table):
    """The sum of each row's pieces."""
    return np.array([sum(p["added"] for p in row) for row in table.column("evidence").to_pylist()])


def test_a_complements_pieces_add_up_to_the_log_odds_of_its_score(shop):
    memory, in_place = shop
    assert memory.stage.trees is not None
    names = set()
    for query in range(0, len(memory.query_ids()), 7):
        table = complements(memory, query)
        odds = table.column("score").to_numpy()
        np.testing.assert_allclose(1 / (1 + np.exp(-sums(table))), odds, atol=1e-6)
        for pieces in table.column("evidence").to_pylist():
            assert pieces[0]["name"] == BASE
            added = [abs(piece["added"]) for piece in pieces[1:]]
            assert added == sorted(added, reverse=True)
            assert min(added) > 0
            names |= {piece["name"] for piece in pieces}
        assert complements(in_place, query).equals(table)
    assert {"bought", "p-companion", "alike_type"} <= names


def test_what_is_bought_together_is_evidence_for_it(shop):
    memory, _ = shop
    table = complements(memory, memory.find_query("p01"), types=0, k=3)
    for pieces in table.column("evidence").to_pylist():
        bought = next(piece for piece in pieces if piece["name"] == "bought")
        assert bought["value"] > 0
        # known pairs go first: 6 and the log of the count, beside what the trees say
        assert bought["added"] > 5


def test_what_fills_a_list_up_is_told_so(shop):
    memory, _ = shop
    stage = memory.stage
    depth = stage.settings.per_source
    object.__setattr__(stage.settings, "per_source", 2)
    try:
        table = complements(memory, 3, k=60, types=0)
    finally:
        object.__setattr__(stage.settings, "per_source", depth)
    kinds = [pieces[0]["name"] for pieces in table.column("evidence").to_pylist()]
    assert kinds[0] == BASE
    assert kinds[-1] == UNRANKED
    assert kinds == sorted(kinds)
    odds = table.column("score").to_numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-sums(table))), odds, atol=1e-6)


def test_without_a_ranker_it_is_the_models_score_and_the_types(shop):
    memory, _ = shop
    table = complements(memory, 5, use_ranker=False, k=3)
    for row in table.to_pylist():
        score = {"name": "p-companion", "value": row["score"], "added": row["score"]}
        kind = {"name": "type_score", "value": row["type_score"], "added": None}
        assert row["evidence"] == [score, kind]


def test_a_sellers_pieces_add_up_to_what_is_calibrated(sellers):
    memory, in_place = sellers
    assert memory.stage.trees is not None
    for seller in range(0, 48, 9):
        table = for_seller(memory, seller)
        affinity = table.column("affinity").to_numpy()
        allowed = np.ones((1, len(memory.stage.pool.members)), dtype=bool)
        memory.stage.pool.forbid(allowed, memory.stage.problem.matrix, np.array([seller]))
        ((_, scores),) = memory.stage.lists(np.array([seller]), allowed, 10)
        np.testing.assert_allclose(sums(table), scores[: len(table)], atol=1e-5)
        np.testing.assert_allclose(affinities(memory, scores)[: len(table)], affinity, atol=1e-12)
        assert for_seller(in_place, seller).equals(table)


def test_a_sellers_evidence_shows_nothing_of_single_other_sellers(sellers):
    memory, _ = sellers
    number = dict(
        zip(
            memory.product_ids.to_pylist(),
            memory.stage.problem.margins.number.tolist(),
            strict=True,
        )
    )
    learnt = {"gnn", "mf", "item-knn"}
    learnt |= {f"{name}_relative" for name in learnt}
    few = shown = 0
    for seller in range(48):
        for row in for_seller(memory, seller, k=60).to_pylist():
            for piece in row["evidence"]:
                name, value = piece["name"], piece["value"]
                if name in ("popularity", "popularity_queries"):
                    assert (value is None) == (number[row["product_id"]] < 5)
                    few, shown = few + (value is None), shown + (value is not None)
                elif name in learnt:
                    assert value is None
                elif name not in (BASE, UNRANKED):
                    assert value is not None
    assert few
    assert shown


def test_an_empty_answer_has_the_column_too(sellers):
    for model in sellers:
        request = answers.SellerRequest(explain=True, threshold=1.0, k=1)
        for table in answers.recommend_products(model, np.array([4]), request):
            assert table.schema.field("evidence").type == tables.schemas.EVIDENCE
            assert table.num_rows == 0


def test_without_a_ranker_a_sellers_evidence_is_the_affinity(sellers):
    memory, _ = sellers
    for row in for_seller(memory, 2, use_ranker=False).to_pylist():
        assert row["evidence"] == [{"name": "gnn", "value": None, "added": row["affinity"]}]


def test_every_piece_of_evidence_has_words(shop, sellers):
    for memory, _ in (shop, sellers):
        for name in memory.stage.trees.names:
            source = name.removesuffix("_relative")
            assert in_words(name).startswith("score of") == (source in memory.stage.sources)


def test_words_of_evidence_say_what_the_number_is():
    # three likenesses of at most 1 each, which come to more than 1
    assert in_words("text_three") == "likeness to the three nearest listings, summed (text)"
    assert in_words("popularity_queries") == "popularity by number of queries or sellers (log)"
