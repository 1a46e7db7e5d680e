"""How a seller model is put together: its sources are the same in both fits."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cprtools.linkpred import recipe
from cprtools.linkpred.model import GraphModel


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
    fitted = SimpleNamespace(effort=None, chosen={}, trainer=None)
    monkeypatch.setattr(GraphModel, "fit", lambda *given, **options: fitted)
    fit = recipe.SourceFitter(
        "gnn", {}, problem.matrix, 0, with_support=True, say=lambda line: None
    )
    names = [list(fit(given)) for given in (inner, problem)]
    assert names[0] == names[1]
    assert ("text-knn" in names[0]) == (share > 0.8)
