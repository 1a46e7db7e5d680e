"""The methods by their name on the command line, each imported when it is asked for."""

import importlib
from collections.abc import Iterator, Mapping

from cprtools.baselines.contract import Recommender

SELLERS_ONLY = ("bpr", "lightgcn")
"""Methods that know no product as a query."""


class Methods(Mapping[str, type[Recommender]]):
    """Classes by name; homes: `room.file:Class` of each."""

    def __init__(self, homes: Mapping[str, str]):
        self.homes = homes

    def __getitem__(self, name: str) -> type[Recommender]:
        module, _, found = self.homes[name].partition(":")
        kind: type[Recommender] = getattr(importlib.import_module(f"cprtools.{module}"), found)
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(self.homes)

    def __len__(self) -> int:
        return len(self.homes)


BASELINES = Methods(
    {
        "popularity": "baselines.popularity:Popularity",
        "co-purchase": "baselines.copurchase:CoPurchase",
        "reverse": "baselines.copurchase:Reverse",
        "type-counts": "baselines.bytype:TypeCounts",
        "type-popularity": "baselines.bytype:TypePopularity",
        "item-knn": "baselines.itemknn:ItemKnn",
        "mf": "baselines.factorisation:Factorisation",
        "bpr": "baselines.bpr:Bpr",
        "ease": "baselines.ease:Ease",
        "lightgcn": "baselines.lightgcn:LightGcn",
        "blend": "baselines.blend:Blend",
        "item2vec": "baselines.item2vec:Item2Vec",
        "text-knn": "baselines.textknn:TextKnn",
        "sceptre": "baselines.sceptre:Sceptre",
    }
)
