"""Stages without their start-up: jobs of a rehearsal are forked from a process that has the imports.

Importing torch and transformers takes longer than a stage takes on tiny models. `warm` starts the server and
gives the environment in which the `python -m isoflop.stages.X` of every rule goes to it; standard output,
errors, working directory, environment and exit code are the job's own.
"""

import importlib
import json
import os
import pkgutil
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isoflop import stages
from isoflop.errors import run_main

_PREFIX = "isoflop.stages."
_LONGEST = 2**20  # bytes of a request
_PATIENCE = 5.0  # seconds between looks at whether anybody is left to ask


@contextmanager
def warm() -> Iterator[dict[str, str]]:
    """The environment in which stages start warm, while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/stages"
        server = subprocess.Popen(
            [sys.executable, "-m", "isoflop.rehearsal.warm_stages", address],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()  # it says when it is ready
            yield {"BASH_FUNC_python%%": _function(address)}
        finally:
            server.terminate()
            server.wait()


def _function(address: str) -> str:
    """A `python` of bash: stages go to the server, all else to the program of that name."""
    # -I and -S: nothing of the site, which takes longer than the whole exchange.
    client = shlex.join([sys.executable, "-I", "-S", "-c", _CLIENT, address])
    stage = f'[[ "$1" == -m && "$2" == {_PREFIX}* ]]'
    return f'() {{ if {stage}; then {client} "$@"; else command python "$@"; fi; }}'


_CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    request = {"arguments": sys.argv[3:], "folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(connection, [b"+"], [0, 1, 2])
    connection.sendall(json.dumps(request).encode())
    connection.shutdown(socket.SHUT_WR)
    sys.exit(int(connection.recv(16) or b"1"))
"""


def serve(address: str) -> None:
    """Import what stages import, say so, and fork a process per request, until nobody is left to ask."""
    for module in pkgutil.iter_modules(stages.__path__, _PREFIX):
        importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        listening.settimeout(_PATIENCE)
        print("ready", flush=True)
        parent = os.getppid()
        while True:
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                if os.getppid() != parent:
                    return  # who asked for it was killed
                continue
            connection.setblocking(True)
            if os.fork() == 0:
                listening.close()
                _attend(connection)
            connection.close()


def _attend(connection: socket.socket) -> None:
    """Run one stage in a process of its own and send its exit code; does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    text = b""
    while piece := connection.recv(_LONGEST):
        text += piece
    request = json.loads(text)
    child = os.fork()
    if child == 0:
        _run(request, files)
    _, status = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
    os._exit(0)


def _run(request: dict[str, object], files: list[int]) -> None:
    """Be the job: its files, folder, environment and arguments; does not return."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(str(request["folder"]))
        environment, arguments = request["environment"], request["arguments"]
        assert isinstance(environment, dict)
        assert isinstance(arguments, list)
        os.environ.clear()
        os.environ.update(environment)
        name, *rest = map(str, arguments)
        sys.argv = [name, *rest]
        run_main(importlib.import_module(name).main)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(str(Path(sys.argv[1])))
