"""Epochs of few steps, for tests that ask nothing of how well a model has learnt.

An epoch has some steps at least, whatever there is to learn from. Of a market of tests that is the
most of its cost, and each of them only does once more what the first ones did.
"""

from contextlib import contextmanager

import pytest


@contextmanager
def few_steps(least=3):
    """While it is open, an epoch of both trained models has so few steps at least."""
    from cprtools.cpr import batches as of_products
    from cprtools.linkpred import batches as of_sellers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_products, "_LEAST_STEPS", least)
        patch.setattr(of_sellers, "_MIN_STEPS", least)
        # and they are not made more by being small
        patch.setattr(of_sellers, "_SMALLEST_BATCH", 256)
        yield
