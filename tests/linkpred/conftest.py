import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def specialists():
    """Sellers with a hidden speciality: the problem and the listings held out of it.

    48 sellers list 14 of the 25 products of one of 6 specialities, and 4 at random; vectors are
    noise. Two listings of the speciality are held out per seller.
    """
    rng = np.random.default_rng(5)
    speciality = rng.permutation(np.repeat(np.arange(6), 25))
    train, held_out = np.zeros((2, 48, 150), dtype=np.float32)
    for seller in range(48):
        own = rng.permutation(np.flatnonzero(speciality == seller % 6))
        train[seller, own[:12]] = 1
        held_out[seller, own[12:14]] = 1
        train[seller, rng.permutation(np.flatnonzero(speciality != seller % 6))[:4]] = 1
    problem = Problem(
        csr_matrix(train),
        np.zeros(150, dtype=np.int64),
        1,
        vectors=rng.standard_normal((150, 24)).astype(np.float32),
    )
    return problem, held_out.astype(bool)
