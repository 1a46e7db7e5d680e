"""Epochs of few steps, for tests that ask nothing of how well a model has learnt.

An epoch has some steps at least, whatever there is to learn from. On tables as small as those of
tests that is most of what training costs.
"""

from contextlib import contextmanager
from textwrap import indent
from unittest import mock

from tests import forking


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
import sys

from cprtools.cli import main

sys.path.append({str(forking.ROOT)!r})
from tests.training.few_steps import few_steps

with few_steps():
"""
AS_COMMAND = f"{_HEAD}    main()\n"
"""A program of tests/forking.py: cprtools whose trainings are such ones."""
AS_SCRIPT = _HEAD + indent(forking.AS_SCRIPT, " " * 4)
"""A program of tests/forking.py: a script of Python, its path and words, with such trainings."""
