"""Run cprtools as processes that find their libraries loaded.

A test of the command line needs a process, and most of a process's time goes into imports. One
server for the tests of this process imports them once and forks itself for each command. It never
computes anything itself, so it has no threads whose locks a child would get without them. A child
has the descriptors, the folder and the environment that a process of its own would have, but for
the seed of its hashes, which is the server's: where two runs must write the same bytes one of them
is given `OTHER_HASHES`, and so a process of its own.
"""

import atexit
import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

# what the commands import, sooner or later
LOADED = (
    "cprtools.cli.app", "duckdb", "lightgbm", "pandas", "pyarrow.compute", "pyarrow.csv",
    "pyarrow.dataset", "pyarrow.json", "pyarrow.parquet", "rich.console", "scipy.sparse",
    "scipy.stats", "sklearn.cluster", "torch", "torch._dynamo", "typer",
)  # fmt: skip
# no library reads these while it is imported
_READ_LATE = {"COLUMNS", "TMPDIR", "PYTEST_CURRENT_TEST"}
_server = None
OTHER_HASHES = {"PYTHONHASHSEED": "1"}
"""Variables under which sets and dicts of strings have another order than in the server's forks."""


def run(words, cwd=None, *, env=None, text=False, **options):
    """As `subprocess.run` would with `capture_output`; further options get a process of its own."""
    words, environment = [str(word) for word in words], dict(env or os.environ)
    if _server is None:
        _start()
    link, begun_with = _server
    if options or _read_early(environment) != begun_with:
        command = [sys.executable, "-m", "cprtools", *words]
        given = {"cwd": cwd, "env": environment, "text": text, "capture_output": True, **options}
        return subprocess.run(command, check=False, **given)
    out, err = os.pipe(), os.pipe()
    given = {"words": words, "cwd": os.path.abspath(cwd or "."), "environment": environment}
    request = json.dumps(given).encode()
    socket.send_fds(link, [len(request).to_bytes(4, "big")], [out[1], err[1]])
    link.sendall(request)
    os.close(out[1])
    os.close(err[1])
    said = _read_both(out[0], err[0])
    if text:
        said = [part.decode() for part in said]
    code = int.from_bytes(_exactly(link, 4), "big", signed=True)
    return subprocess.CompletedProcess(words, code, *said)


def _start():
    global _server
    environment = {"PYTHONHASHSEED": "0", **os.environ}
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "tests.forking", str(theirs.fileno())]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        command, cwd=root, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
    )
    theirs.close()
    _server = ours, _read_early(os.environ)
    atexit.register(_end, process)


def _end(process):
    # it ends when nobody is left at the other side
    _server[0].close()
    process.wait()


def _read_early(environment):
    return {name: value for name, value in environment.items() if name not in _READ_LATE}


def _read_both(*descriptors):
    """All that comes out of each, read as it comes."""
    found = {descriptor: [] for descriptor in descriptors}
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                part = os.read(key.fd, 1 << 16)
                found[key.fd].append(part)
                if not part:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [b"".join(parts) for parts in found.values()]


def _exactly(link, size):
    parts = b""
    while len(parts) < size:
        part = link.recv(size - len(parts))
        if not part:
            raise EOFError("the server of commands has ended")
        parts += part
    return parts


def _serve(link):
    for name in LOADED:
        importlib.import_module(name)
    while True:
        head, descriptors, _, _ = socket.recv_fds(link, 4, 2)
        if not head:
            return
        request = json.loads(_exactly(link, int.from_bytes(head, "big")))
        child = os.fork()
        if child == 0:
            link.close()
            _become(request, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        link.sendall(code.to_bytes(4, "big", signed=True))


def _become(request, out, err):
    """The command in this process, which ends with it."""
    code = 99
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for descriptor, place in ((out, 1), (err, 2)):
            os.dup2(descriptor, place)
            os.close(descriptor)
        sys.argv = ["cprtools", *request["words"]]
        from cprtools.cli import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as any process would end
        traceback.print_exc()
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    # without taking the libraries down piece by piece
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(socket.socket(fileno=int(sys.argv[1])))
