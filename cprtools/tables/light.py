"""Less to load: pyarrow without pandas, and its compute functions when the first one is called."""

import contextlib
import importlib
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class _Compute:
    """`pyarrow.compute`, imported at its first use: its wrappers take a while to be made."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("pyarrow.compute"), name)


pc: Any = _Compute()


def number_array(
    values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """A number column, (rows,), null where `missing`; `pa.array` loads numpy's masked arrays."""
    is_known = None
    if missing is not None:
        is_known = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(values))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [is_known, data])


class _NoPandas:
    """A finder to whom pandas, and dateutil, of whose values there are none, are not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in ("pandas", "dateutil"):
            raise ModuleNotFoundError(name)


def leave_pandas_out() -> None:
    """Let pyarrow's conversions do without pandas in this process.

    Where it is installed pyarrow loads it to ask of each value whether it is a Series, which takes
    longer than an answer. It looks for it once, at its first conversion.
    """
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    try:
        pa.array([0])
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)  # type: ignore[arg-type]
