"""A sandbox for programs that a model wrote.

Bubblewrap gives every program namespaces of its own: no network, no other processes, a read-only file system
that holds Python and nothing of the user's, and a small scratch folder in memory. Inside, the runner limits
processor time, memory and file sizes, and forbids new processes (isoflop.grading.program_runner). Outside,
wall-clock time and output are limited, and whatever runs is killed as a group.

Where bubblewrap is not usable, programs run only if the user allows it, under the same limits but with the
user's own files in reach.
"""

import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isoflop.errors import UserError

_PROBE_LIMIT = 60.0  # seconds, on a loaded machine
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Hashes of strings, and with them the order of sets, are the same in every run.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True)
class Limits:
    """What one program may use.

    Processor time in whole seconds, wall-clock time in seconds, address space in bytes, bytes of output that
    are read, bytes of scratch.
    """

    cpu_seconds: int = 12
    wall_seconds: float = 60.0
    memory_bytes: int = 512 * 2**20
    output_bytes: int = 2**20
    scratch_bytes: int = 16 * 2**20


@dataclass(frozen=True)
class Ended:
    """How a run ended: what it wrote, and whether a limit ended it."""

    output: bytes
    beyond_limits: bool


class Sandbox:
    """Runs Python source in isolation; safe to use from several threads."""

    def __init__(self, limits: Limits | None = None, *, allow_unsandboxed: bool = False) -> None:
        """Find bubblewrap and try it. Raises UserError where it is not usable and nothing else is allowed."""
        self.limits = limits or Limits()
        fault = bubblewrap_fault()
        self.isolated = fault is None
        if fault is not None and not allow_unsandboxed:
            raise UserError(
                "programs that a model wrote run in a sandbox, and bubblewrap is not usable on this machine "
                f"({fault}); install it (package `bubblewrap`), or accept that they run with your rights "
                "under resource limits only: engine_settings.allow_unsandboxed: true"
            )

    def run(self, source: str, request: bytes) -> Ended:
        """Run `source` in a bare Python (standard library only), `request` being its standard input."""
        python = [_python(), "-S", "-s", "-B", "-c", source]
        with _folder(self.isolated) as folder, tempfile.TemporaryFile() as stdin:
            stdin.write(request)
            stdin.seek(0)
            command = [*_bubblewrap(self.limits.scratch_bytes), *python] if self.isolated else python
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd=folder,
                start_new_session=True,
            )
            deadline = time.monotonic() + self.limits.wall_seconds
            assert process.stdout is not None
            with process.stdout:
                output = self._read(process.stdout.fileno(), deadline)
            try:
                # A program may close its output and go on.
                code = process.wait(max(0.0, deadline - time.monotonic()) if output is not None else 0.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
        # Bubblewrap ends with 128 and the signal that ended the program.
        killed = (-code if code < 0 else code - 128) in {signal.SIGKILL, signal.SIGXCPU}
        return Ended(output or b"", beyond_limits=killed or output is None)

    def _read(self, descriptor: int, deadline: float) -> bytes | None:
        """All output until its end; None when it goes beyond the deadline or the limit of size."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        output = b""
        while (remaining := deadline - time.monotonic()) > 0:
            if not poll.poll(1000 * remaining):
                continue
            piece = os.read(descriptor, 65536)
            if not piece:
                return output
            output += piece
            if len(output) > self.limits.output_bytes:
                return None
        return None


@cache
def bubblewrap_fault() -> str | None:
    """Why bubblewrap cannot run Python on this machine, or None if it can."""
    if shutil.which("bwrap") is None:
        return "there is no `bwrap`"
    word = secrets.token_hex(8)
    try:
        done = subprocess.run(
            [*_bubblewrap(2**20), _python(), "-S", "-s", "-c", f"import json; print('{word}')"],
            capture_output=True,
            text=True,
            timeout=_PROBE_LIMIT,
            env=_ENVIRONMENT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.stdout.strip() == word:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with {done.returncode}"


def _python() -> str:
    """The Python that runs this, outside any virtual environment, whose packages programs do not see."""
    return os.path.realpath(sys.executable)


def _bubblewrap(scratch_bytes: int) -> list[str]:
    """The command before the program: new namespaces, and a root of system folders and Python."""
    # By its path: the program's own environment has another PATH.
    command = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
    for folder in _SYSTEM_FOLDERS:
        if os.path.islink(folder):
            command += ["--symlink", os.readlink(folder), folder]
        else:
            command += ["--ro-bind-try", folder, folder]
    for path in (sys.base_prefix, sys.base_exec_prefix, str(Path(_python()).parent)):
        if not path.startswith("/usr/"):
            command += ["--ro-bind", path, path]
    command += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(scratch_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return command


@contextmanager
def _folder(isolated: bool) -> Iterator[str]:
    """Where the program starts: an empty folder of its own, unless the sandbox makes one."""
    if isolated:
        yield "/"
        return
    with tempfile.TemporaryDirectory(prefix="isoflop-program-") as folder:
        yield folder
