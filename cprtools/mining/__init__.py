"""Pair mining: which products are viewed and bought together, and what that says of each pair."""

from cprtools.mining.explain import Explanation, explain_pair
from cprtools.mining.pairs import Mined, mine_pairs, mine_state
from cprtools.mining.report import MiningReport
from cprtools.mining.rules import Rules, parse_duration, parse_size
from cprtools.mining.spark import mine_pairs_on_spark
from cprtools.mining.spark_session import SparkCluster
from cprtools.mining.telling import explanation_text

__all__ = [
    "Explanation",
    "Mined",
    "MiningReport",
    "Rules",
    "SparkCluster",
    "explain_pair",
    "explanation_text",
    "mine_pairs",
    "mine_pairs_on_spark",
    "mine_state",
    "parse_duration",
    "parse_size",
]
