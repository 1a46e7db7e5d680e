"""What products of the same kind lead to."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.ranking.groups import build_groups


def market():
    # 0, 1, 2 are cases, 3 and 4 chargers; 0 and 1 lead to 3, 1 to 4; 2 is new; 4 has no brand
    matrix = csr_matrix(([5.0, 1.0, 2.0], ([0, 1, 1], [3, 3, 4])), shape=(5, 5))
    return Problem(
        matrix=matrix.astype(np.float32),
        types=np.array([0, 0, 0, 1, -1]),
        num_types=2,
        attributes={"brand": np.array([0, 1, 0, 1, -1]), "path_0": np.array([0, 0, -1, 0, -1])},
        is_square=True,
    )


def test_a_new_product_leads_where_products_of_its_kind_lead():
    groups = build_groups(market())

    by_type = groups["alike_type"].scores(np.array([2]))[0]
    by_brand = groups["alike_type_and_brand"].scores(np.array([2]))[0]

    # two cases have pairs, both lead to 3 and one to 4, smoothed by 3 that lead nowhere
    assert by_type.tolist() == pytest.approx([0, 0, 0, 2 / (2 + 3), 1 / (2 + 3)])
    # of its own brand there is product 0 alone
    assert by_brand.tolist() == pytest.approx([0, 0, 0, 1 / (1 + 3), 0])
    assert groups["alike_type"].sizes[2] == pytest.approx(np.log(1 + 2))


def test_a_product_of_unknown_kind_has_no_group_but_a_short_path_is_a_path():
    groups = build_groups(market())

    assert not groups["alike_type"].scores(np.array([4])).any()
    assert groups["alike_type"].sizes[4] == 0
    # 2 and 4 share the empty path, where nobody has pairs
    assert groups["alike_attributes"].members[[2, 4]].nnz == 2
    assert not groups["alike_attributes"].scores(np.array([2])).any()


def test_products_of_one_path_are_alike_whatever_their_brand():
    groups = build_groups(market())

    # 0, 1 and 3 are of the path 0 and of two brands; the first two have pairs
    assert groups["alike_attributes"].sizes[3] == pytest.approx(np.log(1 + 2))
    assert groups["alike_brand"].sizes[3] == pytest.approx(np.log(1 + 1))
