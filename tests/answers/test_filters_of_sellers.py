"""Which candidates a seller's filters leave, what evidence is compared with, and affinities."""

from types import SimpleNamespace

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.answers.sellers import ALL, SellerRequest, _allowed, _pool, affinities
from cprtools.baselines import Popularity, Problem
from cprtools.ranking import TwoStage
from cprtools.ranking.calibration import Calibration


def test_a_list_to_choose_from_widens_what_evidence_is_compared_with_and_narrows_the_answer():
    # the seller lists product 0; products 0 to 2 were in demand
    problem = Problem(
        csr_matrix(np.array([[1, 0, 0, 0, 0]], dtype=np.float32)),
        np.full(5, -1),
        0,
        is_candidate=np.array([True, True, True, False, False]),
    )
    stage = TwoStage(problem, {"popularity": Popularity.fit(problem)})
    model = SimpleNamespace(stage=stage, categories=lambda: (np.full(5, -1), ()), num_added=0)
    request = SellerRequest(category=ALL, only=np.array([True, False, True, True, False]))
    pool = _pool(model, request)
    assert pool.members.tolist() == [0, 1, 2, 3]
    allowed = _allowed(model, stage.restricted(pool), np.array([0]), request)
    assert pool.members[allowed[0]].tolist() == [2, 3]


def test_scores_are_calibrated_by_the_curve_of_the_stage_that_gave_them():
    # both curves rise from score 0 to 2: at 1 they are half way
    both = (Calibration(np.array([0.0, 2.0]), np.array([0.0, top])) for top in (1.0, 0.4))
    curves = dict(zip(("calibration", "retrieval_calibration"), both, strict=True))
    model = SimpleNamespace(stage=SimpleNamespace(**curves))
    scores = np.array([1.0, 0.5], dtype=np.float32)
    assert affinities(model, scores).tolist() == [1 / 2, 1 / 4]
    assert affinities(model, scores, use_ranker=False).tolist() == [0.4 / 2, 0.4 / 4]
    model.stage.retrieval_calibration = None
    assert affinities(model, scores, use_ranker=False).tolist() == [0.5, 0.5]
