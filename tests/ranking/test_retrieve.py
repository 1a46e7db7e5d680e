"""What the first stage retrieves: the best of each source, and the pairs known both ways."""

import numpy as np
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.baselines.rows import Rows
from cprtools.ranking import Settings, TwoStage
from cprtools.ranking.two_stage import retrieve
from tests.ranking.test_two_stage import Fixed


def test_retrieval_is_the_union_of_each_sources_best():
    scores = {
        "a": np.array([[5, 4, 3, 2, 1]], dtype=np.float32),
        "b": np.array([[1, 2, 3, 4, 5]], dtype=np.float32),
    }
    allowed = np.array([[True, True, True, True, False]])
    rows, cols = retrieve(scores, allowed, 1)
    assert rows.tolist() == [0, 0]
    assert cols.tolist() == [0, 3]


def test_the_largest_allowed_entries_of_linked_rows_are_retrieved_too():
    # row 0: 2 is not allowed, 1 and 3 weigh the same; row 1 has one entry, row 2 none
    pairs = csr_matrix(
        np.array([[0, 3, 9, 3, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=np.float32)
    )
    allowed = np.ones((3, 5), dtype=bool)
    allowed[0, 2] = False
    scores = {"a": np.tile(np.float32([5, 4, 3, 2, 1]), (3, 1))}
    in_place = Rows(pairs.indptr, pairs.indices, pairs.data, pairs.shape)
    for linked in (pairs, in_place):
        rows, cols = retrieve(scores, allowed, 1, [linked])
        assert rows.tolist() == [0, 0, 1, 1, 2]
        assert cols.tolist() == [0, 1, 0, 4, 0]
    rows, cols = retrieve(scores, allowed, 2, [pairs])
    assert cols[rows == 0].tolist() == [0, 1, 3]


def test_what_leads_to_a_query_is_a_candidate_of_it_where_no_source_finds_it():
    n = 12
    matrix = np.zeros((n, n), dtype=np.float32)
    matrix[9, 0] = matrix[10, 0] = matrix[0, 11] = 1
    problem = Problem(csr_matrix(matrix), np.zeros(n, np.int64), 1, is_square=True)
    source = Fixed(np.tile(np.arange(n, 0, -1, dtype=np.float32), (n, 1)))
    stage = TwoStage(problem, {"fixed": source}, settings=Settings(per_source=2))
    found = stage.evidence_block(np.array([0, 9]), np.ones((2, n), dtype=bool))
    # known from 0 is 11, towards it lead 9 and 10; nothing leads to 9, and it leads to 0
    assert found.cols[found.rows == 0].tolist() == [0, 1, 9, 10, 11]
    assert found.cols[found.rows == 1].tolist() == [0, 1]
