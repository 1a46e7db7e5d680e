"""A small part of `make fuzz`: a few damaged files for each reader."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.robust import fuzz

EACH = 4


def test_damaged_files_of_every_reader_end_in_one_line_and_in_bounded_memory():
    # a process without the threads of other tests: forked children of it can start their own
    words = [sys.executable, "-m", "tests.robust.fuzz", "--each", str(EACH), "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(words, check=False, capture_output=True, env=environment)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert done.stdout.decode().count(f"{EACH} files, 0 defects") == len(fuzz.READERS) > 20


def test_every_mutation_changes_the_file():
    data = (fuzz.STORED / "pairs.parquet").read_bytes()
    other = (fuzz.STORED / "recs.parquet").read_bytes()
    for how in fuzz.MUTATIONS:
        changed = [bytearray(data) for _ in range(10)]
        for number, each in enumerate(changed):
            how(each, random.Random(number), other)
        assert sum(bytes(each) != data for each in changed) >= 8, how.__name__
    whole = bytearray(data)
    fuzz.rewrite(whole, random.Random(1), other)
    assert isinstance(pq.read_table(pa.BufferReader(bytes(whole))), pa.Table)


@pytest.mark.parametrize(
    "done",
    [
        (-11, "", 0),
        ("no end", "", 0),
        (1, "cprtools: error: a bug in cprtools: X", 0),
        (3, "", 0),
        (3, "cprtools: error: a\ncprtools: error: b", 0),
        (4, "Traceback", 0),
        (0, "cprtools: warning: \x1b[31m", 0),
        (0, "", 2 << 30),
    ],
)
def test_the_judge_calls_each_kind_of_defect_one(done):
    assert fuzz.judge(done)
    assert not fuzz.judge((3, "cprtools: error: pairs.parquet: no column 'x'", 1 << 20))
