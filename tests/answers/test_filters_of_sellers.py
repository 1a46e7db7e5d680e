"""Which candidates a seller's filters leave, and which evidence is compared with."""

from types import SimpleNamespace

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.answers.sellers import ALL, SellerRequest, _allowed, _pool
from cprtools.baselines import Popularity, Problem
from cprtools.ranking import TwoStage


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
