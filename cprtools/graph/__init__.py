"""Tables to a typed graph of sellers and products, and neighbour sampling on it."""

from cprtools.graph.build import GraphInputs, GraphReport, build_graph

__all__ = ["GraphInputs", "GraphReport", "build_graph"]
