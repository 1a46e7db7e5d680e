import contextlib
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools.tables import piping


@pytest.fixture
def parquet(tmp_path):
    """Write columns (or a table) to a Parquet file below tmp_path; returns its path as text."""

    def write(columns, name="t.parquet"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)
        return str(path)

    return write


@pytest.fixture
def piped(monkeypatch, tmp_path_factory):
    """Make these bytes the standard input of a new process, as far as the tables room can tell."""
    with contextlib.ExitStack() as opened:

        def pipe(data):
            path = tmp_path_factory.mktemp("piped") / "stdin"
            path.write_bytes(data)
            monkeypatch.setattr(sys, "stdin", opened.enter_context(open(path)))
            monkeypatch.setattr(piping, "_spooled", {})

        yield pipe


@pytest.fixture
def script(tmp_path):
    """Run Python lines as a process of their own, under `main`'s error handling."""
    head = "import sys, pyarrow as pa\nfrom cprtools import cli, tables\ndef run():\n"
    tail = "\n    return 0\ncli._command = lambda *_: run()\ncli.main(['inspect'])\n"

    def run(lines, **options):
        text = head + "".join(f"    {line}\n" for line in lines.splitlines()) + tail
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": tmp_path, **options}
        return subprocess.run([sys.executable, "-c", text], check=False, **options)

    return run
