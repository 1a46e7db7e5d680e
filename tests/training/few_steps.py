"""Epochs of few steps, for tests that ask nothing of how well a model has learnt.

An epoch has some steps at least, whatever there is to learn from. On tables as small as those of
tests that is most of what training costs.
"""

from contextlib import contextmanager
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def few_steps(least=3):
    """While it is open, epochs of p-companion and gnn have no more than so many for that reason."""
    from cprtools.cpr import batches as of_products
    from cprtools.linkpred import batches as of_sellers

    # small batches would be many instead
    smallest = {"_MIN_STEPS": least, "_SMALLEST_BATCH": 256}
    with (
        mock.patch.object(of_products, "_LEAST_STEPS", least),
        mock.patch.multiple(of_sellers, **smallest),
    ):
        yield


_HEAD = f"""
import os, runpy, sys

from cprtools.cli import main

sys.path.append({str(ROOT)!r})
from tests.training.few_steps import few_steps

with few_steps():
"""
AS_COMMAND = f"{_HEAD}    main()\n"
"""A program of tests/forking.py: cprtools whose trainings are such ones."""
AS_SCRIPT = f"""{_HEAD}
    del sys.argv[0]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A program of tests/forking.py: a script of Python, its path and words, with such trainings."""
