from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cprtools.graph.homogeneous import LISTS, make_graph, supervision_edges
from cprtools.graph.sampling import SAMPLERS, full_blocks, make_sampler


def random_graph(seed=0, sellers=12, products=30):
    rng = np.random.default_rng(seed)
    listings = csr_matrix((rng.random((sellers, products)) < 0.3).astype(np.float32))
    together = np.triu(rng.random((products, products)) < 0.1, 1).astype(np.float32)
    return make_graph(listings, csr_matrix(together + together.T))


def edge_ids(graph, pairs):
    known = {
        (int(s), int(d)): e
        for e, (s, d) in enumerate(zip(graph.sources, graph.destinations, strict=True))
    }
    return torch.tensor([known[pair] for pair in pairs], dtype=torch.int64)


def star():
    """Seller 0 lists products 1 to 5 (nodes), and 1 is bought with 2."""
    together = np.zeros((5, 5), dtype=np.float32)
    together[0, 1] = together[1, 0] = 1
    return make_graph(csr_matrix(np.ones((1, 5), dtype=np.float32)), csr_matrix(together))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_blocks_chain_from_the_first_layer_to_the_roots(sampler):
    graph = random_graph()
    roots = torch.tensor([3, 0, 20, 40])
    blocks = make_sampler(graph, [2, 3, 4], sampler=sampler).sample(roots, torch.tensor([5]))
    assert len(blocks) == 3
    assert torch.equal(blocks[-1].nodes[: blocks[-1].num_dst], roots)
    for before, after in pairwise(blocks):
        assert torch.equal(before.nodes[: before.num_dst], after.nodes)
    for block in blocks:
        assert len(block.nodes.unique()) == len(block.nodes)
        edge = block.edge.numpy()
        assert np.array_equal(block.nodes[block.source].numpy(), graph.sources[edge])
        assert np.array_equal(block.nodes[block.target].numpy(), graph.destinations[edge])
        assert np.array_equal(block.relation.numpy(), graph.relations[edge])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_fanout_counts_over_all_relations_together(sampler):
    graph = random_graph()
    degree = np.diff(graph.indptr)
    nodes = torch.arange(graph.num_nodes)
    block = make_sampler(graph, [3], sampler=sampler).sample(nodes, torch.tensor([], dtype=int))[0]
    drawn = np.bincount(block.target.numpy(), minlength=graph.num_nodes)
    assert np.array_equal(drawn, np.minimum(degree, 3))
    assert len(block.edge.unique()) == len(block.edge)
    mixed = [set(graph.relations[block.edge[block.target == n].numpy()]) for n in nodes]
    assert any(len(relations) == 2 for relations in mixed)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_layer_has_its_own_fanout(sampler):
    blocks = make_sampler(star(), [1, 4], sampler=sampler).sample(
        torch.tensor([0]), torch.tensor([], dtype=int)
    )
    assert len(blocks[1].edge) == 4
    assert torch.bincount(blocks[0].target).max() == 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_predicted_edge_and_its_reverse_carry_no_messages(sampler):
    graph = random_graph()
    predicted = torch.from_numpy(supervision_edges(graph, None)[::3].copy())
    hidden = torch.cat([predicted, torch.from_numpy(graph.reverse)[predicted]])
    drawer = make_sampler(graph, [3] * 4, sampler=sampler)
    roots = torch.arange(graph.num_nodes)
    seen = torch.cat([b.edge for _ in range(30) for b in drawer.sample(roots, predicted)]).unique()
    assert not torch.isin(seen, hidden).any()
    # and nothing else is kept from the layers
    assert len(seen) == graph.num_edges - len(hidden)
    again = drawer.sample(roots, torch.tensor([], dtype=int))
    assert torch.isin(torch.cat([b.edge for b in again]), hidden).any()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_excluded_edges_leave_room_for_others(sampler):
    # of five listings one is predicted: all four others must come, though five exist
    graph = star()
    drawer = make_sampler(graph, [4], sampler=sampler)
    predicted = edge_ids(graph, [(0, 3)])
    for _ in range(10):
        block = drawer.sample(torch.tensor([0]), predicted)[0]
        assert sorted(block.nodes[block.source].tolist()) == [1, 2, 4, 5]


def shares(sampler, fanout, excluded, copies=1000):
    """Share of each drawn subset over many sellers that list five products of their own each."""
    rows = np.repeat(np.arange(copies), 5)
    ones = np.ones(5 * copies, dtype=np.float32)
    graph = make_graph(csr_matrix((ones, (rows, np.arange(5 * copies)))))
    predicted = [(n, copies + 5 * n + place) for n in range(copies) for place in excluded]
    drawer = make_sampler(graph, [fanout], sampler=sampler, seed=1)
    counts = Counter()
    for _ in range(3):
        block = drawer.sample(torch.arange(copies), edge_ids(graph, predicted))[0]
        place = (block.nodes[block.source] - copies) % 5
        order = torch.argsort(block.target * 5 + place)
        counts.update(map(tuple, place[order].view(copies, fanout).tolist()))
    return {subset: n / (3 * copies) for subset, n in counts.items()}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("fanout", "excluded"), [(2, []), (3, []), (2, [0, 3]), (1, [4])])
def test_every_subset_of_open_neighbours_is_as_likely(sampler, fanout, excluded):
    subsets = list(combinations([n for n in range(5) if n not in excluded], fanout))
    found = shares(sampler, fanout, excluded)
    assert set(found) == set(subsets)
    # four standard errors of a share of 1/n in 3000 draws
    share = 1 / len(subsets)
    bound = 4 * (share * (1 - share) / 3000) ** 0.5
    assert max(abs(found[s] - share) for s in subsets) < bound


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_seed_decides_the_sample(sampler):
    graph = random_graph()
    roots, predicted = torch.arange(graph.num_nodes), torch.tensor([4])

    def draw(seed):
        drawer = make_sampler(graph, [2, 2], sampler=sampler, seed=seed)
        return [b.edge.tolist() for _ in range(3) for b in drawer.sample(roots, predicted)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_the_tensor_sampler_leaves_torchs_own_seed_alone():
    before = torch.get_rng_state()
    make_sampler(random_graph(), [2]).sample(torch.tensor([0]), torch.tensor([0]))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("most_edges", [1, 7, 10**6])
def test_full_blocks_hold_every_edge_with_its_ends_once(most_edges):
    graph = random_graph()
    blocks = list(full_blocks(graph, most_edges))
    assert len(blocks) == 1 or most_edges < graph.num_edges
    assert torch.cat([b.destinations for b in blocks]).tolist() == list(range(graph.num_nodes))
    assert torch.cat([b.edge for b in blocks]).tolist() == list(range(graph.num_edges))
    for block in blocks:
        assert len(block.edge) <= most_edges or block.num_dst == 1
        ends = block.destinations[block.target].numpy()
        np.testing.assert_array_equal(ends, graph.destinations[block.edge])
        np.testing.assert_array_equal(block.sender, graph.sources[block.edge])
    assert (graph.relations == LISTS).sum() * 2 + (graph.relations == 2).sum() == graph.num_edges


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_edges_predicted_and_drawn_are_counted(sampler):
    graph = star()
    drawing = make_sampler(graph, [2], sampler=sampler)
    predicted = edge_ids(graph, [(0, 3)])
    for calls in (1, 2):
        # 2 of the 4 other listings of seller 0; none into 3, whose only edge is predicted; 2 into 1
        drawing.sample(torch.tensor([0, 3, 1]), predicted)
        counted = (drawing.num_batches, drawing.num_roots, drawing.num_sampled)
        assert counted == (calls, calls, calls * (2 + 0 + 2))


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="torch, dgl"):
        make_sampler(random_graph(), [2], sampler="other")
