"""A sandbox for programs that a model wrote.

Bubblewrap gives every program namespaces of its own: no network, no other processes, a read-only file system
that holds Python and nothing of the user's, and a small scratch folder in memory. Inside, the runner limits
processor time, memory and file sizes, and allows the system calls that Python needs
(isoflop.grading.program_runner, isoflop.grading.system_calls). Outside, time spent waiting and output are
limited, and whatever runs is killed as a group. What a program waits for a processor counts nowhere, so that
verdicts do not depend on what else a machine does.

Where bubblewrap is not usable, programs run only if the user allows it, under the same limits and the same
system calls. Landlock (Linux 6.2 and newer) then keeps them from reading anything but system folders and
Python and from writing anywhere but in a scratch folder on disk, whose size is looked at while they run. An
older kernel leaves the user's own files in reach, so there nothing runs as root.
"""

import json
import os
import platform
import secrets
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isoflop.errors import UserError
from isoflop.grading.system_calls import seccomp_filter

_PROBE_LIMIT = 60.0  # seconds, on a loaded machine
_GLANCE = 0.05  # seconds between two looks at the scratch folder of a program that runs
_MOST_FILES = 256  # in a scratch folder on disk
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_LOADED = "/etc/ld.so.cache"  # where libraries are
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
# Hashes of strings, and with them the order of sets, are the same in every run.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True)
class Limits:
    """What one program may use.

    Processor time in whole seconds; seconds in which it sleeps or waits and wants no processor; seconds of
    wall-clock time, which end what neither of these sees; address space in bytes, bytes of output that are
    read, bytes of scratch.
    """

    cpu_seconds: int = 12
    idle_seconds: float = 60.0
    wall_seconds: float = 1440.0
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
                f"({fault}); install it (package `bubblewrap`), or accept that they run under limits "
                "of resources and with few system calls only: engine_settings.allow_unsandboxed: true"
            )

    def run(self, source: str, request: dict[str, Any]) -> Ended:
        """Run `source` in a bare Python (standard library only).

        Its standard input is `request` as JSON, and with it what the program is to give up: `limits` (bytes,
        seconds), `seccomp` (a filter in hexadecimal digits, or None) and `reach` (paths to read and to write;
        None where bubblewrap sees to it).
        """
        python = [_python(), "-S", "-s", "-B", "-c", source]
        limits = self.limits
        with _folder(self.isolated) as folder, tempfile.TemporaryFile() as stdin:
            reach = None if self.isolated else {"read": _readable(), "write": [folder, *_DEVICES]}
            given = {
                "limits": {
                    "cpu_seconds": limits.cpu_seconds,
                    "memory_bytes": limits.memory_bytes,
                    "scratch_bytes": limits.scratch_bytes,
                },
                "seccomp": _filter_digits(),
                "reach": reach,
            }
            stdin.write(json.dumps(request | given).encode())
            stdin.seek(0)
            command = [*_bubblewrap(limits.scratch_bytes), *python] if self.isolated else python
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd=folder,
                start_new_session=True,
            )
            assert process.stdout is not None
            with process.stdout:
                output = self._watch(process, process.stdout.fileno(), None if self.isolated else folder)
            if output is None:
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        # Bubblewrap ends with 128 and the signal that ended the program.
        killed = (-code if code < 0 else code - 128) in {signal.SIGKILL, signal.SIGXCPU}
        return Ended(output or b"", beyond_limits=killed or output is None)

    def _watch(self, process: subprocess.Popen[bytes], descriptor: int, folder: str | None) -> bytes | None:
        """What a program writes until it ends; None when it goes beyond the limits.

        They are those of time, of output and of scratch: in a `folder`, or where bubblewrap has it.
        """
        deadline = time.monotonic() + self.limits.wall_seconds
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        output, writes, glanced, idle = b"", True, 0.0, 0.0
        while (remaining := deadline - time.monotonic()) > 0:
            if time.monotonic() - glanced >= _GLANCE:
                if _fills(folder, process.pid, self.limits.scratch_bytes):
                    return None
                # No more than a few glances at once: a watcher that got no processor has not seen it wait.
                since = min(time.monotonic() - glanced, 4 * _GLANCE)
                idle += since if glanced and _waits(process.pid) else 0.0
                if idle > self.limits.idle_seconds:
                    return None
                glanced = time.monotonic()
            wait = min(remaining, _GLANCE)
            if not writes:  # a program may close its output and go on
                try:
                    process.wait(wait)
                except subprocess.TimeoutExpired:
                    continue
                return output
            if not poll.poll(1000 * wait):
                continue
            piece = os.read(descriptor, 65536)
            writes = bool(piece)
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
    for path in _python_folders():
        if not path.startswith("/usr/"):
            command += ["--ro-bind", path, path]
    command += ["--ro-bind-try", _LOADED, _LOADED]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(scratch_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    command += ["--remount-ro", "/dev"]
    # Of /proc too: the machine's own root may write in /proc/sys, whatever it has given up.
    command += ["--remount-ro", "/proc", "--remount-ro", "/"]
    return command


def _python_folders() -> tuple[str, ...]:
    return sys.base_prefix, sys.base_exec_prefix, str(Path(_python()).parent)


def _readable() -> list[str]:
    """What programs may read where there is no bubblewrap: what is in its root."""
    return [*_SYSTEM_FOLDERS, *_python_folders(), _LOADED]


@cache
def _filter_digits() -> str | None:
    """The filter of system calls of this machine; None where it has none."""
    code = seccomp_filter(platform.machine()) if sys.platform == "linux" else None
    return None if code is None else code.hex()


@contextmanager
def _folder(isolated: bool) -> Iterator[str]:
    """Where the program starts: an empty folder of its own, unless the sandbox makes one."""
    if isolated:
        yield "/"
        return
    folder = tempfile.mkdtemp(prefix="isoflop-program-")
    try:
        yield folder
    finally:
        # Programs of their own: a tree of folders may be deeper than Python's stack, and closed to its owner.
        subprocess.run(["chmod", "-R", "u+rwx", folder], capture_output=True, check=False)
        subprocess.run(["rm", "-rf", "--", folder], capture_output=True, check=False)


def _waits(process: int) -> bool:
    """Whether nothing of a process and those it has started wants a processor or a disk at this moment.

    False where that cannot be seen.
    """
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            place = f"/proc/{process}/task/{thread}"
            # After the command's name, which may hold anything in its brackets.
            if Path(f"{place}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "S":
                return False
            children = Path(f"{place}/children").read_text().split()
            if not all(_waits(int(child)) for child in children):
                return False
    except (OSError, IndexError):
        return False
    return True


def _fills(folder: str | None, process: int, most_bytes: int) -> bool:
    """Whether a program has left more in its folder than it may, open files without a name included."""
    if folder is None:
        return _names_in_memory(process, most_bytes) > _MOST_FILES
    files = used = 0
    for _, folders, names, descriptor in os.fwalk(folder, onerror=None):
        files += len(folders) + len(names)
        if files > _MOST_FILES:
            return True
        for name in names:
            with suppress(OSError):
                used += 512 * os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks
    with suppress(OSError):  # of a process that has ended, and where there is no /proc
        for one in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):
                found = os.stat(f"/proc/{process}/fd/{one}")
                used += 512 * found.st_blocks if stat.S_ISREG(found.st_mode) and not found.st_nlink else 0
    return used > most_bytes


def _names_in_memory(process: int, size: int) -> int:
    """How many files there are in the scratch folder of bubblewrap, which bounds their bytes alone.

    0 where that cannot be seen. Before bubblewrap has changed its root, the folder is another file system's.
    """
    try:
        child = Path(f"/proc/{process}/task/{process}/children").read_text().split()[0]
        found = os.statvfs(f"/proc/{child}/root/tmp")
    except (OSError, IndexError):
        return 0
    return found.f_files - found.f_ffree if found.f_blocks * found.f_frsize == size else 0
