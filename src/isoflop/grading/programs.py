"""Answers that are programs: run in a sandbox against a problem's tests.

The reference answer is Python source: assertions, and statements that they need (MBPP's `test_list` and
`test_setup_code`). A program is correct if none of them fails.

Programs vote by what they do, not by how they are written (Shi et al. 2022, execution-based minimum Bayes
risk): two agree if the calls in all assertions give the same values. A program that fails in every assertion
agrees with no other. What the assertions expect has no part in it, except that no class holds both correct
and wrong programs.
"""

import ast
import json
import re
import secrets
import textwrap
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from isoflop.errors import UserError
from isoflop.grading import program_runner
from isoflop.grading.equivalence import AnswerClasses, numbered
from isoflop.grading.program_runner import BEYOND_LIMITS, NO_LIMIT_ON_PROCESSES
from isoflop.grading.sandbox import Limits, Sandbox

MAX_PROGRAM_LENGTH = 100_000  # characters; longer ones are not run and are wrong

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[^\n]*$", re.MULTILINE)
_PYTHON = frozenset({"", "python", "python3", "py"})
# The marks of MBPP's few-shot prompt and of Code Llama's.
_MARKS = (("[BEGIN]", "[DONE]"), ("[PYTHON]", "[/PYTHON]"))
_DEFINITION = re.compile(r"^(?:async\s+def|def|class)\s+(?!test_)\w|^\w+\s*=\s*lambda\b", re.MULTILINE)
_CODE_LINE = re.compile(r"^(?:(?:async\s+def|def|class|import|from|@)\s*\w|\w+\s*=\s*lambda\b)", re.MULTILINE)

Outcomes = tuple[tuple[bool, str], ...]


class CodeGrader:
    """Python programs: the last code block that defines something, judged by running the tests on it.

    A program that goes beyond the limits of time, memory or output is undecided (None).
    """

    def __init__(self, limits: Limits | None = None, *, allow_unsandboxed: bool = False) -> None:
        """Limits of one program; whether it may run where there is no sandbox."""
        self._limits = limits
        self._allow_unsandboxed = allow_unsandboxed
        self._sandbox: Sandbox | None = None

    def __enter__(self) -> Self:
        """Raises UserError where programs cannot be run safely."""
        self._sandbox = Sandbox(self._limits, allow_unsandboxed=self._allow_unsandboxed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sandbox = None

    def extract(self, text: str, *, truncated: bool = False) -> str | None:
        """The last code block that defines a function or class, else the last one; else a text of code.

        A block that is not closed is complete unless the text was cut off: what closes it may have been the
        stop string.
        """
        blocks = [block for block, closed in _blocks(text) if closed or not truncated]
        if not blocks and not truncated and not _FENCE.search(text) and _CODE_LINE.search(text):
            blocks = [text]
        programs = [program for block in blocks if (program := _tidy(block))]
        chosen = [program for program in programs if _DEFINITION.search(program)] or programs
        return chosen[-1] if chosen else None

    def correct(self, answer: str, reference: str) -> bool | None:
        """Whether the program passes the tests; None if it goes beyond the limits."""
        outcomes = self._run(answer, reference)
        return None if outcomes is None else _passed(outcomes)

    def classes(self, answers: Iterable[str], reference: str) -> AnswerClasses:
        """Classes of programs that do the same, each distinct program being run once."""
        classes: dict[object, list[str]] = {}
        correct: set[str] = set()
        undecided: list[tuple[str, str]] = []
        for program in sorted(set(answers)):
            outcomes = self._run(program, reference)
            if outcomes is None:
                undecided.append((program, reference))
            elif _passed(outcomes):
                correct.add(program)
            alone = outcomes is None or all(not passed and _is_failure(look) for passed, look in outcomes)
            classes.setdefault(program if alone else outcomes, []).append(program)
        return AnswerClasses(numbered(classes.values()), frozenset(correct), tuple(undecided))

    def reference_fault(self, answer: str) -> str | None:
        """A reference must be Python that asserts something."""
        try:
            statements = ast.parse(answer).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"its tests are not Python ({error})"
        return None if any(isinstance(one, ast.Assert) for one in statements) else "its tests assert nothing"

    def _run(self, program: str, tests: str) -> Outcomes | None:
        """The outcome of every assertion, shape [assertions]; None beyond the limits."""
        if len(program) > MAX_PROGRAM_LENGTH:
            return ((False, "error too long"),)
        assert self._sandbox is not None, "a grader is entered before it is used"
        limits, nonce = self._sandbox.limits, secrets.token_hex(16)
        request = {
            "nonce": nonce,
            "program": program,
            "tests": tests,
            "cpu_seconds": limits.cpu_seconds,
            "memory_bytes": limits.memory_bytes,
        }
        ended = self._sandbox.run(_runner(), json.dumps(request).encode())
        if ended.output == NO_LIMIT_ON_PROCESSES.encode():
            raise UserError(
                "programs that a model wrote cannot be kept from starting processes on this machine; "
                "run as another user than root"
            )
        if ended.beyond_limits:
            return None
        # Without the nonce, the process ended before the reply: a crash, or an exit within the program.
        _, _, reply = ended.output.decode("utf-8", "replace").partition(nonce)
        try:
            outcomes = tuple((passed is True, str(look)) for passed, look in json.loads(reply))
        except (ValueError, TypeError):
            return ((False, "error ended"),)
        return None if any(look == BEYOND_LIMITS for _, look in outcomes) else outcomes


def _passed(outcomes: Outcomes) -> bool:
    return bool(outcomes) and all(passed for passed, _ in outcomes)


def _is_failure(look: str) -> bool:
    return look.startswith("error ")


@cache
def _runner() -> str:
    return Path(program_runner.__file__).read_text(encoding="utf-8")


def _blocks(text: str) -> list[tuple[str, bool]]:
    """The code blocks of `text` in their order, and whether each is closed."""
    for opening, closing in _MARKS:
        if opening in text:
            parts = (part.partition(closing) for part in text.split(opening)[1:])
            return [(inside, bool(mark)) for inside, mark, _ in parts]
    found: list[tuple[str, bool]] = []
    fences = list(_FENCE.finditer(text))
    place = 0
    while place < len(fences):
        opening_fence = fences[place]
        closing_fence = fences[place + 1] if place + 1 < len(fences) else None
        end = closing_fence.start() if closing_fence else len(text)
        if opening_fence[1].lower() in _PYTHON:
            found.append((text[opening_fence.end() : end], closing_fence is not None))
        place += 2
    return found


def _tidy(block: str) -> str | None:
    """The block without what changes only its looks: its indentation as a whole, spaces at line ends."""
    lines = [line.rstrip() for line in textwrap.dedent(block.replace("\r\n", "\n")).split("\n")]
    return "\n".join(lines).strip("\n") or None
