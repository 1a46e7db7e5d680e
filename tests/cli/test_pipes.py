"""Named pipes and `<(command)` are inputs as `-` is, several of them, too; `>(command)` outputs."""

import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import fails, ok, run, write

LOG = {
    "customer_id": ["1", "1", "2", "2"],
    "product_id": ["a", "b", "a", "b"],
    "event": ["purchase"] * 4,
    "session_id": ["s", "s", "t", "t"],
}
TABLE_OF = ("mine-pairs", "--min-count", "1", "--quiet", "-o", "pairs.parquet")


@pytest.fixture
def pipe(tmp_path):
    """Make a named pipe that gives these bytes once; returns its name in the folder."""
    writers = []

    def make(data, name):
        os.mkfifo(tmp_path / name)
        writers.append(threading.Thread(target=(tmp_path / name).write_bytes, args=[data]))
        writers[-1].daemon = True
        writers[-1].start()
        return name

    yield make
    for each in writers:
        each.join(20)
        assert not each.is_alive()


def parquet(columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def arrow_stream(columns):
    sink, table = pa.BufferOutputStream(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def tar_of(folder, place):
    with tarfile.open(place, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return place.read_bytes()


def footer(path):
    metadata = pq.read_schema(path).metadata
    return {key: json.loads(metadata[f"cprtools.{key}".encode()]) for key in ("inputs", "params")}


def shell(folder, line):
    """Run a line of bash in which cprtools is the command."""
    command = f'cprtools() {{ "{sys.executable}" -m cprtools "$@"; }}; {line}'
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, capture_output=True, check=False
    )


def test_a_named_pipe_is_read_as_standard_input_is(tmp_path, pipe):
    write(tmp_path / "log.parquet", **LOG)
    ok(tmp_path, *TABLE_OF, "log.parquet")
    wanted = pq.read_table(tmp_path / "pairs.parquet")
    digest = footer(tmp_path / "pairs.parquet")["inputs"][0]["digest"]

    for n, data in enumerate((parquet(LOG), arrow_stream(LOG))):
        ok(tmp_path, *TABLE_OF, str(tmp_path / pipe(data, f"pipe{n}")))
        assert pq.read_table(tmp_path / "pairs.parquet").equals(wanted)
        made = {"name": f"pipe{n}", "rows": 4, "digest": digest}
        assert footer(tmp_path / "pairs.parquet")["inputs"] == [made]


def test_the_ending_of_a_named_pipe_tells_its_format(tmp_path, pipe):
    lines = "".join(json.dumps(row) + "\n" for row in pa.table(LOG).to_pylist())
    ok(tmp_path, *TABLE_OF, pipe(lines.encode(), "log.jsonl"))
    assert pq.read_table(tmp_path / "pairs.parquet").num_rows == 2

    said = fails(tmp_path, 3, *TABLE_OF, pipe(b"customer_id\n1\n", "log.csv"))
    assert "log.csv: " in said and str(tmp_path) not in said


def test_a_model_comes_through_a_pipe_and_its_new_products_through_another(home, tmp_path, pipe):
    model = pipe(tar_of(home / "cpr.model", tmp_path / "model.tar"), "model")
    write(tmp_path / "new.parquet", product_id=["N1"], product_type=["type A"])
    new = pipe((tmp_path / "new.parquet").read_bytes(), "new")
    ask = ("recommend", "--product", "A1", "--format", "json", "--quiet")
    told = ok(tmp_path, *ask, "--model", model, "--products", new)
    ask = (*ask, "--products", "new.parquet")
    assert told == ok(tmp_path, *ask, "--model", str(home / "cpr.model"))

    again = pipe(tar_of(home / "cpr.model", tmp_path / "model.tar"), "again")
    said = fails(tmp_path, 3, "recommend", "--seller", "S1", "--model", again)
    assert "again: holds a complements model; expected a sellers model" in said


def test_a_pipe_is_read_once(tmp_path, pipe):
    write(tmp_path / "pairs.parquet", query_id=["a"], candidate_id=["b"])
    recs = pipe(parquet({"query_id": ["a"], "rank": [1], "product_id": ["b"]}), "recs")
    said = fails(tmp_path, 2, "evaluate", recs, recs, "--truth", "pairs.parquet")
    assert "recs: a pipe is read once only; name it once" in said


def test_what_a_pipe_does_not_give_is_told_by_its_name(tmp_path, pipe):
    assert "none: empty; the command before it in the pipe gave nothing" in fails(
        tmp_path, 4, *TABLE_OF, pipe(b"", "none")
    )
    assert "text: neither Parquet nor an Arrow stream" in fails(
        tmp_path, 4, *TABLE_OF, pipe(b"customer_id,product_id\n", "text")
    )
    said = fails(tmp_path, 4, "inspect", pipe(parquet(LOG)[:-9], "broken"))
    assert "broken: not a readable Parquet file" in said and "/" not in said


def test_the_shell_gives_several_inputs_and_takes_the_outputs(home, tmp_path):
    for name in ("pairs", "products", "vectors"):
        (tmp_path / f"{name}.parquet").write_bytes((home / f"{name}.parquet").read_bytes())
    done = shell(
        tmp_path,
        "cprtools train-cpr <(cat pairs.parquet) --products <(cat products.parquet) --vectors "
        "<(cat vectors.parquet) --method popularity -o >(cat > model.tar; touch done); "
        "until [ -e done ]; do sleep 0.1; done; "
        "cprtools inspect <(cat model.tar) --format json; "
        "cprtools inspect <(cat model.tar) --trace",
    )
    assert done.returncode == 0, done.stderr.decode()
    inspected, _, traced = done.stdout.decode().partition("\n")
    made = json.loads(inspected)["footer"]
    names = [entry["name"] for entry in made["inputs"]]
    assert [name[: len("/dev/fd/")] for name in names] == ["/dev/fd/"] * 3
    assert [made["params"]["pairs"], made["params"]["products"]] == names[:2]
    # their names say nothing: they are found by their rows
    for name, file in zip(names, ("pairs", "products", "vectors"), strict=True):
        assert f"{name}: found as {file}.parquet" in traced


def test_standard_input_has_another_name(tmp_path):
    ok(tmp_path, *TABLE_OF, "/dev/stdin", stdin=parquet(LOG))
    assert footer(tmp_path / "pairs.parquet")["inputs"][0]["name"] == "/dev/stdin"
    done = run(tmp_path, *TABLE_OF, "-", "--products", "/dev/stdin", stdin=parquet(LOG))
    assert done.returncode == 2
    assert b"/dev/stdin: a pipe is read once only" in done.stderr


def test_completion_leaves_a_pipe_to_the_command(tmp_path):
    os.mkfifo(tmp_path / "model")
    for option in ("--product", "--category"):
        assert ok(tmp_path, "--complete", "recommend", "--model", "model", option, "") == b""
