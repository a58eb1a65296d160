"""Grader `code`: answers that are programs, run in a sandbox against a problem's tests.

The reference answer is Python source: assertions, and statements that they need (MBPP's `test_list` and
`test_setup_code`). A program is correct if none of them fails.

Programs vote by what they do, not by how they are written (Shi et al. 2022, execution-based minimum Bayes
risk): two agree if the calls in all assertions give the same values. A program that fails in every assertion
agrees with no other. What the assertions expect has no part in it, except that no class holds both correct
and wrong programs.
"""

import ast
import hashlib
import json
import secrets
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from isoflop.errors import UserError
from isoflop.grading import program_runner
from isoflop.grading.code_blocks import stated_program
from isoflop.grading.decided import Decided
from isoflop.grading.equivalence import AnswerClasses, numbered
from isoflop.grading.grader import GraderKind, GraderSettings
from isoflop.grading.program_runner import BEYOND_LIMITS, NO_LIMIT_ON_FILES, NO_LIMIT_ON_PROCESSES
from isoflop.grading.sandbox import Limits, Sandbox
from isoflop.grading.statements import answering

MAX_PROGRAM_LENGTH = 100_000  # characters; longer ones are not run and are wrong

Outcomes = tuple[tuple[bool, str], ...]


class CodeGrader:
    """Python programs: the last code block that defines something, judged by running the tests on it.

    A program that goes beyond the limits of time, memory or output is undecided (None).
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        allow_unsandboxed: bool = False,
        decided: Decided | None = None,
    ) -> None:
        """Limits of one program; whether it may run where there is no sandbox; outcomes that are known."""
        self._decided = decided or Decided()
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
        """The last code block that defines a function or class (isoflop.grading.code_blocks)."""
        return stated_program(answering(text), truncated=truncated)

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
        """A reference must be Python that asserts something, at once or in what it calls."""
        try:
            tree = ast.parse(answer)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"its tests are not Python ({error})"
        if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
            return "its tests assert nothing"
        defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
        if all(isinstance(statement, defined) for statement in tree.body):
            return "its tests are defined and never called; add the call, such as check(candidate)"
        return None

    def _run(self, program: str, tests: str) -> Outcomes | None:
        """The outcome of every assertion, shape [assertions]; None beyond the limits.

        What the calls gave is a digest, with "error " before it where they failed.
        """
        found = self._decided.verdict((program, tests), lambda: _told(self._outcomes(program, tests)))
        return None if found is None else tuple((passed is True, str(look)) for passed, look in found)

    def _outcomes(self, program: str, tests: str) -> Outcomes | None:
        if len(program) > MAX_PROGRAM_LENGTH:
            return ((False, "error too long"),)
        assert self._sandbox is not None, "a grader is entered before it is used"
        nonce = secrets.token_hex(16)
        ended = self._sandbox.run(_runner(), {"nonce": nonce, "program": program, "tests": tests})
        if ended.output == NO_LIMIT_ON_FILES.encode():
            raise UserError(
                "programs that a model wrote cannot be kept from root's files on this machine (Landlock, of "
                "Linux 6.2 and newer, is missing); install bubblewrap, or run as another user than root"
            )
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


def _told(outcomes: Outcomes | None) -> list[list[Any]] | None:
    """Outcomes as JSON has them, with digests of what the calls gave."""
    if outcomes is None:
        return None
    digests = (hashlib.sha256(look.encode()).hexdigest()[:24] for _, look in outcomes)
    return [
        [passed, f"error {digest}" if _is_failure(look) else digest]
        for (passed, look), digest in zip(outcomes, digests, strict=True)
    ]


def _passed(outcomes: Outcomes) -> bool:
    return bool(outcomes) and all(passed for passed, _ in outcomes)


def _is_failure(look: str) -> bool:
    return look.startswith("error ")


@cache
def _runner() -> str:
    return Path(program_runner.__file__).read_text(encoding="utf-8")


def _make(settings: GraderSettings) -> CodeGrader:
    return CodeGrader(allow_unsandboxed=settings.allow_unsandboxed, decided=settings.decided)


GRADER = GraderKind(name="code", order=3, slow=True, tests=True, make=_make)
