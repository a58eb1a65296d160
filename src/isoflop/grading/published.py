"""Grades that files of published solutions carry: taken in place of ours, and compared with them."""

from collections.abc import Sequence
from dataclasses import dataclass

from isoflop.strategy import NO_ANSWER


@dataclass(frozen=True)
class Agreement:
    """How often two gradings of the same solutions differ.

    `compared`: solutions that both grade, of a text that is known; `only_here`, `only_there`: how many of
    them are right here alone, and by the file alone; `examples`: their rows, in order.
    """

    compared: int
    only_here: int
    only_there: int
    examples: tuple[int, ...]

    @property
    def differ(self) -> int:
        """How many differ."""
        return self.only_here + self.only_there


def agreement(
    correct: Sequence[bool], published: Sequence[bool | None], known: Sequence[bool], most: int
) -> Agreement:
    """Compare our grades with a file's where it has one; all are [candidates].

    `known`: whether there is a text to grade. `most`: examples to give.
    """
    both = [
        (row, ours, theirs)
        for row, (ours, theirs, has_text) in enumerate(zip(correct, published, known, strict=True))
        if theirs is not None and has_text
    ]
    differing = [(row, ours) for row, ours, theirs in both if ours != theirs]
    here = sum(ours for _, ours in differing)
    return Agreement(len(both), here, len(differing) - here, tuple(row for row, _ in differing[:most]))


def regraded(
    problems: Sequence[str], classes: Sequence[int], correct: Sequence[bool], published: Sequence[bool]
) -> list[int]:
    """Classes of answers under a file's grades, [candidates]: those it calls right are one of their own.

    Answers of one class that it grades differently do not vote together: those it calls wrong, though they
    are equivalent to the reference, are another class. `classes` and `correct` are ours, numbered from 0 per
    problem, and NO_ANSWER for none; a right solution without an answer has one that is not known here.
    """
    found: list[int] = []
    numbers: dict[str, dict[tuple[int, bool], int]] = {}
    for problem, number, ours, right in zip(problems, classes, correct, published, strict=True):
        if not right and number == NO_ANSWER:
            found.append(NO_ANSWER)
            continue
        key = (NO_ANSWER, True) if right else (number, ours)
        own = numbers.setdefault(problem, {})
        found.append(own.setdefault(key, len(own)))
    return found
