"""Freed memory is used again inside, and given back at the end."""

import platform
import resource
import subprocess
import sys

import pytest

# in a process of its own: what other tests have freed would be used again, too
SCRIPT = """
import resource
import numpy as np
from cprtools.training.reuse import reusing_memory

def faults(rounds=5, size=1 << 27):
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.empty(size, np.uint8)[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

before, held = faults(), resident()
with reusing_memory():
    faults(rounds=1)
    inside = faults()
print(before, inside, faults(), resident() - held)
"""


NAME, VERSION = platform.libc_ver()
IS_NEW = NAME == "glibc" and tuple(map(int, VERSION.split("."))) >= (2, 35)


@pytest.mark.skipif(not IS_NEW, reason="other C libraries, and older ones, keep smaller blocks")
def test_large_blocks_are_used_again_inside_and_given_back_in_the_end():
    words = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    before, inside, after, grown = map(int, done.stdout.split())
    assert inside < before / 10
    assert after > before / 2
    # in pages: less than a tenth of one block
    assert grown < (1 << 27) / 10 / resource.getpagesize()
