"""The training loop of the triplet baseline."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix

from cprtools.baselines.contract import FloatArray, Problem
from cprtools.baselines.item2vec import PairDraws
from cprtools.baselines.sparse import reweight
from cprtools.cpr.cold import FeatureWeights
from cprtools.cpr.config import CprConfig
from cprtools.cpr.features import encode_features, make_encoding
from cprtools.cpr.towers import TwoTowers, triplet_loss
from cprtools.cpr.training import shared_weights
from cprtools.cpr.triplet import SIZES

_BATCH = 1024
_NEGATIVES = 256
_LEAST_STEPS = 20
_EMBED = 4096


@dataclass(frozen=True)
class TripletConfig:
    """The options of `Triplet.fit`."""

    embedding_dim: int
    epochs: int
    margin: float
    power: float
    weighting: str
    learning_rate: float
    seed: int


def train(problem: Problem, config: TripletConfig) -> tuple[FloatArray, FloatArray, FeatureWeights]:
    """Source and target vectors, (num_products, embedding_dim) float32 unit rows; and the towers.

    No global random state is touched.
    """
    draws = PairDraws(reweight(problem.matrix, config.weighting), config.power, config.seed)
    sizes = CprConfig(embedding_dim=config.embedding_dim, dropout=0.1, **SIZES)
    encoding = make_encoding(problem)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        towers = TwoTowers(encode_features(problem, encoding), sizes)
        _descend(towers, draws, problem.matrix, config)
    towers.eval()
    products = torch.split(torch.arange(problem.num_candidates), _EMBED)
    with torch.no_grad():
        source = torch.cat([towers.source(part) for part in products])
        target = torch.cat([towers.target(part) for part in products])
    return source.numpy(), target.numpy(), FeatureWeights(shared_weights(towers), encoding)


def _descend(towers: TwoTowers, draws: PairDraws, known: csr_matrix, config: TripletConfig) -> None:
    optimiser = torch.optim.Adam(towers.parameters(), lr=config.learning_rate)
    size = min(_BATCH, draws.num_pairs)
    steps = max(-(-draws.num_pairs // size), _LEAST_STEPS) * config.epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        queries, candidates = draws.pairs(size)
        others = draws.negatives(_NEGATIVES)
        is_other = (known[queries][:, others].toarray() == 0) & (queries[:, None] != others)
        source = towers.source(torch.from_numpy(queries))
        # one pass over both: candidates first, the sampled ones after them
        target = towers.target(torch.from_numpy(np.concatenate([candidates, others])))
        true = (source * target[:size]).sum(dim=1)
        sampled = source @ target[size:].T
        loss = triplet_loss(true, sampled, torch.from_numpy(is_other), config.margin)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
