"""Classes of equivalent answers to one problem, whatever order the answers come in.

Voting counts classes, so the classes must be a function of the *set* of answers. Equivalence as graders
decide it is symmetric but not always transitive (0.3333333 = 1/3 within tolerance), hence these rules:

1. The reference comes first. Every distinct answer is compared with it once; those found equivalent are the
   correct ones and form one class. An answer's correctness is therefore its own verdict, never inherited
   through a chain, and no class holds both right and wrong answers.
2. The other answers are taken in sorted order. Each is compared with the representative (the first member)
   of every class of wrong answers so far and joins all that it is equivalent to, which merges them.
3. An undecided comparison (None) counts as not equivalent. An answer that is undecided against the
   reference is in a class of its own and compared no further, and a representative with two undecided
   comparisons is not compared again. So n answers meet at most 3 n undecided comparisons, each of which
   costs a time limit.
4. Classes are numbered by the sorted order of their representatives.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

_UNDECIDED_PER_REPRESENTATIVE = 2


@dataclass(frozen=True)
class AnswerClasses:
    """The classes of one problem's answers.

    Attributes:
        number: class number of every distinct answer, 0, 1, ... without gaps.
        correct: the distinct answers that are right: whole classes, of answers that are compared with one
            another just one.
        undecided: the pairs (answer, other) that could not be decided, in the order in which they were met.
    """

    number: dict[str, int]
    correct: frozenset[str]
    undecided: tuple[tuple[str, str], ...]


def classify(
    answers: Iterable[str], reference: str, equivalent: Callable[[str, str], bool | None]
) -> AnswerClasses:
    """Classes of `answers` (repeats allowed) to the problem whose reference answer is `reference`.

    `equivalent` is a symmetric verdict, None for undecided. It is called at most once per answer and
    reference, and at most once per answer and representative.
    """
    distinct = sorted(set(answers))
    undecided: list[tuple[str, str]] = []

    def verdict(answer: str, other: str) -> bool | None:
        result = equivalent(answer, other)
        if result is None:
            undecided.append((answer, other))
        return result

    against_reference = {answer: verdict(answer, reference) for answer in distinct}
    correct = [answer for answer in distinct if against_reference[answer]]
    classes: dict[str, list[str]] = {correct[0]: correct} if correct else {}
    open_representatives: dict[str, int] = {}  # in sorted order: undecided comparisons so far
    for answer in distinct:
        if against_reference[answer]:
            continue
        joined = []
        if against_reference[answer] is False:
            for representative, failures in open_representatives.items():
                if failures < _UNDECIDED_PER_REPRESENTATIVE:
                    result = verdict(answer, representative)
                    if result:
                        joined.append(representative)
                    elif result is None:
                        open_representatives[representative] += 1
            if not joined:
                open_representatives[answer] = 0
        if not joined:
            classes[answer] = [answer]
            continue
        classes[joined[0]].append(answer)
        for merged in joined[1:]:
            classes[joined[0]] += classes.pop(merged)
            del open_representatives[merged]
    return AnswerClasses(numbered(classes.values()), frozenset(correct), tuple(undecided))


def numbered(classes: Iterable[list[str]]) -> dict[str, int]:
    """The number of every answer's class; the first of each class represents it."""
    ordered = sorted(classes, key=lambda members: members[0])
    return {answer: number for number, members in enumerate(ordered) for answer in members}


class ComparingGrader(ABC):
    """What is the same where an answer is right if it is equivalent to the reference."""

    def __enter__(self) -> Self:
        """Nothing is held here."""
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def equivalent(self, first: str, second: str) -> bool | None:
        """Whether two answers mean the same; symmetric. None: undecided within the limits."""

    def correct(self, answer: str, reference: str) -> bool | None:
        """Whether an answer is equivalent to the reference."""
        return self.equivalent(answer, reference)

    def classes(self, answers: Iterable[str], reference: str) -> AnswerClasses:
        """Classes of equivalent answers."""
        return classify(answers, reference, self.equivalent)
