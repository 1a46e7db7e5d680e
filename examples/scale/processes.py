"""Whole commands as processes of their own: seconds, peak memory; the rows that show them."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """What one command took."""

    seconds: float
    peak_gigabytes: float
    cpu_seconds: float
    """Of all its threads; on a busy machine the steadier figure."""


def run_command(words: list[str]) -> Cost:
    """Run a command to its end. Raises CalledProcessError if it fails."""
    return run_together([words])


def run_together(commands: list[list[str]]) -> Cost:
    """Run commands beside each other; memory is the sum of their peaks.

    Raises CalledProcessError if one fails.
    """
    start = time.perf_counter()
    processes = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in commands]
    peak, cpu = 0, 0.0
    for process, words in zip(processes, commands, strict=True):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, words)
        peak += usage.ru_maxrss
        cpu += usage.ru_utime + usage.ru_stime
    # kilobytes of 1024 on Linux
    return Cost(time.perf_counter() - start, peak * 1024 / 1e9, cpu)


def keep_log(folder: Path, events: int) -> Path:
    """The log of that size in the folder, made by logs.py if it is not there."""
    log = folder / f"log-{events}"
    if not log.exists():
        generator = str(Path(__file__).with_name("logs.py"))
        run_command([sys.executable, generator, str(log), "--events", str(events)])
    return log


def write_row(cells: list[str]) -> None:
    """One line of a table, at once."""
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()
