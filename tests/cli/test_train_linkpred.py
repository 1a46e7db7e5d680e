"""cprtools train-linkpred: cut off at any moment, resumed, and on graphs that are not whole."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools.tables import Footer, folders, open_folder, write_folder
from tests import forking
from tests.cli.commands import fails, ok, run, train, write

TRAIN = ("train-linkpred", "graph", "--vectors", "vectors.parquet", "--epochs", "2")
QUICK = ("--networks", "2", "--epochs", "1", "--num-layers", "1")

# the command, but every state is written, and files reach the disk only so often before a SIGKILL
KILLED = f"""
import os, signal, sys
from cprtools.cli import main
from cprtools.training.checkpoint import Checkpoints

sys.path.append({str(forking.ROOT)!r})
from tests.training.few_steps import few_steps

left, fsync = int(sys.argv.pop(1)), os.fsync

def count(descriptor):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)

os.fsync = count
Checkpoints.__init__.__kwdefaults__["every_seconds"] = 0
code = 0
try:
    with few_steps():
        main()
except SystemExit as end:
    code = end.code or 0
sys.stdout.write(str(-left))
sys.exit(code)
"""


def run_until(folder, writes, *words):
    return forking.run([writes, *TRAIN, *words], folder, program=KILLED)


def same_files(one, other):
    names = sorted(path.name for path in one.iterdir())
    assert sorted(path.name for path in other.iterdir()) == names
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_killed_at_any_write_and_resumed_the_same_bytes_are_written(home):
    plain = home / "quick.model"
    train(home, *TRAIN, *QUICK, "-o", plain)
    done = run_until(home, 0, *QUICK, "--checkpoint", "whole.state", "-o", "kept_seller.model")
    assert done.returncode == 0, done.stderr.decode()
    same_files(plain, home / "kept_seller.model")
    state = pq.read_table(home / "whole.state" / "manifest.parquet").column("member").to_pylist()
    # two networks in each of the two fits
    assert state == [f"{kind}_{fit}" for kind in ("state", "tensors") for fit in range(1, 5)]
    # three files a state of the first network; the last writes are the model's
    for writes in (5, 14, int(done.stdout) - 3):
        words = (*QUICK, "--checkpoint", f"state{writes}", "-o", f"cut{writes}.model")
        assert run_until(home, writes, *words).returncode == -signal.SIGKILL
        assert not (home / f"cut{writes}.model").exists()
        train(home, *TRAIN, "--resume", *words)
        same_files(plain, home / f"cut{writes}.model")


@pytest.mark.parametrize(
    ("sent", "code", "told"),
    [(signal.SIGINT, 130, ["cprtools: error: interrupted"]), (signal.SIGTERM, 143, [])],
)
def test_a_signal_in_training_is_told_and_leaves_the_model_before_as_it_was(
    home, tmp_path, sent, code, told
):
    for name in ("graph", "vectors.parquet"):
        (tmp_path / name).symlink_to(home / name)
    shutil.copytree(home / "seller.model", tmp_path / "m")
    process = subprocess.Popen(
        [sys.executable, "-m", "cprtools", *TRAIN[:-1], "100000", "-o", "m"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    said = []
    while not said or "GB of memory" not in said[-1]:
        said.append(process.stderr.readline().decode())
        assert said[-1], said
    time.sleep(0.5)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.decode().splitlines()) == (code, told)
    assert sorted(os.listdir(tmp_path)) == ["graph", "m", "vectors.parquet"]
    same_files(home / "seller.model", tmp_path / "m")


def test_the_options_of_a_run_belong_to_gnn_and_together(home):
    for code, words, said in (
        (2, ("--resume",), "--resume needs --checkpoint"),
        (2, ("--checkpoint", "./bad.model"), "--checkpoint and --output are one folder"),
        (2, ("--method", "mf", "--checkpoint", "state"), "for gnn, not for mf"),
        (2, ("--device", "tpu"), "--device must be one of cpu, cuda"),
        (2, ("--precision", "int8"), "--precision must be one of auto, float32, bfloat16"),
        (3, ("--checkpoint", "graph", "--resume"), "expected a checkpoint"),
        (4, ("--checkpoint", "mine"), "not ours"),
    ):
        (home / "mine").mkdir(exist_ok=True)
        (home / "mine" / "precious.txt").write_text("mine")
        assert said in fails(home, code, *TRAIN, *words, "-o", "bad.model")
        assert not (home / "bad.model").exists()


def test_the_precision_that_was_chosen_is_in_the_facts(home):
    for asked, allowed in (("auto", {"float32", "bfloat16"}), ("float32", {"float32"})):
        words = ("--networks", "1", "--no-ranker", "--precision", asked)
        train(home, *TRAIN, *words, "-o", f"{asked}.model")
        facts = open_folder(str(home / f"{asked}.model"), ("sellers",)).manifest["facts"]
        assert facts["precision"] in allowed


def other_graph(home, monkeypatch, kind):
    """A graph folder that is not whole, or of another version."""
    place = home / f"graph_{kind}"
    graph = open_folder(str(home / "graph"), ("graph",))
    nodes, edges = graph.table("nodes"), graph.table("edges")
    if kind == "newer":
        monkeypatch.setattr(folders, "FORMAT", folders.FORMAT + 1)
    elif kind == "renamed":
        nodes = nodes.rename_columns({"is_high_demand": "hot"})
    elif kind == "retyped":
        edges = edges.set_column(5, "weight", edges.column("weight").cast(pa.string()))
    members = {"nodes": nodes} if kind == "tableless" else {"nodes": nodes, "edges": edges}
    write_folder(members, str(place), "graph", Footer("build-graph", {}, 0, []))
    if kind == "lacking":
        (place / "edges.parquet").unlink()
    elif kind == "mixed":
        shutil.copy(home / "graph" / "edges.parquet", place / "edges.parquet")
    return place.name


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("lacking", 4, "edges.parquet is missing; the folder was copied only in part"),
        ("mixed", 3, "edges.parquet does not belong to the rest of the folder"),
        ("newer", 3, "written by a newer cprtools; update to read it"),
        ("tableless", 4, "edges.parquet: no such file"),
        ("renamed", 3, "nodes.parquet needs a column 'is_high_demand' of type bool; found none"),
        ("retyped", 3, "edges.parquet needs a column 'weight' of type double; found string"),
    ],
)
def test_a_graph_that_is_not_whole_or_of_another_version_is_told(
    home, monkeypatch, kind, code, said
):
    graph = other_graph(home, monkeypatch, kind)
    line = fails(home, code, "train-linkpred", graph, "-o", "bad.model")
    assert graph in line and said in line
    assert not (home / "bad.model").exists()


def test_sellers_whose_products_have_no_vectors_are_counted_and_answered(home):
    listed = [("New", p) for p in ("X1", "X2", "X3")] + [("S1", "A1"), ("S1", "A2"), ("S2", "A3")]
    write(
        home / "some.parquet",
        seller_id=[s for s, _ in listed] * 2,
        product_id=[p for _, p in listed] * 2,
    )
    done = run(home, "build-graph", "--listings", "some.parquet", "-o", "some")
    assert "6 duplicate listings dropped" in done.stderr.decode()
    done = train(home, "train-linkpred", "some", "--vectors", "vectors.parquet", "--epochs", "1",
                 "--no-ranker", "-o", "some.model")  # fmt: skip
    lines = [line.split("  ") for line in done.stderr.decode().splitlines()]
    told = {line[1]: line[-1].strip() for line in lines if line[0] == ""}
    assert told["products without vector"] == "3"
    assert told["sellers without vector"] == "1"
    out = ok(home, "recommend", "--model", "some.model", "--seller", "New", "--threshold", "0",
             "--category", "all", "--format", "json")  # fmt: skip
    assert b"A1" in out
