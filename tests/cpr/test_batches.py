import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from cprtools.cpr.batches import (
    NeighbourSampler,
    PairSampler,
    SoftmaxSampler,
    damped,
    history_bags,
)
from cprtools.cpr.config import CprConfig


def random_matrix(seed, n=30, density=0.15):
    random = np.random.default_rng(seed)
    there = (random.random((n, n)) < density) & ~np.eye(n, dtype=bool)
    return csr_matrix(there * random.integers(1, 6, (n, n)).astype(np.float32))


def sampler(matrix, seed=0, **options):
    config = CprConfig(**{"batch_size": 8, "num_negatives": 1000, **options})
    return SoftmaxSampler(matrix, config, np.random.default_rng(seed))


def bag(bags, row):
    ends = [*bags.offsets.tolist(), len(bags.indices)]
    return bags.indices[ends[row] : ends[row + 1]].tolist()


def test_a_single_count_weighs_one_and_more_grow_slowly():
    weights = damped(csr_matrix([[0, 1, 3], [0, 0, 0], [7, 0, 0]]))
    np.testing.assert_allclose(weights.toarray(), [[0, 1, 2], [0, 0, 0], [3, 0, 0]], rtol=1e-6)


def test_history_holds_complements_first_and_then_what_the_product_completes():
    forward = csr_matrix(np.array([[0, 2, 2, 0], [0, 0, 0, 0]], dtype=np.float32))
    reverse = csr_matrix(np.array([[0, 0, 0, 3], [5, 0, 0, 0]], dtype=np.float32))
    bags = history_bags(forward, reverse)
    assert bags.indices.tolist() == [1, 2, 4 + 3, 4 + 0]
    assert bags.offsets.tolist() == [0, 3]
    np.testing.assert_allclose(bags.weights, [2 / 2**0.5, 2 / 2**0.5, 3, 5])


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1), st.sampled_from([5, 1000]))
def test_what_is_predicted_is_never_shown_in_either_direction(seed, share, cold, negatives):
    matrix = random_matrix(seed)
    n = matrix.shape[0]
    drawn = sampler(
        matrix, history_dropout=share, identity_dropout=cold, num_negatives=negatives
    ).epoch()
    for batch in drawn:
        candidates, queries = batch.candidates.tolist(), batch.queries.tolist()
        assert candidates == sorted(set(candidates))
        for place, query in enumerate(queries):
            mine = batch.positives.rows == place
            targets = {candidates[c] for c in batch.positives.columns[mine].tolist()}
            pairs = set(matrix[query].indices.tolist())
            history = bag(batch.history, place)
            forward = {entry for entry in history if entry < n}
            reverse = {entry - n for entry in history if entry >= n}
            assert targets
            assert targets <= pairs
            assert not targets & forward
            assert not targets & reverse
            assert forward <= pairs
            assert reverse <= set(matrix[:, [query]].nonzero()[0].tolist())
            hidden = {
                candidates[c] for c in batch.known.columns[batch.known.rows == place].tolist()
            }
            # whatever else is true of the query competes with nobody
            assert hidden == (pairs - targets) & set(candidates)


def test_an_epoch_predicts_for_every_query_with_pairs_once():
    matrix = random_matrix(3)
    queries = np.concatenate([batch.queries for batch in sampler(matrix, batch_size=1).epoch()])
    assert sorted(queries.tolist()) == np.flatnonzero(np.diff(matrix.indptr)).tolist()
    assert len(list(sampler(matrix, max_steps=2).epoch())) == 2


def test_products_without_pairs_are_no_negatives():
    matrix = random_matrix(4).tolil()
    matrix[5] = 0
    matrix[:, 5] = 0
    for batch in sampler(matrix.tocsr()).epoch():
        assert 5 not in batch.candidates.tolist()


def test_whoever_is_in_a_pair_is_a_candidate_whichever_end():
    # 1 completes 0 and 2 completes 1; 3 is in no pair
    pairs = csr_matrix(([1.0, 1.0], ([0, 1], [1, 2])), shape=(4, 4), dtype=np.float32)
    assert next(sampler(pairs).epoch()).candidates.tolist() == [0, 1, 2]


def test_long_lists_are_predicted_in_part_and_count_in_full():
    matrix = csr_matrix(np.ones((1, 200), dtype=np.float32))
    matrix.resize((200, 200))
    batch = next(sampler(matrix, history_dropout=0.5).epoch())
    assert len(batch.positives.rows) == 20
    assert batch.positives.weights.sum().item() == pytest.approx(100)


@pytest.mark.parametrize(
    ("n", "density", "history"), [(60, 0.1, 0.5), (60, 0.1, 0.2), (60, 0.02, 0.5), (300, 0.3, 0.8)]
)
def test_rates_are_the_chances_to_be_in_the_sample(n, density, history):
    # rows of some pairs, mostly of one, and of more than are ever predicted at a time
    matrix = random_matrix(0, n=n, density=density)
    draws = sampler(matrix, num_negatives=10, history_dropout=history)
    found, rates = np.zeros(n), np.zeros(n)
    # about as many whole batches in each case
    epochs = 3000 // draws.num_batches
    batches = [batch for _ in range(epochs) for batch in draws.epoch() if len(batch.queries) == 8]
    for batch in batches:
        found[batch.candidates.numpy()] += 1 / len(batches)
        rates[batch.candidates.numpy()] = np.exp(batch.log_rates.numpy())
    assert np.abs(found - rates).mean() < 0.02
    assert np.abs(found - rates).max() < 0.06


def test_pairs_are_drawn_by_their_weight():
    matrix = csr_matrix(np.array([[0, 7, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32))
    config = CprConfig(batch_size=1, num_negatives=2)
    pairs = PairSampler(matrix, config, np.random.default_rng(0))
    drawn = [
        (batch.queries.item(), batch.candidates.item())
        for _ in range(500)
        for batch in pairs.epoch()
    ]
    assert set(drawn) == {(0, 1), (1, 2)}
    # log2(1 + 7) = 3 against log2(1 + 1) = 1
    assert drawn.count((0, 1)) / len(drawn) == pytest.approx(3 / 4, abs=0.05)
    assert next(pairs.epoch()).negatives.shape == (1, 2)


def test_neighbours_are_similar_products_and_the_other_neighbourhood_is_another_ones():
    similar = random_matrix(2, density=0.3)
    similar = similar + similar.T
    draws = NeighbourSampler(similar, CprConfig(max_neighbours=4), np.random.default_rng(0))
    for _ in range(20):
        batch = draws.draw(9)
        assert len(batch.items) == 9
        for row, item in enumerate(batch.items.tolist()):
            real = batch.neighbours[row][batch.is_real[row]].tolist()
            known = set(similar[item].indices.tolist())
            assert len(real) == len(set(real)) == min(4, len(known))
            assert set(real) <= known
            assert batch.others[row].item() != row


def test_queries_and_candidates_without_identity_show_none_of_their_pairs():
    matrix = random_matrix(1)
    for batch in sampler(matrix, identity_dropout=1.0, history_dropout=0.5).epoch():
        assert not len(batch.history.indices)
        assert not batch.is_known.any()
    for batch in sampler(matrix, identity_dropout=0.0, history_dropout=0.5).epoch():
        assert batch.is_known.all()


def test_some_queries_show_only_what_leads_to_them():
    matrix = random_matrix(1, n=60, density=0.3)
    n = matrix.shape[0]
    shown = [
        bag(batch.history, place)
        for batch in sampler(matrix, identity_dropout=0.0, history_dropout=0.3).epoch()
        for place in range(len(batch.queries))
    ]
    assert all(any(entry >= n for entry in history) for history in shown)
    one_way = np.mean([all(entry >= n for entry in history) for history in shown])
    assert 0.05 < one_way < 0.3
