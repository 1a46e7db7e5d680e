"""Baselines: simple methods under one contract, strong enough to be worth beating."""

from cprtools.baselines.bytype import TypeCounts, TypePopularity
from cprtools.baselines.contract import Problem, Recommender
from cprtools.baselines.copurchase import CoPurchase
from cprtools.baselines.factorisation import Factorisation
from cprtools.baselines.itemknn import ItemKnn
from cprtools.baselines.popularity import Popularity
from cprtools.baselines.textknn import TextKnn

BASELINES: dict[str, type[Recommender]] = {
    method.method: method
    for method in (
        Popularity,
        CoPurchase,
        TypeCounts,
        TypePopularity,
        ItemKnn,
        Factorisation,
        TextKnn,
    )
}
"""The methods by their name on the command line."""

__all__ = [
    "BASELINES",
    "CoPurchase",
    "Factorisation",
    "ItemKnn",
    "Popularity",
    "Problem",
    "Recommender",
    "TextKnn",
    "TypeCounts",
    "TypePopularity",
]
