"""Trained weights of a network as a table, and back: for answers by numpy alone."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from cprtools.baselines.contract import FloatArray
from cprtools.errors import SchemaError

Weights = Mapping[str, FloatArray]


def weights_table(weights: Weights) -> pa.Table:
    """One row for each matrix: its name, its number of columns and its values by row."""
    return pa.table(
        {
            "name": pa.array(weights, pa.string()),
            "columns": pa.array([w.shape[1] for w in weights.values()], pa.int32()),
            "values": pa.array([w.ravel() for w in weights.values()], pa.list_(pa.float32())),
        }
    )


def load_weights(table: pa.Table, label: str) -> dict[str, FloatArray]:
    """The matrices by name, float32. Raises SchemaError where one has no such form or numbers."""
    try:
        rows = table.select(["name", "columns", "values"]).to_pylist()
        weights = {
            str(row["name"]): np.array(row["values"], np.float32).reshape(-1, row["columns"])
            for row in rows
        }
    except (KeyError, ValueError, TypeError) as error:
        raise SchemaError(f"{label}: does not hold weights; {error}") from error
    wrong = [name for name, values in weights.items() if not np.isfinite(values).all()]
    if wrong:
        raise SchemaError(f"{label}: {wrong[0]} must hold finite numbers; found NaN or infinity")
    return weights


def check_shapes(weights: Weights, expected: Mapping[str, tuple[int, int]], label: str) -> None:
    """Raise SchemaError where a matrix is missing or has another shape."""
    for name, shape in expected.items():
        found = weights[name].shape if name in weights else "none"
        if found != shape:
            raise SchemaError(f"{label}: {name} must be of shape {shape}; found {found}")
