"""Final answers: found in a solution's text, and compared with one another.

A grader is an object with the methods of `Grader`. It goes by a name: that of a `GraderKind` in a module of
its own in `isoflop.grading.graders`, or of one that an entry point of the group `isoflop.graders` refers to.
What is not a completed statement of an answer is no answer, and never votes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from isoflop.grading.decided import Decided
from isoflop.grading.equivalence import AnswerClasses
from isoflop.registries import DEFAULT_CHOICES, GRADERS, GraderTraits


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


@dataclass(frozen=True)
class GraderSettings:
    """What a grader is made with.

    `choices`: how many answers a problem offers at most. `allow_unsandboxed`: whether programs may run where
    there is no sandbox. `decided`: verdicts that are known, for a grader whose comparisons are expensive.
    """

    choices: int = DEFAULT_CHOICES
    allow_unsandboxed: bool = False
    decided: Decided = field(default_factory=Decided)


@dataclass(frozen=True, kw_only=True)
class GraderKind(GraderTraits):
    """A grader as the config names it. `make`: a new one."""

    make: Callable[[GraderSettings], Grader]


def make_grader(
    name: str,
    *,
    choices: int = DEFAULT_CHOICES,
    allow_unsandboxed: bool = False,
    decided: Decided | None = None,
) -> Grader:
    """A new grader by its name in the config, with these settings.

    Parameters
    ----------
    name
        One of isoflop's (number, math, code, choice), or of another package's.
    choices
        How many answers a problem offers at most, for grader `choice`.
    allow_unsandboxed
        Whether programs may run where there is no sandbox, for grader `code`.
    decided
        Verdicts that are known, and where new ones are noted; for graders whose comparisons are expensive.

    Raises
    ------
    UserError
        For a name that nothing has.
    """
    kind = GRADERS[name]
    assert isinstance(kind, GraderKind)  # every module and entry point has one
    return kind.make(GraderSettings(choices, allow_unsandboxed, decided or Decided()))


def is_right(grader: Grader, text: str, reference: str, *, truncated: bool) -> bool:
    """Whether the answer of `text` is certainly `reference`; no answer and an undecided one are not."""
    answer = grader.extract(text, truncated=truncated)
    return answer is not None and grader.correct(answer, reference) is True
