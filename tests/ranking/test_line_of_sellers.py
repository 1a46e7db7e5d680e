"""Sellers: one line beside the trees, in every score and in the curve."""

from dataclasses import replace

import numpy as np

from cprtools.ranking import fit_two_stage
from cprtools.ranking.calibration import fit_calibration
from cprtools.ranking.holdout import hold_out_listings
from cprtools.ranking.two_stage import candidate_pool, known_mask
from tests.ranking.test_two_stage import market


def test_a_line_beside_the_trees_is_part_of_every_score_of_sellers():
    problem, sources = market()
    part = hold_out_listings(problem, seed=2)
    stage = fit_two_stage(problem, [part], lambda _: sources, seed=0)
    assert stage.lines is not None and stage.lines.degree is None
    # what the sources say may only raise it
    places = [stage.lines.names.index(name) for name in sources]
    assert (stage.lines.weight[0, places] >= 0).all() and stage.lines.weight[0, places].any()
    query = np.array([3])
    allowed = known_mask(problem, query, candidate_pool(problem))
    ((cols, scores),) = stage.lists(query, allowed, 20)
    told = stage.explain(3, cols, scores)
    np.testing.assert_allclose(told.base + told.added.sum(axis=1), scores, rtol=1e-5)
    ((_, bare),) = replace(stage, lines=None).lists(query, allowed, 20)
    assert not np.array_equal(bare, scores)


def test_the_curve_is_one_of_trees_and_line_together(monkeypatch):
    problem, sources = market()
    part = hold_out_listings(problem, seed=2)
    seen = []
    monkeypatch.setattr(
        "cprtools.ranking.fitting.fit_calibration",
        lambda scores, labels: seen.append(scores) or fit_calibration(scores, labels),
    )
    with_line = fit_two_stage(problem, [part], lambda _: sources, seed=0)
    joint = seen[-1]
    monkeypatch.setattr("cprtools.ranking.lines._LEAST_POSITIVES", 10**9)
    alone = fit_two_stage(problem, [part], lambda _: sources, seed=0)
    assert with_line.lines is not None and alone.lines is None
    assert not np.array_equal(joint, seen[-1])
    # a forest has fewer answers than there are candidates
    assert len(np.unique(joint)) > len(np.unique(seen[-1]))
