"""Final answers: found in a solution's text, and compared with one another.

One interface, `Grader`, with three implementations by name (`make_grader`): "number" for word problems and
GSM8K, "math" for LaTeX (MATH), "code" for programs (MBPP; isoflop.grading.programs). What is not a completed
statement of an answer is no answer, and never votes.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from isoflop.grading.equivalence import AnswerClasses
from isoflop.grading.math_grader import MathGrader
from isoflop.grading.numbers import NumberGrader
from isoflop.grading.programs import CodeGrader


class Grader(Protocol):
    """How answers are found and compared; a context manager, since a grader may hold a process."""

    def extract(self, text: str, *, truncated: bool = False) -> str | None:
        """The last completed answer statement of `text`, or None.

        With `truncated`, a statement that more text could still have changed does not count.
        """

    def correct(self, answer: str, reference: str) -> bool | None:
        """Whether an answer is right. None: undecided within the limits."""

    def classes(self, answers: Iterable[str], reference: str) -> AnswerClasses:
        """The classes of one problem's answers (repeats allowed), for votes, and which of them are right."""

    def reference_fault(self, answer: str) -> str | None:
        """Why `answer` cannot serve as a reference answer, or None if it can."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


GRADER_NAMES = ("number", "math", "code")


def make_grader(name: str, *, allow_unsandboxed: bool = False) -> Grader:
    """The grader called `name`, one of `GRADER_NAMES`; whether programs may run where there is no sandbox.

    Raises ValueError for any other name.
    """
    match name:
        case "number":
            return NumberGrader()
        case "math":
            return MathGrader()
        case "code":
            return CodeGrader(allow_unsandboxed=allow_unsandboxed)
        case _:
            raise ValueError(f"no grader is called {name!r}; there are {', '.join(GRADER_NAMES)}")


def is_right(grader: Grader, text: str, reference: str, *, truncated: bool) -> bool:
    """Whether the answer of `text` is certainly `reference`; no answer and an undecided one are not."""
    answer = grader.extract(text, truncated=truncated)
    return answer is not None and grader.correct(answer, reference) is True
