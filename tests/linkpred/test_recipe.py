"""How a seller model is put together: its sources are the same in both fits."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cprtools.linkpred import recipe
from cprtools.linkpred.model import GraphModel
from cprtools.text import encoders


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_texts_are_compared_with_all_listings_where_they_were_without_those_held_out(
    specialists, monkeypatch, share
):
    problem, _ = specialists
    part = problem.matrix.copy()
    part.data[::5] = 0
    part.eliminate_zeros()
    inner = replace(problem, matrix=part)
    work = problem.matrix.nnz * problem.matrix.shape[1] * problem.vectors.shape[1]
    # the limit lies between the two, or below both
    monkeypatch.setattr(recipe, "_MOST_TEXT_WORK", share * work)
    fitted = SimpleNamespace(effort=None, chosen={}, trainers=())
    monkeypatch.setattr(GraphModel, "fit", lambda *given, **options: fitted)
    fit = recipe.SourceFitter(
        "gnn", {}, problem.matrix, 0, with_support=True, say=lambda line: None
    )
    names = [list(fit(given)) for given in (inner, problem)]
    assert names[0] == names[1]
    assert ("text-knn" in names[0]) == (share > 0.8)


@pytest.mark.parametrize(
    ("given", "listings", "expected"),
    [({}, "few", 3), ({}, "many", 1), ({"networks": 2}, "few", 2)],
)
def test_several_networks_are_averaged_where_there_are_few_listings(
    specialists, monkeypatch, given, listings, expected
):
    problem, _ = specialists
    limit = problem.matrix.nnz + (1 if listings == "few" else 0)
    monkeypatch.setattr(recipe, "_FEW_LISTINGS", limit)

    class AskedError(Exception):
        pass

    def fit(*given, **options):
        raise AskedError(options["networks"])

    monkeypatch.setattr(GraphModel, "fit", fit)
    built = SimpleNamespace(problem=problem, views=problem.matrix)
    with pytest.raises(AskedError, match=f"^{expected}$"):
        recipe.train(built, "gnn", options=given)


@pytest.mark.parametrize("is_native", [True, False])
def test_the_precision_of_training_is_what_the_processor_multiplies(monkeypatch, is_native):
    monkeypatch.setattr(encoders, "native_bfloat16", lambda: is_native)
    asked = {"sampling": "stratified", "init": "vectors", "sampler": None, "num_layers": None}
    for precision, expected in (("auto", is_native), ("bfloat16", True), ("float32", False)):
        options = recipe.method_options("gnn", fanout="3", precision=precision, **asked)
        assert options["precision"] == ("bfloat16" if expected else "float32")
    # a device that is not there is told where it would be used
    assert recipe.method_options("gnn", fanout="3", device="cuda", **asked)["precision"]
