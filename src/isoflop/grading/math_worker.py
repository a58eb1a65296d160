"""Comparison of LaTeX answers in a process that can be killed.

Text from a model is hostile input: a tower of powers keeps a computer-algebra system busy for ever, inside
C code where no exception reaches it. So math-verify runs in a process of its own, the server, which a
process that has imported all that is needed forks, and forks again when it ends. `MathWorker` asks one
comparison at a time and ends the server when a verdict does not come within the limits. Nothing in the parent
uses signals, so it works in threads and in worker processes alike.

The limits are of processor time and of the server's peak memory, so how busy a machine is decides nothing.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from isoflop.errors import UserError

TIME_LIMIT = 5.0  # seconds of processor time for one comparison
_WALL_CLOCK = 120  # times the time limit, of wall-clock: for a process that waits for ever
MEMORY_LIMIT = 512 * 2**20  # bytes of memory of the server, of which it has 75 million at the start
# The server's peak counts, which it looks at after every comparison: an allocation that fails raises
# MemoryError, which math-verify catches in places and takes for "different". The limit of its address space
# is a backstop.
_BACKSTOP = 4  # times the memory limit, of address space
_POLL_SECONDS = 0.05
START_LIMIT = 120.0  # seconds for the imports, on a loaded machine
_READY, _ENDED = "ready ", "ended"


@dataclass(frozen=True)
class Comparison:
    """What was found out about one pair.

    `verdict` is None where the limits were hit or math-verify failed. `culprit` is then the one of the
    two texts that cannot even be parsed within the limits, or None where both were parsed.
    """

    verdict: bool | None
    culprit: str | None = None


class MathWorker:
    """Compares two answers in another process; begun at the first comparison, replaced when it ends."""

    def __init__(self, time_limit: float = TIME_LIMIT, memory_limit: int = MEMORY_LIMIT) -> None:
        """Set the limits: seconds of processor time for one comparison, bytes of the server's memory."""
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._server = 0  # its process id, 0 for none
        self._greeting: str | None = None
        self._buffer = b""
        self._lock = threading.Lock()

    def compare(self, first: str, second: str) -> Comparison:
        """Whether math-verify finds the two equivalent, in either direction.

        Raises UserError if there can be no process at all (math-verify missing, no memory).
        """
        with self._lock:
            process = self._process or self._start()
            assert process.stdin is not None
            parsed = 0
            try:
                process.stdin.write(json.dumps([first, second]).encode() + b"\n")
                process.stdin.flush()
                deadline = time.monotonic() + _WALL_CLOCK * self._time_limit
                while (line := self._read_line(deadline)) == "parsed":
                    parsed += 1
            except BrokenPipeError:
                line = None
            if line in {"same", "different"}:
                return Comparison(line == "same")
            if line != "failed":  # which leaves the server as it was
                self._renew(ended=line == _ENDED)
            return Comparison(None, (first, second)[parsed] if parsed < 2 else None)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            self._stop()

    def _renew(self, *, ended: bool) -> None:
        """Wait for the server after this one, which is ended where it has not done so itself."""
        assert self._process is not None
        if ended:
            self._server = 0
        else:
            self._end_server()
            while (line := self._next_line(time.monotonic() + START_LIMIT)) not in (None, _ENDED):
                pass  # what it said last
            ended = line == _ENDED
        if not (ended and self._is_ready()):
            self._stop()

    def _is_ready(self) -> bool:
        """Whether there is a new server."""
        self._greeting = self._next_line(time.monotonic() + START_LIMIT)
        ready = self._greeting is not None and self._greeting.startswith(_READY)
        if ready:
            self._server = int(str(self._greeting).removeprefix(_READY))
        return ready

    def _end_server(self) -> None:
        if self._server:
            with suppress(ProcessLookupError):
                os.kill(self._server, signal.SIGKILL)
        self._server = 0

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = [
            sys.executable,
            "-m",
            "isoflop.grading.math_worker",
            str(self._time_limit),
            str(self._memory_limit),
        ]
        self._buffer = b""
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if not self._is_ready():
            self._stop()
            raise UserError(
                f"the process that compares LaTeX answers did not start ({self._greeting or 'no reply'}); "
                "is math-verify installed, and is there memory for it?"
            )
        return self._process

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()  # first, since it would make another server
        self._end_server()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:  # an unsent request of one that died
                continue
        self._process.wait()
        self._process = None

    def _read_line(self, deadline: float) -> str | None:
        """The next line; None when there is none by the deadline, or the server has too much memory."""
        return self._next_line(deadline, lambda: _resident_bytes(self._server) > self._memory_limit)

    def _next_line(self, deadline: float, gives_up: Callable[[], bool] = lambda: False) -> str | None:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()  # unlike select.select, it has no limit on the descriptor's number
        poll.register(descriptor, select.POLLIN)
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or gives_up():
                return None
            if not poll.poll(1000 * min(remaining, _POLL_SECONDS)):
                continue
            chunk = os.read(descriptor, 65536)
            if not chunk:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()


def _resident_bytes(process: int) -> int:
    """Resident memory of a process; 0 where the system has no /proc to ask."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def _peak_bytes() -> int:
    """The most memory that this process has had; 0 where the system has no /proc to ask."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _serve(requests: TextIO, reply: Callable[[str], None], time_limit: float, memory_limit: int) -> None:
    """Answer requests (a JSON pair per line) until the input ends, or the memory is beyond its limit."""
    from isoflop.grading.symbolic import compare, parse_answer  # noqa: PLC0415  heavy, and only here

    reply(f"{_READY}{os.getpid()}")
    for request in requests:
        # The signal's default action ends this process, even inside C code or after its parent's death.
        signal.setitimer(signal.ITIMER_PROF, time_limit)
        try:
            first, second = json.loads(request)
            for answer in (first, second):
                parse_answer(answer)
                reply("parsed")
            found = "same" if compare(first, second) else "different"
        except Exception:
            found = "failed"
        signal.setitimer(signal.ITIMER_PROF, 0)
        if _peak_bytes() > memory_limit:
            os._exit(1)
        reply(found)


def main() -> None:
    """Fork servers, one after the other: `python -m isoflop.grading.math_worker TIME_LIMIT MEMORY_LIMIT`."""
    time_limit, memory_limit = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (_BACKSTOP * memory_limit, _BACKSTOP * memory_limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The parsers print now and then; what they print must not reach the parent.
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(2, 1)

        def reply(line: str) -> None:
            replies.write(line + "\n")
            replies.flush()

        try:
            from isoflop.grading.symbolic import compare  # noqa: PLC0415  heavy, and only here

            compare("x^2 + x", "x(x+1)")  # late imports are not the first answer's cost
        except Exception as error:
            reply(f"{type(error).__name__}: {error}".replace("\n", " "))
            return
        while True:
            server = os.fork()
            if not server:
                _serve(sys.stdin, reply, time_limit, memory_limit)
                os._exit(0)
            if os.waitpid(server, 0)[1] == 0:  # the input has ended
                return
            reply(_ENDED)


if __name__ == "__main__":
    main()
