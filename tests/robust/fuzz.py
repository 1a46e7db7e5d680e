"""Damage the files that each command reads, in every way, and see that it ends with one clear line.

`python -m tests.robust.fuzz --each 2000` is the long run; the suite takes a few of each.
Every run is a forked process with bounded memory: a crash or a hang is an answer, too. What forks
reads and writes no Parquet itself: that would start threads, whose locks a child gets without them.
"""

import argparse
import importlib
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.cli.commands import train

STORED = Path(__file__).parent / "stored"
# what may be allocated beyond what the libraries take, and what is expected to be used of it
LIMIT, EXPECTED = 3 << 30, 1 << 30
SECONDS = 60
CODES = (0, 2, 3, 4, 6)
NOT_TEXT = b"caf\xe9"  # in Latin-1, not in UTF-8
OUT = " --threads 1 -q -o out"
TRAIN_CPR = "train-cpr pairs.parquet --products products.parquet --vectors text.parquet"
GRAPH = "build-graph --listings listings.parquet --pairs pairs.parquet --products products.parquet"
GRAPH += " --high-demand high_demand.parquet --views views.parquet"
EVALUATE = "evaluate recs.parquet --truth pairs.parquet --products products.parquet --bootstrap 2"


@dataclass(frozen=True)
class Reader:
    """A command that reads a file, or one of the files of a folder."""

    words: str
    place: str
    before: str = ""
    """What makes the place, where it is not stored: what this version writes, not the first."""

    @property
    def out(self) -> str:
        """The further words that say where its result goes."""
        return "" if self.words.startswith("inspect") else OUT


READERS = {
    "events": Reader("mine-pairs events.parquet", "events.parquet"),
    "relations": Reader("mine-pairs --relations relations.parquet", "relations.parquet"),
    "texts": Reader("embed-text products.parquet --method doc2vec --dim 4", "products.parquet"),
    "graph listings": Reader(GRAPH, "listings.parquet"),
    "graph pairs": Reader(GRAPH, "pairs.parquet"),
    "graph products": Reader(GRAPH, "products.parquet"),
    "graph demand": Reader(GRAPH, "high_demand.parquet"),
    "graph views": Reader(GRAPH, "views.parquet"),
    "training pairs": Reader(TRAIN_CPR + " --method co-purchase", "pairs.parquet"),
    "training products": Reader(TRAIN_CPR + " --method type-popularity", "products.parquet"),
    "vectors": Reader(TRAIN_CPR + " --method text-knn", "text.parquet"),
    "graph": Reader("train-linkpred graph --method popularity", "graph"),
    "complement model": Reader("recommend --model cpr.model --all", "cpr.model"),
    "extended model": Reader(
        "recommend --model cpr.model --product N --products new.parquet --vectors new_text.parquet",
        "cpr.model",
    ),
    "one product": Reader(
        "recommend --model in_place.model --product A1 --explain --format json",
        "in_place.model",
        TRAIN_CPR + " --epochs 1 -q -o in_place.model",
    ),
    "seller model": Reader("recommend --model seller.model --all --threshold 0", "seller.model"),
    "one seller": Reader(
        "recommend --model in_place.model --seller S1 --threshold 0 --category all",
        "in_place.model",
        "train-linkpred graph --vectors text.parquet --embedding-dim 8 --num-layers 2 --epochs 1 "
        "--networks 1 -q -o in_place.model",
    ),
    "queries": Reader(
        "recommend --model cpr.model --queries high_demand.parquet", "high_demand.parquet"
    ),
    "only": Reader(
        "recommend --model seller.model --seller S1 --only high_demand.parquet",
        "high_demand.parquet",
    ),
    "exclude": Reader(
        "recommend --model seller.model --all --exclude train.parquet", "train.parquet"
    ),
    "recommendations": Reader(EVALUATE, "recs.parquet"),
    "truth": Reader(EVALUATE, "pairs.parquet"),
    "truth of sellers": Reader(
        "evaluate seller_recs.parquet --truth test.parquet --train train.parquet --bootstrap 2",
        "test.parquet",
    ),
    "split": Reader("split listings.parquet --test-out rest --by seller_id --fraction 0.3",
                    "listings.parquet"),
    "inspect": Reader("inspect metrics.parquet", "metrics.parquet"),
    "inspect rows": Reader("inspect listings.parquet --rows 3", "listings.parquet"),
    "inspect a difference": Reader("inspect train.parquet --diff test.parquet", "train.parquet"),
    "inspect a folder": Reader("inspect seller.model", "seller.model"),
}  # fmt: skip


def flip(data, rng, other):
    """Some bytes are others."""
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def flip_footer(data, rng, other):
    """Bytes of the footer are others: sizes, types, places."""
    (size,) = struct.unpack("<I", data[-8:-4])
    for _ in range(rng.choice((1, 1, 2, 4))):
        data[len(data) - 9 - rng.randrange(min(size, len(data) - 9))] = rng.randrange(256)


def enlarge(data, rng, other):
    """A number of the footer, or its own size, becomes huge."""
    (size,) = struct.unpack("<I", data[-8:-4])
    if rng.random() < 0.2:
        data[-8:-4] = struct.pack(
            "<I", rng.choice((0, size + 1, 1 << 20, (1 << 31) - 1, (1 << 32) - 1))
        )
        return
    at, before = len(data) - 8 - size + rng.randrange(size), len(data)
    # a number of variable length, in place of one of a byte
    data[at : at + 1] = b"\xff" * rng.choice((3, 4, 8)) + b"\x7f"
    data[-8:-4] = struct.pack("<I", size + len(data) - before)


def cut(data, rng, other):
    """The file ends early, or lacks a piece."""
    start = rng.randrange(len(data))
    del data[start : len(data) if rng.random() < 0.5 else start + rng.randrange(1, 200)]


def swap_footer(data, rng, other):
    """The footer of another table stands behind the data."""
    sizes = [struct.unpack("<I", bytes(x[-8:-4]))[0] + 8 for x in (data, other)]
    data[len(data) - sizes[0] :] = other[len(other) - sizes[1] :]


def rewrite(data, rng, other):
    """A good file whose values are not what they must be."""
    table = pq.read_table(pa.BufferReader(bytes(data)))
    if not table.num_columns:
        return
    at = rng.randrange(table.num_columns)
    name, column = table.column_names[at], table.column(at).combine_chunks()
    how = rng.choice(("value", "value", "value", "drop", "type", "rows", "null"))
    if how == "drop":
        table = table.remove_column(at)
    elif how == "type":
        other_type = rng.choice(
            (pa.array(["x"]), pa.array([1.5]), pa.array([[1]]), pa.array([b"y"]))
        )
        table = table.set_column(
            at, name, pa.concat_arrays([other_type] * table.num_rows or [other_type.slice(1)])
        )
    elif how == "rows":
        table = rng.choice((table.slice(0, 0), table.slice(1), pa.concat_tables([table, table])))
    elif how == "null":
        values = column.to_pylist()
        values[rng.randrange(len(values) or 1) :] = [None] * len(values) if values else []
        table = table.set_column(at, name, pa.array(values[: table.num_rows], column.type))
    else:
        table = table.set_column(at, name, hostile(column, rng))
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    data[:] = out.getvalue().to_pybytes()


def hostile(column, rng):
    """The column with one value that is out of every range, or looks like something else."""
    if not len(column):
        return column
    values, at, kind = column.to_pylist(), rng.randrange(len(column)), column.type
    if pa.types.is_floating(kind):
        values[at] = rng.choice(
            (float("nan"), float("inf"), -1e300 if kind == pa.float64() else -1e38)
        )
    elif pa.types.is_integer(kind):
        top = (1 << (kind.bit_width - 1)) - 1
        values[at] = rng.choice((-1, top, -top, 1 << 20, 0))
    elif pa.types.is_string(kind):
        values[at] = rng.choice(
            ("", "'; DROP TABLE x; --", "a\nb", "\x1b[31m", "\0", '"', "😀", "x" * 99999, NOT_TEXT)
        )
        return pa.array(values, pa.binary()).view(kind)
    elif pa.types.is_boolean(kind):
        values[at] = not values[at]
    elif pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type):
        values[at] = [rng.choice((float("nan"), float("inf"), 1e38))] * kind.list_size
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values[at] = None if rng.random() < 0.5 else []
    return pa.array(values, kind)


MUTATIONS = (flip, flip_footer, enlarge, cut, swap_footer, rewrite, rewrite)


def mutate(data, rng, other):
    """The bytes after one of the mutations, and its name."""
    changed, how = bytearray(data), rng.choice(MUTATIONS)
    how(changed, rng, other)
    return bytes(changed), how.__name__


def write_new_product(folder):
    """A product that no stored table holds, and its vector."""
    new = pa.table(
        {"product_id": ["N"], "title": ["New"], "category": ["Alpha"], "product_type": ["type A"]}
    )
    pq.write_table(new, folder / "new.parquet")
    text = pq.read_table(folder / "text.parquet").slice(0, 1)
    pq.write_table(text.set_column(0, "product_id", [["N"]]), folder / "new_text.parquet")


def fuzz(reader, count, seed, folder):
    """Run the reader on that many damaged files; yields a line for each defect."""
    for name in ("cpr", "linkpred", "answers", "evaluation", "mining", "graph", "text.methods"):
        importlib.import_module(f"cprtools.{name}")
    for name in ("duckdb", "torch", "cprtools.cli.app", "lightgbm", "scipy.optimize"):
        importlib.import_module(name)
    work = Path(folder) / "work"
    shutil.copytree(STORED, work)
    apart(write_new_product, work)
    if reader.before:
        train(work, *reader.before.split())
    target = work / reader.place
    files = sorted(target.iterdir()) if target.is_dir() else [target]
    others = [file.read_bytes() for file in sorted(STORED.glob("*.parquet"))]
    rng = random.Random(seed)
    for number in range(count):
        file = rng.choice(files)
        whole = file.read_bytes()
        apart(damage, file, rng.choice(others), f"{seed} {number}", work.parent / "how")
        defect = judge(run(f"{reader.words} {reader.out}", work))
        file.write_bytes(whole)
        if defect:
            yield f"{number} {file.name} {(work.parent / 'how').read_text()}: {defect}"


def damage(file, other, seed, told):
    """Write the file anew after a mutation, and tell which."""
    data, how = mutate(file.read_bytes(), random.Random(seed), other)
    file.write_bytes(data)
    told.write_text(how)


def apart(do, *given):
    """Do it in a child, which leaves this process without its threads."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            do(*given)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{do.__name__} failed")


def run(words, work):
    """Exit code (below 0: the signal), what was said, and the largest memory in bytes."""
    said = work.parent / "said"
    child = os.fork()
    if child == 0:
        behave(words, work, said)
    ended = time.monotonic() + SECONDS
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > ended:
            os.kill(child, signal.SIGKILL)
            done, status, usage = os.wait4(child, 0)
            return "no end", "", 0
        time.sleep(0.002)
    text = said.read_text(errors="replace")
    return os.waitstatus_to_exitcode(status), text, usage.ru_maxrss << 10


def behave(words, work, said):
    """The command in this process, which ends with it."""
    os.chdir(work)
    os.environ.update(TMPDIR=str(work.parent), OMP_NUM_THREADS="1")
    tempfile.tempdir = None
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + LIMIT, size + LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from cprtools import cli

    code = 99
    try:
        cli.main(words.split())
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 98
    finally:
        sys.stderr.flush()
        os._exit(code)


def judge(done):
    """What is wrong with how the command ended, or nothing."""
    code, said, memory = done
    lines = said.splitlines()
    if code not in CODES:
        return f"ended with {code}: {said[-400:]}"
    if (
        "Traceback" in said
        or "a bug in" in said
        or any(not x.startswith("cprtools: ") for x in lines)
    ):
        return f"said {said[-400:]}"
    if code in (2, 3, 4) and sum(line.startswith("cprtools: error: ") for line in lines) != 1:
        return f"{code} without one line of error: {said[-400:]}"
    if any(not ch.isprintable() for ch in said.replace("\n", "")):
        return f"printed control characters: {said!r}"
    return f"took {memory >> 20} MiB" if memory > EXPECTED else ""


def main():
    """Print each defect and a line for each reader; the exit code is 1 where there is a defect."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=list(READERS), nargs="+", default=list(READERS))
    chosen = parser.parse_args()
    bad = 0
    for name in chosen.reader:
        reader = READERS[name]
        begin, found = time.monotonic(), 0
        with tempfile.TemporaryDirectory() as folder:
            for defect in fuzz(reader, chosen.each, chosen.seed, folder):
                found += 1
                sys.stdout.write(f"{name}: {defect}\n")
        seconds = time.monotonic() - begin
        sys.stdout.write(f"{name:20} {chosen.each} files, {found} defects, {seconds:.0f} s\n")
        sys.stdout.flush()
        bad += found
    return int(bad > 0)


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
