"""The losses of whole batches against loops over their pairs, each margin with its own value."""

from itertools import chain

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines import Problem
from cprtools.cpr.article import ArticleNetwork
from cprtools.cpr.batches import NeighbourSampler, PairSampler, SoftmaxSampler
from cprtools.cpr.config import make_config
from cprtools.cpr.features import encode_features
from cprtools.cpr.pcompanion import DirectedNetwork, PaperNetwork
from cprtools.cpr.training import article_loss, directed_loss, paper_loss, similar_loss
from tests.cpr import oracle_losses as oracle

SIZES = {"embedding_dim": 4, "type_dim": 3, "hidden_dim": 5, "attribute_dim": 2, "batch_size": 6}
MARGINS = {"margin": 0.7, "slack": 0.3, "type_margin": 1.9, "type_slack": 0.8, "alpha": 0.3}


def make_problem():
    random = np.random.default_rng(3)
    n = 12
    weights = random.integers(1, 9, (n, n)) * (random.random((n, n)) < 0.3)
    similar = random.random((n, n)) < 0.25
    np.fill_diagonal(weights, 0)
    np.fill_diagonal(similar, False)
    return Problem(
        matrix=csr_matrix(weights.astype(np.float32)),
        types=random.integers(-1, 3, n),
        num_types=3,
        prices=random.uniform(1, 50, n).astype(np.float32),
        similar=csr_matrix(similar | similar.T),
        is_square=True,
    )


def network_of(kind, problem, **options):
    torch.manual_seed(0)
    config = make_config({**SIZES, **MARGINS, **options}, seed=0)
    return kind(encode_features(problem), config).eval()


def sides(true, sampled, margin, slack):
    """Each side with half the weight."""
    pulled = oracle.hinge(true, [1] * len(true), margin, slack)
    return (pulled + oracle.hinge(sampled, [-1] * len(sampled), margin, slack)) / 2


@pytest.mark.parametrize(
    ("preset", "kind", "loss"),
    [("paper", PaperNetwork, paper_loss), ("article", ArticleNetwork, article_loss)],
)
def test_the_published_losses_judge_items_and_types_by_margins_of_their_own(preset, kind, loss):
    problem = make_problem()
    network = network_of(kind, problem, preset=preset, num_negatives=3)
    batch = next(PairSampler(problem.matrix, network.config, np.random.default_rng(0)).epoch())

    found = loss(network, batch).item()

    def distances(candidates):
        pairs = list(zip(batch.queries, candidates, strict=True))
        items = [network.item_distance(q[None], c[None, None]).item() for q, c in pairs]
        if preset == "article":
            return items, []
        ends = [(network.types_of(q[None]), network.types_of(c[None, None])) for q, c in pairs]
        return items, [network.type_distance(*both).item() for both in ends]

    true, true_types = distances(batch.candidates)
    others = [distances(column) for column in batch.negatives.T]
    sampled, sampled_types = (list(chain(*parts)) for parts in zip(*others, strict=True))
    expected = sides(true, sampled, 0.7, 0.3)
    if preset == "paper":
        expected = 0.3 * expected + 0.7 * sides(true_types, sampled_types, 1.9, 0.8)
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_default_loss_is_that_of_the_pairs_and_of_the_types_that_follow():
    problem = make_problem()
    network = network_of(DirectedNetwork, problem, num_negatives=5)
    batch = next(SoftmaxSampler(problem.matrix, network.config, np.random.default_rng(0)).epoch())

    found = directed_loss(network, batch).item()

    logits = network.logits(batch.queries, batch.history, batch.candidates, batch.is_known)
    positives = list(zip(*(part.tolist() for part in batch.positives), strict=True))
    known = set(zip(batch.known.rows.tolist(), batch.known.columns.tolist(), strict=True))
    items = oracle.sampled_softmax(logits.tolist(), positives, known, batch.log_rates.tolist())
    # the last code is that of products without a type
    codes = np.where(problem.types < 0, 3, problem.types)
    types = 0.0
    for row, column, weight in positives:
        query, candidate = batch.queries[row].item(), batch.candidates[column].item()
        chances = network.log_transitions(torch.tensor([codes[query]]))[0]
        types -= weight * chances[codes[candidate]].item()
    types /= sum(weight for *_, weight in positives)
    assert found == pytest.approx(0.3 * items + 0.7 * types, rel=1e-4)


def test_similar_products_are_pulled_to_their_neighbours_and_pushed_from_those_of_another():
    problem = make_problem()
    network = network_of(DirectedNetwork, problem, max_neighbours=4)
    draws, again = (
        NeighbourSampler(problem.similar, network.config, np.random.default_rng(1))
        for _ in range(2)
    )

    found = similar_loss(network, draws, 7).item()

    batch = again.draw(7)
    theta = network.embed(torch.arange(12)).detach().numpy().astype(float)

    def distance(item, of):
        around = theta[batch.neighbours[of][batch.is_real[of]]]
        pooled = oracle.attention(theta[item], around) @ around
        return oracle.squared_distance(theta[item], pooled)

    rows = list(enumerate(batch.items.tolist()))
    own = [distance(item, row) for row, item in rows]
    other = [distance(item, batch.others[row].item()) for row, item in rows]
    # neighbourhoods of several sizes, or the padding of one would do for another
    assert len({*batch.is_real.sum(dim=1).tolist()}) > 1
    assert found == pytest.approx(sides(own, other, 0.7, 0.3), rel=1e-4)
