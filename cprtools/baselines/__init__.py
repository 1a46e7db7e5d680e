"""Baselines: simple methods under one contract, strong enough to be worth beating."""

from typing import TYPE_CHECKING

from cprtools import on_demand

if TYPE_CHECKING:
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
    from cprtools.baselines.registry import BASELINES, SELLERS_ONLY
    from cprtools.baselines.sceptre import Sceptre
    from cprtools.baselines.textknn import TextKnn

__getattr__ = on_demand(
    __name__,
    {
        "blend": "Blend",
        "bpr": "Bpr",
        "bytype": "TypeCounts TypePopularity",
        "contract": "Problem Recommender",
        "copurchase": "CoPurchase Reverse",
        "ease": "Ease",
        "factorisation": "Factorisation",
        "item2vec": "Item2Vec",
        "itemknn": "ItemKnn",
        "lightgcn": "LightGcn",
        "popularity": "Popularity",
        "registry": "BASELINES SELLERS_ONLY",
        "sceptre": "Sceptre",
        "textknn": "TextKnn",
    },
)

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
