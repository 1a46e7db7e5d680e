"""Products that come after the training: as if they had been there, and never made up."""

from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import issparse

from cprtools import answers, tables
from cprtools.errors import SchemaError, UsageError
from tests.answers.newcomer_market import FAST, LATE, shop_products, shop_vectors, train_shop

METHODS = {
    "default": ("p-companion", {**FAST, "with_ranker": True}),
    "paper": ("p-companion", {**FAST, "preset": "paper"}),
    "article": ("p-companion", {**FAST, "preset": "article"}),
    "triplet": ("triplet", {}),
    "item-knn": ("item-knn", {}),
    "text-knn": ("text-knn", {}),
    "type-popularity": ("type-popularity", {}),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders with full.model and late.model by name of METHODS, trained once each."""
    folders = {}

    def folder(name):
        if name not in folders:
            method, options = METHODS[name]
            folders[name] = train_shop(tmp_path_factory.mktemp("shop"), method, **options)
        return folders[name]

    return folder


def late(folder):
    return answers.open_model(str(folder / "late.model"))


def extended(folder, products=None, vectors=True):
    sources = shop_vectors(folder) if vectors else []
    return answers.extend(late(folder), products or shop_products(), "new.parquet", sources)


def row(**columns):
    """The late product's row, with other values."""
    table = shop_products().slice(shop_products().num_rows - 1)
    for name, value in columns.items():
        kind = table.schema.field(name).type if name in table.column_names else None
        column = pa.array([value], kind)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return table


def all_lists(model, **asked):
    queries = np.arange(len(model.product_ids))
    request = answers.ComplementRequest(**asked)
    return pa.concat_tables(answers.recommend_complements(model, queries, request))


def test_the_extended_problem_is_the_one_that_training_would_have_had(trained):
    folder = trained("default")
    full = answers.open_model(str(folder / "full.model")).stage.problem
    assert full.context is not None and full.similar is not None and full.words is not None
    found = extended(folder).model.stage.problem
    for name in (field.name for field in fields(full)):
        one, other = getattr(found, name), getattr(full, name)
        if issparse(one):
            assert one.shape == other.shape and (one != other).nnz == 0, name
        elif isinstance(one, dict):
            assert list(one) == list(other) and one, name
            for key in one:
                np.testing.assert_array_equal(one[key], other[key])
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("use_ranker", [True, False])
def test_a_late_product_gets_and_appears_in_the_lists_of_one_that_was_there(
    trained, name, use_ranker
):
    full = answers.open_model(str(trained(name) / "full.model"))
    result = extended(trained(name))
    assert (result.num_new, result.num_known) == (1, full.catalogue.table.num_rows - 1)
    assert result.model.catalogue.table.equals(full.catalogue.table)
    asked = {"k": 60, "use_ranker": use_ranker, "columns": ("title", "price", "weight")}
    found, expected = all_lists(result.model, **asked), all_lists(full, **asked)
    assert LATE in found.column("query_id").to_pylist()
    assert LATE in found.column("product_id").to_pylist()
    scores = [table.column("score").to_numpy() for table in (found, expected)]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-6)
    for column in ("query_id", "rank", "product_id", "product_type", "reason", "title"):
        assert found.column(column).equals(expected.column(column)), column


def test_without_a_ranker_the_evidence_of_every_source_agrees_too(trained):
    folder = trained("default")
    stages = [extended(folder).model.stage, answers.open_model(str(folder / "full.model")).stage]
    queries = np.arange(stages[0].problem.num_candidates)
    assert {"mf", "item-knn", "ease", "text-knn", "type-popularity"} < set(stages[0].sources)
    for name in stages[0].sources:
        one, other = (stage.sources[name].score(queries) for stage in stages)
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6, err_msg=name)
    allowed = ~np.eye(len(queries), dtype=bool)
    one, other = (stage.evidence_block(queries, allowed) for stage in stages)
    np.testing.assert_array_equal(one.cols, other.cols)
    np.testing.assert_allclose(one.features, other.features, rtol=1e-4, atol=1e-5)


def test_embeddings_of_a_late_product_are_those_of_the_network(trained):
    for name in ("default", "paper", "article"):
        folder = trained(name)
        full = answers.open_model(str(folder / "full.model")).stage.model.embeddings
        np.testing.assert_allclose(
            extended(folder).model.stage.model.embeddings, full, rtol=1e-4, atol=1e-6
        )


def test_an_answer_does_not_depend_on_what_else_is_new(trained):
    more = [row(product_id=f"more{i}", price=float(i + 1)) for i in range(70)]
    alone = extended(trained("paper")).model.stage.model.embeddings
    many = extended(trained("paper"), pa.concat_tables([row(), *more])).model.stage.model.embeddings
    np.testing.assert_array_equal(many[: len(alone)], alone)


def test_what_the_model_never_met_and_what_is_missing_is_unknown_alike(trained):
    folder = trained("default")
    strange = row(
        product_type="no such", brand="nobody", colour="x", category_paths=["?"], title="?"
    )
    nothing = row(product_type=None, brand=None, colour=None, category_paths=None, title=None)
    bare = shop_products().slice(60).select(["product_id", "price", "weight"])
    models = [extended(folder, products).model for products in (strange, nothing, bare)]
    for model in models:
        problem = model.stage.problem
        assert problem.types[-1] == -1
        assert all(codes[-1] == -1 for codes in problem.attributes.values())
        assert problem.words[-1].nnz == 0
        ranked = all_lists(model, k=5).select(["query_id", "product_id", "score"])
        assert ranked.equals(all_lists(models[0], k=5).select(ranked.column_names))
        assert np.isfinite(ranked.column("score").to_numpy()).all()
    assert models[0].strings("product_type")[-1] == "no such"
    assert models[2].strings("product_type")[-1] is None


def test_numbers_flags_and_codes_of_another_type_are_read_where_they_can_be(trained):
    folder = trained("default")
    text = row().set_column(6, "weight", pa.array(["3610"]))
    assert text.column_names[6] == "weight"
    assert extended(folder, text).model.stage.problem.numbers["weight"][-1] == 3610
    half = row().set_column(6, "weight", pa.array([0.5]))
    assert extended(folder, half).model.strings("weight")[-1] == 0.5
    bad = row().set_column(6, "weight", pa.array(["heavy"]))
    with pytest.raises(SchemaError, match=r"new\.parquet: column 'weight' holds string"):
        extended(folder, bad)
    nested = row().set_column(7, "colour", pa.array([[1]]))
    assert extended(folder, nested).model.stage.problem.attributes["colour"][-1] == -1


def test_a_product_without_vectors_is_one_without_and_no_vectors_at_all_too(trained, tmp_path):
    folder = trained("default")
    blind = extended(folder, vectors=False).model.stage.problem
    assert not blind.vectors[-1].any()
    other = extended(
        folder, pa.concat_tables([row(), row(product_id="unseen")])
    ).model.stage.problem
    assert other.vectors[-2].any() and not other.vectors[-1].any()


def test_vectors_of_another_number_order_or_length_are_refused(trained):
    folder = trained("default")
    text, image = shop_vectors(folder)
    for sources, said in (
        ([text], r"trained on 2 tables of vectors \(of length 6, 3\); found 1"),
        ([image, text], "image.parquet: vectors of length 3; the model was trained on length 6"),
    ):
        with pytest.raises(SchemaError, match=said):
            answers.extend(late(folder), row(), "new.parquet", sources)
    with pytest.raises(SchemaError, match="none of its 61 product ids is in the products"):
        answers.extend(late(folder), row(product_id="other"), "new.parquet", [text, image])


def test_known_products_stay_as_the_model_knows_them(trained):
    folder = trained("default")
    known = shop_products().slice(0, 3)
    changed = known.set_column(1, "title", pa.array(["another"] * 3))
    model = late(folder)
    result = answers.extend(model, changed, "new.parquet", [])
    assert (result.num_new, result.num_known) == (0, 3)
    assert result.model is model


def test_types_that_are_clusters_are_those_of_the_nearest_centre(tmp_path):
    plain = shop_products().select(["product_id", "title", "price"])
    folder = train_shop(tmp_path, "text-knn", products=plain)
    full = answers.open_model(str(folder / "full.model"))
    assert full.catalogue.type_names[0].startswith("cluster ")
    result = extended(folder, plain)
    assert result.model.stage.problem.types[-1] == full.stage.problem.types[-1] >= 0
    assert result.model.catalogue.table.equals(full.catalogue.table)
    blind = extended(folder, plain, vectors=False).model
    assert blind.stage.problem.types[-1] == -1
    assert blind.strings("product_type")[-1] is None


def test_a_method_that_knows_only_its_products_says_so(tmp_path):
    folder = train_shop(tmp_path, "sceptre", topics=4)
    with pytest.raises(UsageError, match="--products: sceptre knows only the products"):
        extended(folder)


def test_a_model_of_an_earlier_version_answers_and_asks_for_training_again(trained, tmp_path):
    source = tables.open_folder(str(trained("paper") / "late.model"), (answers.COMPLEMENTS,))
    later = ("vocabulary", "p_companion_network", "p_companion_features")
    tables.write_folder(
        {n: source.table(n) for n in source.manifest["members"] if not n.startswith(later)},
        str(tmp_path / "old.model"),
        answers.COMPLEMENTS,
        tables.Footer(command="train-cpr", params={}, seed=0, inputs=[]),
        source.manifest["facts"],
    )
    model = answers.open_model(str(tmp_path / "old.model"))
    assert all_lists(model, k=3).num_rows == 60 * 3
    with pytest.raises(SchemaError, match=r"old\.model: .*train it again to use them"):
        answers.extend(model, shop_products(), "new.parquet", shop_vectors(tmp_path))


def test_an_ordinary_answer_reads_nothing_that_only_new_products_need(trained, monkeypatch):
    read = []
    table = tables.Folder.table

    def noted(self, member, columns=None):
        read.append(member)
        return table(self, member, columns)

    monkeypatch.setattr(tables.Folder, "table", noted)
    model = late(trained("default"))
    all_lists(model, k=3)
    later = {"vocabulary", "vocabulary_words", "vocabulary_vectors", "p_companion_network"}
    assert read and not {*read} & later
    answers.extend(model, row(), "new.parquet", shop_vectors(trained("default")))
    assert later <= {*read}
