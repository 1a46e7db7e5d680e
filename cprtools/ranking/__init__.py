"""Ranking: evidence about a (query, candidate) pair, and the small ranker over it."""

from typing import TYPE_CHECKING

from cprtools import on_demand

if TYPE_CHECKING:
    from cprtools.ranking.calibration import Calibration, fit_calibration, load_calibration
    from cprtools.ranking.collecting import Collected, DrawnAsNew, collect_evidence
    from cprtools.ranking.evidence import Evidence
    from cprtools.ranking.fitting import fit_two_stage
    from cprtools.ranking.holdout import (
        draws,
        hold_out_later,
        hold_out_listings,
        hold_out_pairs,
        share_held_out,
        shares_at_sellers,
        unlisted_by_draw,
    )
    from cprtools.ranking.ranker import ranker_fitter
    from cprtools.ranking.storage import load_stage, stage_members
    from cprtools.ranking.trees import Trees, fit_trees, load_trees
    from cprtools.ranking.two_stage import Settings, TwoStage, candidate_pool, query_blocks

__getattr__ = on_demand(
    __name__,
    {
        "calibration": "Calibration fit_calibration load_calibration",
        "collecting": "Collected DrawnAsNew collect_evidence",
        "evidence": "Evidence",
        "fitting": "fit_two_stage",
        "holdout": "draws hold_out_later hold_out_listings hold_out_pairs share_held_out "
        "shares_at_sellers unlisted_by_draw",
        "ranker": "ranker_fitter",
        "storage": "load_stage stage_members",
        "trees": "Trees fit_trees load_trees",
        "two_stage": "Settings TwoStage candidate_pool query_blocks",
    },
)

__all__ = [
    "Calibration",
    "Collected",
    "DrawnAsNew",
    "Evidence",
    "Settings",
    "Trees",
    "TwoStage",
    "candidate_pool",
    "collect_evidence",
    "draws",
    "fit_calibration",
    "fit_trees",
    "fit_two_stage",
    "hold_out_later",
    "hold_out_listings",
    "hold_out_pairs",
    "load_calibration",
    "load_stage",
    "load_trees",
    "query_blocks",
    "ranker_fitter",
    "share_held_out",
    "shares_at_sellers",
    "stage_members",
    "unlisted_by_draw",
]
