"""Pair mining: which products are viewed and bought together, and what that says of each pair."""

from cprtools.mining.pairs import Mined, mine_pairs
from cprtools.mining.report import MiningReport
from cprtools.mining.rules import Rules, parse_duration, parse_size

__all__ = ["Mined", "MiningReport", "Rules", "mine_pairs", "parse_duration", "parse_size"]
