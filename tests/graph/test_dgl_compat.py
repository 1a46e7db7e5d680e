import os
import subprocess
import sys

SCRIPT = """
import sys
from cprtools.graph.dgl_compat import dgl
import torch
g = dgl.graph((torch.tensor([0, 1, 2]), torch.tensor([3, 3, 3])))
print(dgl.sampling.sample_neighbors(g, torch.tensor([3]), 2).num_edges())
"""


def test_dgl_imports_samples_and_writes_nothing_elsewhere(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("DGLBACKEND", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=False
    )
    assert done.stdout.decode().split() == ["2"], done.stderr.decode()
    assert done.stderr == b""
    assert not (tmp_path / ".dgl").exists()


def test_nothing_else_imports_dgl():
    code = "import sys; import cprtools.graph, cprtools.graph.sampling; print('dgl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]
