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
import gc
import importlib
import json
import os
import pkgutil
import re
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import cprtools
from tests.forked import begin, end, exactly

ROOT = Path(__file__).resolve().parents[1]
# what the commands import, sooner or later
LOADED = (
    "duckdb", "implicit.als", "implicit.bpr", "lightgbm", "pandas", "pyarrow.compute",
    "pyarrow.csv", "pyarrow.dataset", "pyarrow.json", "pyarrow.parquet", "rich.console",
    "scipy.sparse", "scipy.stats", "sklearn.cluster", "torch", "torch._dynamo", "typer",
)  # fmt: skip
# long to import, and needed by one command only
LOADED_FOR = {"embed-text": ("sentence_transformers",)}
# no library reads these while it is imported; the last ones libraries set themselves
_READ_LATE = re.compile(
    "(MAKE.*|MFLAGS|PATH|PWD|OLDPWD|SHLVL|_|COLUMNS|TMPDIR|PYTEST_CURRENT_TEST"
    "|KMP_.*|TORCHINDUCTOR_CACHE_DIR|DGLBACKEND)$"
)
# of what the server does not have: these may be read then; scripts set others for themselves
_READ_EARLY = re.compile("PYTHON|[A-Z]*OMP_|[A-Z]*BLAS|MKL|NUMBA|TORCH|DGL|HF_|MALLOC|LC_|LANG|LD_")
AS_SCRIPT = """
import os, runpy, sys

del sys.argv[0]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A program of `run`: a script of Python, its path and words."""
_server = None
_HASHES = {"PYTHONHASHSEED": "0"}
OTHER_HASHES = {"PYTHONHASHSEED": "1"}
"""Variables under which sets and dicts of strings have another order than in the server's forks."""


def run(words, cwd=None, *, env=None, text=False, program=None, **options):
    """As `subprocess.run` would with `capture_output`; further options get a process of its own.

    program: Python code to run with these words in place of cprtools.
    """
    words, environment = [str(word) for word in words], dict(env or os.environ)
    if options:
        assert program is None, "a program takes no further options"
        is_forked = options.keys() == {"input"}
        command = [_shell_command()] if is_forked else [sys.executable, "-m", "cprtools"]
        given = {"cwd": cwd, "env": environment, "text": text, "capture_output": True, **options}
        return subprocess.run([*command, *words], check=False, **given)
    nothing, out, err = os.open(os.devnull, os.O_RDONLY), os.pipe(), os.pipe()
    given = [nothing, out[1], err[1]]
    link = begin(_started(), program, words, os.path.abspath(cwd or "."), environment, given)
    for descriptor in given:
        os.close(descriptor)
    said = _read_both(out[0], err[0])
    if text:
        said = [part.decode() for part in said]
    return subprocess.CompletedProcess(words, end(link), *said)


def run_script(words, cwd=None, **variables):
    """Run a shell's words: `cprtools` in them are such forks, `python` is that of the tests.

    variables: further ones of its environment; FORKED_PROGRAM is run in place of cprtools.
    """
    # not as a part of the make that may run the tests
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    folders = [os.path.dirname(_shell_command()), os.path.dirname(sys.executable), outside["PATH"]]
    environment = {**outside, "PATH": os.pathsep.join(folders), **variables}
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def run_python(words, cwd=None, program=AS_SCRIPT):
    """Run a script of Python, given by its path and its words, as `run` with text would."""
    return run(words, cwd, text=True, program=program)


def _shell_command():
    """The `cprtools` for shells."""
    return os.path.join(os.path.dirname(_started()), "cprtools")


def _started():
    """The server's address; beside it lies a `cprtools` for shells."""
    global _server
    if _server is None:
        folder = Path(tempfile.mkdtemp(prefix="cprtools-"))
        _server = str(folder / "server")
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking", _server, str(theirs.fileno())],
            cwd=ROOT,
            env={**_HASHES, **os.environ},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        atexit.register(_stop, process, ours, folder)
        python, client = shlex.quote(sys.executable), shlex.quote(str(ROOT / "tests/forked.py"))
        command = folder / "cprtools"
        command.write_text(f'#!/bin/sh\nexec {python} -S {client} {_server} "$@"\n')
        command.chmod(0o755)
        assert ours.recv(1), "the server of commands has not started"
    return _server


def _stop(process, ours, folder):
    # it ends when nobody is left at the other side
    ours.close()
    process.wait()
    shutil.rmtree(folder)


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


def _serve(address, lifeline):
    begun_with = dict(os.environ)  # libraries add to it
    own = [module.name for module in pkgutil.walk_packages(cprtools.__path__, "cprtools.")]
    # the one that imports dgl, which few commands do, and the one that runs a command
    rest = [name for name in own if not name.endswith((".dgl_compat", ".__main__"))]
    for name in (*LOADED, *rest):
        importlib.import_module(name)
    # else the first collection of each command would copy what all of them share
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # the end of a command is told to a selector as what comes through a socket is
    wakes, woken = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    links = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen(64)
        lifeline.sendall(b"!")
        for side in (listener, lifeline, woken):
            selector.register(side, selectors.EVENT_READ)
        while lifeline not in (ready := [key.fileobj for key, _ in selector.select()]):
            if woken in ready:
                woken.recv(64)
                _tell_ends(links)
            if listener in ready:
                _answer(listener.accept()[0], links, begun_with)


def _tell_ends(links):
    """Send the exit codes of the commands that have ended to those who wait for them."""
    while links:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        with links.pop(child) as link, contextlib.suppress(OSError):  # nobody may be left to hear
            link.sendall(code.to_bytes(4, "big", signed=True))


def _answer(link, links, begun_with):
    """Fork the command; links: those of the running ones by their process."""
    head, descriptors, _, _ = socket.recv_fds(link, 4, 3)
    request = json.loads(exactly(link, int.from_bytes(head, "big")))
    for name in LOADED_FOR.get((request["words"] or [""])[0], ()):
        importlib.import_module(name)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (link, *links.values()):
            other.close()
        _become(request, begun_with, descriptors)
    links[child] = link
    for descriptor in descriptors:
        os.close(descriptor)


def _become(request, begun_with, descriptors):
    """The command in this process, which ends with it."""
    code = 1
    words, environment, program = (request[n] for n in ("words", "environment", "program"))
    try:
        os.chdir(request["cwd"])
        for place, descriptor in enumerate(descriptors):
            os.dup2(descriptor, place)
            os.close(descriptor)
        if _needs_a_start(begun_with, environment):
            start = ["-m", "cprtools"] if program is None else ["-c", program]
            os.execve(sys.executable, [sys.executable, *start, *words], environment)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None  # a library may have asked for it
        sys.argv = ["cprtools", *words]
        if program is None:
            cprtools.cli.main()
        else:
            exec(program, {"__name__": "__main__"})
        code = 0
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


def _needs_a_start(begun_with, environment):
    """Whether libraries would be imported otherwise with these variables than the server did it."""
    before, now = begun_with, {**_HASHES, **environment}
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return any(
        (name in before or _READ_EARLY.match(name)) and not _READ_LATE.match(name)
        for name in changed
    )


if __name__ == "__main__":
    _serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
    os._exit(0)  # as its children end: what is loaded is not taken down
