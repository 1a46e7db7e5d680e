"""The methods a model folder may ask for."""

from cprtools.baselines.registry import BASELINES, Methods

METHODS = Methods(
    {
        **BASELINES.homes,
        "p-companion": "cpr.model:PCompanion",
        "triplet": "cpr.triplet:Triplet",
        "gnn": "linkpred.model:GraphModel",
    }
)
