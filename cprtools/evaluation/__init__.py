"""Evaluation: splits, ranking metrics, bootstrap intervals, paired comparison, report."""

from cprtools.evaluation.complements import evaluate_complements
from cprtools.evaluation.inputs import Inputs, Places, evaluate_all, open_inputs, parse_ks
from cprtools.evaluation.rendering import FORMATS, leaderboard, render
from cprtools.evaluation.report import Details, Provenance, gather, html_report, provenance
from cprtools.evaluation.results import Comparison, Evaluation, combine_tables, compare, told_once
from cprtools.evaluation.sellers import evaluate_sellers
from cprtools.evaluation.verdicts import verdicts

__all__ = [
    "FORMATS",
    "Comparison",
    "Details",
    "Evaluation",
    "Inputs",
    "Places",
    "Provenance",
    "combine_tables",
    "compare",
    "evaluate_all",
    "evaluate_complements",
    "evaluate_sellers",
    "gather",
    "html_report",
    "leaderboard",
    "open_inputs",
    "parse_ks",
    "provenance",
    "render",
    "told_once",
    "verdicts",
]
