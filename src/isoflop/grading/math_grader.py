"""Answers in LaTeX (MATH): found in boxes, compared with math-verify after what it misreads is rewritten."""

import re
from collections.abc import Iterator
from typing import Self

from isoflop.grading.equivalence import ComparingGrader
from isoflop.grading.latex import exact_verdict, normal_form, readable
from isoflop.grading.math_worker import MEMORY_LIMIT, TIME_LIMIT, MathWorker
from isoflop.grading.statements import MAX_STATEMENT_LENGTH, SENTENCE_END, STATEMENT, boxed

MAX_PARSED_LENGTH = 2000  # characters; longer answers are compared as strings only

# What pipelines and models write where there is no answer.
_PLACEHOLDERS = frozenset(
    {"invalid", "no answer", "noanswer", "no_answer", "none", "null", "nan", "n/a", "unknown", "?", "..."}
)

_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))


def _stated_latex(text: str, truncated: bool) -> Iterator[str]:
    """What follows "the answer is", from the last statement to the first."""
    for match in reversed(list(STATEMENT.finditer(text))):
        rest = text[match.end() : match.end() + MAX_STATEMENT_LENGTH].lstrip(" \t\n:*")
        for opening, closing in _DELIMITERS:
            if rest.startswith(opening):
                inside, closed, _ = rest[len(opening) :].partition(closing)
                if closed:
                    yield inside
                break
        else:
            stated = SENTENCE_END.split(rest, maxsplit=1)[0]
            if not (truncated and len(stated) == len(rest)):
                yield stated


class MathGrader(ComparingGrader):
    r"""LaTeX: the last \boxed{...}, else what follows "the answer is"; compared by math-verify.

    Comparisons run in a `MathWorker`. One that exceeds the limits is undecided (None), and a text that
    cannot be parsed within them is not tried again. Answers longer than 2,000 characters or with
    unbalanced braces are compared as strings only.
    """

    def __init__(self, time_limit: float = TIME_LIMIT, memory_limit: int = MEMORY_LIMIT) -> None:
        """Limits of one comparison: seconds of processor time, bytes of memory."""
        self._worker = MathWorker(time_limit, memory_limit)
        self._unparsable: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def extract(self, text: str, *, truncated: bool = False) -> str | None:
        """The content of the last closed box that holds something, else the last stated answer."""
        for _, inside in reversed(boxed(text)):
            if (answer := _answer_or_none(inside)) is not None:
                return answer
        for stated in _stated_latex(text, truncated):
            if (answer := _answer_or_none(stated)) is not None:
                return answer
        return None

    def equivalent(self, first: str, second: str) -> bool | None:
        """Equal in normal form, or as exact numbers, or according to math-verify in either direction."""
        # Sorted, so that which one is tried first never depends on the caller.
        first, second = sorted((normal_form(first), normal_form(second)))
        if first == second:
            return True
        if max(len(first), len(second)) > MAX_PARSED_LENGTH or not (_balanced(first) and _balanced(second)):
            return False
        verdict = exact_verdict(first, second)
        if verdict is not None:
            return verdict
        first, second = readable(first), readable(second)
        if self._unparsable & {first, second}:
            return None
        comparison = self._worker.compare(first, second)
        if comparison.culprit is not None:
            self._unparsable.add(comparison.culprit)
        return comparison.verdict

    def reference_fault(self, answer: str) -> str | None:
        """A reference must be short enough to be parsed and have balanced braces."""
        if len(answer) > MAX_PARSED_LENGTH:
            return f"it has {len(answer)} characters; at most {MAX_PARSED_LENGTH} can be compared"
        return None if _balanced(answer) else "its braces are not balanced"


def _answer_or_none(text: str) -> str | None:
    answer = text.strip().strip("*").strip()
    if answer.strip("[]() .").lower() in _PLACEHOLDERS | {""}:
        return None
    return answer


def _balanced(text: str) -> bool:
    depth = 0
    for token in re.findall(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            return False
    return depth == 0
