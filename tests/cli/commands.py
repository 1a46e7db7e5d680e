"""Run cprtools as a user does, and tables small enough to train on in seconds."""

import os

import pyarrow as pa
import pyarrow.parquet as pq

from tests import forking
from tests.training.few_steps import AS_COMMAND


def run(folder, *words, stdin=None, env=None):
    given = {} if stdin is None else {"input": stdin}
    return forking.run(words, folder, env={**os.environ, "COLUMNS": "160", **(env or {})}, **given)


def ok(folder, *words, **options):
    done = run(folder, *words, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def train(folder, *words, env=None):
    """A training of few steps: the command works, and its model has not learnt much."""
    env = {**os.environ, **(env or {})}
    done = forking.run(words, folder, env=env, program=AS_COMMAND)
    assert done.returncode == 0, done.stderr.decode()
    return done


def fails(folder, code, *words, **options):
    """The one line of an error: the exit code is as documented, no traceback, nothing on stdout."""
    done = run(folder, *words, **options)
    lines = [x for x in done.stderr.decode().splitlines() if x.startswith("cprtools: error: ")]
    assert done.returncode == code, done.stderr.decode()
    assert len(lines) == 1
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""
    return lines[0]


def write(path, **columns):
    pq.write_table(pa.table(columns), path)


def planted_pairs(n=60):
    """Type A is completed by B, B by C; within it product i by its neighbours i and i + 1."""
    rows = []
    for i in range(n):
        for j in (i, (i + 1) % n):
            rows.append((f"A{i}", f"B{j}", 5))
            rows.append((f"B{i}", f"C{j}", 3))
    query, candidate, counts = zip(*rows, strict=True)
    m = len(rows)
    return {
        "query_id": list(query),
        "candidate_id": list(candidate),
        "co_purchase": pa.array(counts, pa.int64()),
        "co_view": pa.array([0] * m, pa.int64()),
        "purchase_after_view": pa.array([0] * m, pa.int64()),
        "query_count": pa.array([9] * m, pa.int64()),
        "candidate_count": pa.array([9] * m, pa.int64()),
        "lift": [1.0] * m,
        "complement": [True] * m,
        "similar": [False] * m,
    }


def refused(done, code, *parts):
    """Check that a command ended with this code and one line that says all of these parts."""
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, lines
    assert len(lines) == 1 and lines[0].startswith("cprtools: error: "), lines
    for part in parts:
        assert part in lines[0]
    assert done.stdout == b""
