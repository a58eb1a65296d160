"""Stages without their start-up: jobs are forked from a process that has the imports.

Importing torch and transformers takes four seconds of a processor, in every job. `warm` and
`warm_for_this_process` start a server and give the environment in which the `python -m isoflop.stages.X` of
every rule goes to it. A warm stage is the job in all that it says and does: standard input, output and
errors, working directory, environment, threads, exit code; a signal that ends the one ends the other. What
is not as the server knows it (another Python, other code, another setting, no server) starts as ever.
"""

import ctypes
import gc
import hashlib
import importlib
import json
import os
import pkgutil
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from select import POLLIN, poll
from typing import NamedTuple, NoReturn

from isoflop import stages
from isoflop.errors import run_main

_PREFIX = "isoflop.stages."
_PACKAGE = Path(stages.__file__).parents[1]
_CLIENT = Path(__file__).with_name("warm_client.py")
_LONGEST = 2**20  # bytes received at once
_GRACE = 5000  # milliseconds that a stage has to end after SIGTERM
_WARM, _AS_EVER = b"+", b"-"
_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG

# What Snakemake and shells set for each job: programs and sources, which are looked at, folders, threads, a
# terminal's size.
_FUNCTION = "BASH_FUNC_python%%"
_LIBRARIES = ("OMP_NUM", "OPENBLAS_NUM", "GOTO_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
_THREADS = tuple(f"{library}_THREADS" for library in _LIBRARIES)
OF_JOBS = {
    *("PATH", "PYTHONPATH", "TMPDIR", "TMP", "TEMP", "TEMPDIR", "PWD", "OLDPWD", "SHLVL", "_", _FUNCTION),
    *(*_THREADS, "LINES", "COLUMNS"),
}


class _Request(NamedTuple):
    """A job: the stage and its arguments, its folder and environment, its three open files."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    files: list[int]


def available() -> bool:
    """Whether this system can fork a process that has libraries with threads in them, and say who is dead."""
    return sys.platform == "linux"


@contextmanager
def warm() -> Iterator[dict[str, str]]:
    """The environment in which stages start warm, while the block runs."""
    if not available():
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        server, environment = _start(Path(folder), at_once=True)
        try:
            yield environment
        finally:
            if server is not None:
                server.terminate()
                server.wait()


def warm_for_this_process(*, at_once: bool) -> dict[str, str]:
    """The same until this process ends, also as another program (`os.exec…`).

    `at_once`: whether the imports begin now, or with the first stage.
    """
    folder = Path(tempfile.mkdtemp(prefix="isoflop-"))
    server, environment = _start(folder, at_once=at_once)
    if server is None:
        folder.rmdir()
    return environment


def _start(folder: Path, *, at_once: bool) -> tuple[subprocess.Popen[bytes] | None, dict[str, str]]:
    """The server and the environment; no server where the folder takes no socket, as with a long path."""
    # Only its owner can enter the folder, and so ask for anything.
    address = str(folder / "stages")
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            listening.bind(address)
        except OSError:
            return None, {}
        listening.listen(64)
        numbers = map(str, (listening.fileno(), os.getpid(), int(at_once)))
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, address, *numbers],
            pass_fds=[listening.fileno()],
            # No pools of threads before the fork; a stage takes the threads that its job has.
            env=os.environ | dict.fromkeys(_THREADS, "1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return server, {_FUNCTION: _function(address)}


def _function(address: str) -> str:
    """A `python` of bash: stages of this Python go to the server, all else to the program of that name."""
    # -I and -S: nothing of the site, which takes longer than the whole exchange.
    client = shlex.join([sys.executable, "-I", "-S", str(_CLIENT), address])
    own = shlex.quote(str(Path(sys.executable).parent / "python"))
    warm = f'"${{1-}}" == -m && "${{2-}}" == {_PREFIX}* && "$(type -P python)" == {own}'
    return f'() {{ if [[ {warm} ]]; then {client} "$@"; else command python "$@"; fi; }}'


def serve(listening: socket.socket, parent: int, address: str, *, at_once: bool) -> list[str]:
    """Import what stages import and fork a process per request, until `parent` ends.

    Returns in these processes only: the stage that each is to run, and its arguments.
    """
    known = dict(os.environ)
    # Ignored already where the run is in the background of a script.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end_server(address))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    die_with(parent, signal.SIGTERM)
    if at_once:
        _prepare()
    while True:
        connection, _ = listening.accept()
        _prepare()
        if os.fork() == 0:
            listening.close()
            arguments = _attend(connection, known)
            signal.signal(signal.SIGINT, interrupted)
            return arguments
        connection.close()


def _end_server(address: str) -> NoReturn:
    shutil.rmtree(Path(address).parent, ignore_errors=True)
    os._exit(0)


@cache
def _prepare() -> None:
    """All imports of all stages; what cannot be imported is for the stage to tell."""
    for module in pkgutil.iter_modules(stages.__path__, _PREFIX):
        try:
            importlib.import_module(module.name)
        except Exception:
            continue
    # What is here is never collected, and so not copied by a fork.
    gc.collect()
    gc.freeze()


def _attend(connection: socket.socket, known: Mapping[str, str]) -> list[str]:
    """Beside one job, in a process of its own: say how it ends, and end it where nobody waits for it.

    Returns in the job's own process only.
    """
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    request = _received(connection)
    if not _as_known(request, known):
        connection.sendall(_AS_EVER)
        os._exit(0)
    # A byte comes through the pipe when the job has ended.
    ended, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    attendant = os.getpid()
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with(attendant, signal.SIGTERM)
        for file in (connection.detach(), ended, told):
            os.close(file)
        return _become(request, known)
    for file in request.files:
        os.close(file)
    connection.sendall(_WARM)
    waiting = poll()
    waiting.register(ended, POLLIN)
    waiting.register(connection, 0)  # its client is gone: always told
    if ended not in dict(waiting.poll()):
        os.kill(child, signal.SIGTERM)
        waiting.unregister(connection)
        if not waiting.poll(_GRACE):
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _received(connection: socket.socket) -> _Request:
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    text = b""
    while piece := connection.recv(_LONGEST):
        text += piece
    return _Request(files=list(files), **json.loads(text))


def _as_known(request: _Request, known: Mapping[str, str]) -> bool:
    """Whether the job would have this Python's code and the settings with which it was imported."""
    given = request.environment
    if any(given.get(name) != known.get(name) for name in (given.keys() | known.keys()) - OF_JOBS):
        return False
    own, further = _split_path(given, request.folder)
    if further != _split_path(known, os.getcwd())[1]:
        return False
    folder = own[0] / _PACKAGE.name if own else _PACKAGE
    return folder.samefile(_PACKAGE) or _sum(folder) == _sum(_PACKAGE)


def _split_path(environment: Mapping[str, str], folder: str) -> tuple[list[Path], list[Path]]:
    """The folders of PYTHONPATH that hold this package, and those of other packages."""
    paths = [Path(folder, one) for one in environment.get("PYTHONPATH", "").split(":") if one]
    own = [path for path in paths if (path / _PACKAGE.name).is_dir()]
    return own, [path for path in paths if path not in own]


@cache
def _sum(package: Path) -> str:
    """A sum of a package's sources and of the files beside them."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(package)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _become(request: _Request, known: Mapping[str, str]) -> list[str]:
    """Be the job: its files, folder, environment and threads; returns its arguments."""
    for number, file in enumerate(request.files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request.folder)
    if not sys.flags.safe_path:
        sys.path[0] = request.folder
    # What an import has set, a job that starts as ever would have too.
    set_by_imports = {name: value for name, value in os.environ.items() if known.get(name) != value}
    os.environ.clear()
    os.environ.update(set_by_imports | request.environment)
    tempfile.tempdir = None
    threads = request.environment.get("OMP_NUM_THREADS", "1")
    if "torch" in sys.modules and threads.isdecimal():
        sys.modules["torch"].set_num_threads(int(threads))
    return request.arguments


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the system send this process a signal when its parent ends."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(number))
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def main(address: str, descriptor: int, parent: int, at_once: int) -> None:
    """Serve; in the processes that are forked, be the stage that is asked for."""
    with socket.socket(fileno=descriptor) as listening:
        sys.argv = serve(listening, parent, address, at_once=bool(at_once))
    try:
        run_main(importlib.import_module(sys.argv[0]).main)
    except KeyboardInterrupt:
        # As Python ends by itself where nothing has been forked.
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
