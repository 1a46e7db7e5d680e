"""Baselines: simple methods under one contract, strong enough to be worth beating."""

from cprtools.baselines.contract import Problem, Recommender

__all__ = ["Problem", "Recommender"]
