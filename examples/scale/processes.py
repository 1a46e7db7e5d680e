"""Whole commands as processes of their own: seconds and peak resident memory of each."""

import os
import subprocess
import time
from typing import NamedTuple


class Cost(NamedTuple):
    """What one command took."""

    seconds: float
    peak_gigabytes: float


def run_command(words: list[str]) -> Cost:
    """Run a command to its end. Raises CalledProcessError if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    # kilobytes of 1024 on Linux
    return Cost(time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e9)
