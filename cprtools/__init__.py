"""Complementary-product and seller-product recommendations from Parquet files."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__version__ = "0.1.0"


def on_demand(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562): a name is imported from its file when it is asked for.

    homes: the names of each file, parted by blanks. An answer of one query then loads what it
    needs, and not scipy for what it does not.
    """
    files = {name: file for file, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in files:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{files[name]}"), name)

    return find
