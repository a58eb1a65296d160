"""Grader `math`: LaTeX (MATH), found in boxes, compared by math-verify once what it misreads is rewritten."""

import re
from collections.abc import Iterable

from isoflop.grading.decided import Decided
from isoflop.grading.equivalence import AnswerClasses, ComparingGrader
from isoflop.grading.grader import GraderKind
from isoflop.grading.latex import exact_verdict, normal_form, readable
from isoflop.grading.math_worker import MEMORY_LIMIT, TIME_LIMIT, MathWorker
from isoflop.grading.statements import (
    MAX_STATEMENT_LENGTH,
    SENTENCE_END,
    STATEMENT,
    answering,
    boxed,
    is_heading,
    side_by_side,
    until_next_question,
)
from isoflop.grading.structure import has_several_members, verdict_on_structure

MAX_PARSED_LENGTH = 2000  # characters; longer answers are compared as strings only

_AND = " and "  # between boxes side by side
_MOST_BOXES = 20  # of more side by side the last one counts

# What pipelines and models write where there is no answer.
_PLACEHOLDERS = frozenset(
    {"invalid", "no answer", "noanswer", "no_answer", "none", "null", "nan", "n/a", "unknown", "?", "..."}
)

_DELIMITED = re.compile(
    r"\$\$(?P<display>.+?)\$\$|\$(?P<inline>(?:\\.|[^$\\])+)\$|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]",
    re.DOTALL,
)
# What can only be an answer: a number, or a formula that begins as one.
_JOINED = re.compile(r"\s*(?:,\s*(?:(?:and|or)\b)?|(?:and|or)\b)\s*")
_ORDINAL = re.compile(r"(?:the )?([0-9]+)(?:st|nd|rd|th)\b")
_FORMULA = re.compile(r"-?[0-9.]|-?\\(?:[dt]?frac|sqrt|pi)(?![a-zA-Z])")
# How a sentence ends in what it states: "the largest n is 34".
_IS = re.compile(r"(?:\b(?:is|are|equals)|=)\s*(?P<stated>\$(?:\\.|[^$\\])+\$|-?[0-9][0-9.,/]*)\s*\.?\s*$")


def _statements(text: str, truncated: bool) -> list[tuple[int, str]]:
    """Where something is stated after "the answer is", and what; in the order of the text."""
    found = []
    for match in STATEMENT.finditer(text):
        rest = text[match.end() : match.end() + MAX_STATEMENT_LENGTH]
        if is_heading(match[0], rest):
            continue
        rest = rest.lstrip(" \t\n:*")
        delimited = _DELIMITED.match(rest)
        if delimited:
            found.append((match.start(), _with_others(rest, delimited)))
            continue
        if match[0].rstrip("*_ \t").lower().endswith("answer") and not _FORMULA.match(rest):
            continue  # a heading of words
        if re.match(r"\$|\\\(|\\\[", rest):
            continue  # cut off
        stated = SENTENCE_END.split(rest, maxsplit=1)[0]
        if not (truncated and len(stated) == len(rest)):
            found.append((match.start(), _of_sentence(stated)))
    return found


def _with_others(rest: str, first: re.Match[str]) -> str:
    """A formula, and those that a comma, "and" or "or" joins to it: "$3$ or $4$"."""
    found, end = [_inside(first)], first.end()
    while (joined := _JOINED.match(rest, end)) and (other := _DELIMITED.match(rest, joined.end())):
        found.append(_inside(other))
        end = other.end()
    return ", ".join(found)


def _inside(delimited: re.Match[str]) -> str:
    return next(group for group in delimited.groups() if group is not None)


def _of_sentence(stated: str) -> str:
    """What a sentence states: what it says that something is, or its only formula, else all of it."""
    if ordinal := _ORDINAL.match(stated):
        return ordinal[1]
    ends = _IS.search(stated)
    if ends:
        return ends["stated"].strip("$ ").rstrip(".,")
    formulas = list(_DELIMITED.finditer(stated))
    # "the area is $12$", not "in $x$ and $y$": one formula, after words.
    if len(formulas) == 1 and re.search(r"[A-Za-z]{2,}\s*$", stated[: formulas[0].start()]):
        return _inside(formulas[0])
    return stated


def _settles(statement: str, told: str) -> bool:
    """Whether a statement after a box takes its place: "the answer is 6", not "our answer: 17 * 44 = 748"."""
    return bool(_FORMULA.match(told)) and "=" not in told and bool(re.match(r"\S+ (?:is|=)", statement))


class MathGrader(ComparingGrader):
    r"""LaTeX: the last \boxed{...}, else what follows "the answer is"; compared by math-verify.

    Comparisons run in a `MathWorker`. One that exceeds the limits is undecided (None), and a text that
    cannot be parsed within them is not tried again. Answers longer than 2,000 characters or with
    unbalanced braces are compared as strings only.
    """

    def __init__(
        self,
        time_limit: float = TIME_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
        decided: Decided | None = None,
    ) -> None:
        """Limits of one comparison (seconds of processor time, bytes of memory); verdicts that are known."""
        self._decided = decided or Decided()
        self._worker = MathWorker(time_limit, memory_limit)
        self._unparsable: set[str] = set()

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def extract(self, text: str, *, truncated: bool = False) -> str | None:
        """The content of the last closed box that holds something, else the last stated answer.

        A formula or number that is stated after the last box takes its place. Boxes side by side are kept
        as they are: what they say depends on what was asked (`equivalent`).
        """
        text = answering(text)
        boxes, stated = boxed(text), _statements(text, truncated)
        known = [position for position, _ in (*boxes, *stated)]
        if known:
            length = len(until_next_question(text, min(known)))
            boxes = [box for box in boxes if box[0] < length]
            stated = [statement for statement in stated if statement[0] < length]
        several = side_by_side(text, boxes)
        last_box = max((position for position, inside in boxes if _answer_or_none(inside)), default=-1)
        later = [told for position, told in stated if position > last_box and _settles(text[position:], told)]
        told_first = [*reversed(later), *(inside for _, inside in reversed(boxes))]
        if not later and 1 < len(several) <= _MOST_BOXES and all(map(_answer_or_none, several)):
            return _AND.join(f"\\boxed{{{inside.strip()}}}" for inside in several)
        for told in (*told_first, *(told for _, told in reversed(stated))):
            if (answer := _answer_or_none(told)) is not None:
                return answer
        return None

    def equivalent(self, first: str, second: str) -> bool | None:
        """Equal in normal form, or as exact numbers, or according to math-verify in either direction.

        Boxes side by side are one list where the other answer has several members too; else the last counts.
        """
        first, second = _as_asked(first, second), _as_asked(second, first)
        # Sorted, so that which one is tried first never depends on the caller.
        first, second = sorted((normal_form(first), normal_form(second)))
        if first == second:
            return True
        if max(len(first), len(second)) > MAX_PARSED_LENGTH or not (_balanced(first) and _balanced(second)):
            return False
        verdict = exact_verdict(first, second)
        if verdict is None:
            verdict = verdict_on_structure(first, second, self.equivalent)
        if verdict is not None:
            return verdict
        first, second = readable(first), readable(second)
        if self._unparsable & {first, second}:
            return None
        return self._decided.verdict((first, second), lambda: self._compare(first, second))

    def _compare(self, first: str, second: str) -> bool | None:
        comparison = self._worker.compare(first, second)
        if comparison.culprit is not None:
            self._unparsable.add(comparison.culprit)
        return comparison.verdict

    def classes(self, answers: Iterable[str], reference: str) -> AnswerClasses:
        """Classes of equivalent answers, boxes side by side read as the reference asks."""
        read = {answer: _as_asked(answer, reference) for answer in answers}
        found = super().classes(read.values(), reference)
        return AnswerClasses(
            {answer: found.number[meant] for answer, meant in read.items()},
            frozenset(answer for answer, meant in read.items() if meant in found.correct),
            tuple(
                (answer, other)
                for one, other in found.undecided
                for answer, meant in sorted(read.items())
                if meant == one
            ),
        )

    def reference_fault(self, answer: str) -> str | None:
        """A reference must be short enough to be parsed and have balanced braces."""
        if len(answer) > MAX_PARSED_LENGTH:
            return f"it has {len(answer)} characters; at most {MAX_PARSED_LENGTH} can be compared"
        return None if _balanced(answer) else "its braces are not balanced"


def _as_asked(answer: str, other: str) -> str:
    """Boxes side by side as one list where `other` has several members, else the last one."""
    if not answer.startswith("\\boxed{") or _AND not in answer:
        return answer
    members = list(dict.fromkeys(inside for _, inside in boxed(answer)))
    return ", ".join(members) if has_several_members(normal_form(other)) else members[-1]


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


GRADER = GraderKind(
    name="math", order=2, slow=True, make=lambda settings: MathGrader(decided=settings.decided)
)
