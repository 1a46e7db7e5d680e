"""Ask the server of tests/forking.py for a command, from a test or as the command itself.

As a program (`python -S forked.py SERVER WORD...`) it is cprtools for a shell: same folder,
environment and descriptors, same exit code. Where the environment has FORKED_PROGRAM, it is that
code of Python. It imports little, since scripts run many commands.
"""

import json
import os
import signal
import socket
import sys


def begin(server, program, words, cwd, environment, descriptors):
    """Have the server at this address run a command with these three descriptors.

    program: Python code to run in place of cprtools, or None.
    """
    given = {"program": program, "words": words, "cwd": cwd, "environment": environment}
    request = json.dumps(given).encode()
    link = socket.socket(socket.AF_UNIX)
    link.connect(server)
    socket.send_fds(link, [len(request).to_bytes(4, "big")], descriptors)
    link.sendall(request)
    return link


def end(link):
    """Wait for it: its exit code, below 0 the signal that ended it."""
    with link:
        return int.from_bytes(exactly(link, 4), "big", signed=True)


def exactly(link, size):
    """So many bytes. Raises EOFError where the other side ends before."""
    parts = b""
    while len(parts) < size:
        part = link.recv(size - len(parts))
        if not part:
            raise EOFError("the server of commands has ended")
        parts += part
    return parts


if __name__ == "__main__":
    here, given = os.path.abspath(os.curdir), [0, 1, 2]
    program = os.environ.get("FORKED_PROGRAM")
    code = end(begin(sys.argv[1], program, sys.argv[2:], here, dict(os.environ), given))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
