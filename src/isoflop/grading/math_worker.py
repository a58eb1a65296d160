"""Comparison of LaTeX answers in a process that can be killed.

Text from a model is hostile input: a tower of powers keeps a computer-algebra system busy for ever, inside
C code where no exception reaches it. So math-verify runs in a child process. `MathWorker` asks it one
comparison at a time and replaces it when a verdict does not come within the limits. Nothing in the parent
uses signals, so it works in threads and in worker processes alike.
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
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from isoflop.errors import UserError

TIME_LIMIT = 5.0  # seconds of processor time for one comparison, so that a busy machine changes no verdict
_WALL_CLOCK = 6  # times the time limit, of wall-clock
MEMORY_LIMIT = 2 * 2**30  # bytes of memory of the child
# A kill by the parent comes first: an allocation that fails raises MemoryError, which math-verify catches in
# places and takes for "different". The child's own limit is a backstop.
_BACKSTOP = 4  # times the memory limit, of address space
_POLL_SECONDS = 0.05
START_LIMIT = 120.0  # seconds for the child's imports, on a loaded machine


@dataclass(frozen=True)
class Comparison:
    """What the child found out about one pair.

    `verdict` is None where the limits were hit or math-verify failed. `culprit` is then the one of the
    two texts that cannot even be parsed within the limits, or None where both were parsed.
    """

    verdict: bool | None
    culprit: str | None = None


class MathWorker:
    """A child process that compares two answers; started at the first comparison, replaced after a kill."""

    def __init__(self, time_limit: float = TIME_LIMIT, memory_limit: int = MEMORY_LIMIT) -> None:
        """Set the limits: seconds of processor time for one comparison, bytes of the child's memory."""
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._lock = threading.Lock()

    def compare(self, first: str, second: str) -> Comparison:
        """Whether math-verify finds the two equivalent, in either direction.

        Raises UserError if the child cannot be started at all (math-verify missing, no memory).
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
            if line != "failed":  # which leaves the child as it was
                self._stop()
            return Comparison(None, (first, second)[parsed] if parsed < 2 else None)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._stop()

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
        greeting = self._read_line(time.monotonic() + START_LIMIT)
        if greeting != "ready":
            self._stop()
            raise UserError(
                f"the process that compares LaTeX answers did not start ({greeting or 'no reply'}); "
                "is math-verify installed, and is there memory for it?"
            )
        return self._process

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:  # an unsent request of a child that died
                continue
        self._process.wait()
        self._process = None

    def _read_line(self, deadline: float) -> str | None:
        """The child's next line; None when it dies or goes beyond the deadline or the memory limit."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()  # unlike select.select, it has no limit on the descriptor's number
        poll.register(descriptor, select.POLLIN)
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or _resident_bytes(self._process.pid) > self._memory_limit:
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


def _serve(requests: TextIO, replies: TextIO, time_limit: float) -> None:
    """Answer requests (a JSON pair per line) until the input ends."""

    def reply(line: str) -> None:
        replies.write(line + "\n")
        replies.flush()

    try:
        from isoflop.grading.symbolic import compare, parse_answer  # noqa: PLC0415  heavy, and only here

        compare("x^2 + x", "x(x+1)")  # late imports are not the first answer's cost
    except Exception as error:
        reply(f"{type(error).__name__}: {error}".replace("\n", " "))
        return
    reply("ready")
    for request in requests:
        # The signal's default action ends this process, even inside C code or after its parent's death.
        signal.setitimer(signal.ITIMER_PROF, time_limit)
        try:
            first, second = json.loads(request)
            for answer in (first, second):
                parse_answer(answer)
                reply("parsed")
            reply("same" if compare(first, second) else "different")
        except Exception:
            reply("failed")
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    """The child: `python -m isoflop.grading.math_worker TIME_LIMIT MEMORY_LIMIT`."""
    time_limit, memory_limit = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (_BACKSTOP * memory_limit, _BACKSTOP * memory_limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The parsers print now and then; what they print must not reach the parent.
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(2, 1)
        _serve(sys.stdin, replies, time_limit)


if __name__ == "__main__":
    main()
