"""Commands that run inside the process of the tests leave it as it was."""

import os

import pytest


@pytest.fixture(autouse=True, scope="module")
def environment():
    """What they set for libraries that are still to be imported is taken back."""
    before = dict(os.environ)
    yield
    for name in set(os.environ) - {*before, "PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.environ.update({n: v for n, v in before.items() if n != "PYTEST_CURRENT_TEST"})
