"""The only module that imports dgl, once its missing parts are stood in for.

dgl 2.1.0 takes `packaging` from setuptools' vendored copy, which newer setuptools no longer ship,
and loads `dgl.graphbolt`, compiled for the torch of its day; neither is needed to sample.
"""

import os
import sys
import types
import warnings
from typing import Any

import packaging
import packaging.version


def _stand_in() -> None:
    extern = types.ModuleType("setuptools.extern")
    extern.packaging = packaging  # type: ignore[attr-defined]
    sys.modules.setdefault("setuptools.extern", extern)
    sys.modules.setdefault("setuptools.extern.packaging", packaging)
    sys.modules.setdefault("setuptools.extern.packaging.version", packaging.version)
    sys.modules.setdefault("dgl.graphbolt", types.ModuleType("dgl.graphbolt"))
    # without it dgl writes a file into the user's home and says so on stderr
    os.environ.setdefault("DGLBACKEND", "pytorch")


def _load() -> Any:
    _stand_in()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dgl
    return dgl


dgl: Any = _load()
