"""Baselines: simple methods under one contract, strong enough to be worth beating."""

from cprtools.baselines.blend import Blend
from cprtools.baselines.bpr import Bpr
from cprtools.baselines.bytype import TypeCounts, TypePopularity
from cprtools.baselines.contract import Problem, Recommender
from cprtools.baselines.copurchase import CoPurchase, Reverse
from cprtools.baselines.ease import Ease
from cprtools.baselines.factorisation import Factorisation
from cprtools.baselines.item2vec import Item2Vec
from cprtools.baselines.itemknn import ItemKnn
from cprtools.baselines.lightgcn import LightGcn
from cprtools.baselines.popularity import Popularity
from cprtools.baselines.sceptre import Sceptre
from cprtools.baselines.textknn import TextKnn

BASELINES: dict[str, type[Recommender]] = {
    method.method: method
    for method in (
        Popularity,
        CoPurchase,
        Reverse,
        TypeCounts,
        TypePopularity,
        ItemKnn,
        Factorisation,
        Bpr,
        Ease,
        LightGcn,
        Blend,
        Item2Vec,
        TextKnn,
        Sceptre,
    )
}
"""The methods by their name on the command line."""

SELLERS_ONLY = (Bpr.method, LightGcn.method)
"""Methods that know no product as a query."""

__all__ = [
    "BASELINES",
    "SELLERS_ONLY",
    "Blend",
    "Bpr",
    "CoPurchase",
    "Ease",
    "Factorisation",
    "Item2Vec",
    "ItemKnn",
    "LightGcn",
    "Popularity",
    "Problem",
    "Recommender",
    "Reverse",
    "Sceptre",
    "TextKnn",
    "TypeCounts",
    "TypePopularity",
]
