"""Final answers: found in a solution's text, and compared with one another.

One interface, `Grader`, with three implementations by name (`make_grader`): "number" for word problems and
GSM8K, "math" for LaTeX (MATH), "code" for programs (MBPP; isoflop.code_answers). What is not a completed
statement of an answer is no answer, and never votes.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from types import TracebackType
from typing import Protocol, Self

from isoflop.answer_classes import AnswerClasses, classify
from isoflop.code_answers import CodeGrader
from isoflop.math_worker import MEMORY_LIMIT, TIME_LIMIT, MathWorker

MAX_PARSED_LENGTH = 2000  # characters; longer answers are compared as strings only

# What pipelines and models write where there is no answer.
_PLACEHOLDERS = frozenset(
    {"invalid", "no answer", "noanswer", "no_answer", "none", "null", "nan", "n/a", "unknown", "?", "..."}
)


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


class _ComparingGrader(ABC):
    """What is the same where an answer is right if it is equivalent to the reference."""

    @abstractmethod
    def equivalent(self, first: str, second: str) -> bool | None:
        """Whether two answers mean the same; symmetric. None: undecided within the limits."""

    def correct(self, answer: str, reference: str) -> bool | None:
        """Whether an answer is equivalent to the reference."""
        return self.equivalent(answer, reference)

    def classes(self, answers: Iterable[str], reference: str) -> AnswerClasses:
        """Classes of equivalent answers."""
        return classify(answers, reference, self.equivalent)


# --- numbers ---------------------------------------------------------------------------------------

_GROUP = r"(?:,\\?!?|\{,\})"  # a thousands separator: , or LaTeX's ,\! and {,}
_DECIMAL = rf"(?:[1-9][0-9]{{0,2}}(?:{_GROUP}[0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_CURRENCY = r"(?:\\?[$€£¥₹]\s?)"
_NUMBER = re.compile(
    rf"""
    (?P<sign>[-+−–]?)\s?{_CURRENCY}?(?P<sign_inside>[-+−]?)
    (?:
        \\[dt]?frac\s*\{{\s*(?P<top>[0-9]+)\s*\}}\s*\{{\s*(?P<bottom>[0-9]+)\s*\}}
      | (?P<whole>[0-9]+)\s+(?P<mixed_top>[0-9]+)/(?P<mixed_bottom>[0-9]+)
      | (?P<decimal>{_DECIMAL})
        (?:\s?/\s?(?P<divisor>[0-9]+(?![.,]?[0-9])) | [eE](?P<exponent>[-+]?[0-9]{{1,3}})(?![0-9]))?
    )
    (?:\s(?P<scale>thousand|million|billion|trillion)\b)?
    """,
    re.VERBOSE,
)
_MAX_PLACES = 300  # decimals written out; beyond that, a fraction
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
# Where a number goes on in a way that was not read: more digits, a list, a time of day, an exponent.
_GOES_ON = re.compile(r"[0-9]|[.,:][0-9]|[eE][-+]?[0-9]")
# Where it is the first term of a calculation, its unit perhaps between: "3 apples + 2 apples = 5 apples".
_CALCULATION = re.compile(r"\s*(?:=|(?:[a-zA-Z%]+\s+)?(?:\\times|\\cdot|[-+*/×÷^−–x])\s*[$(]?[0-9])")
_SENTENCE_END = re.compile(r"\.(?=\s|\*|$)|\n")

_STATEMENT = re.compile(
    r"""
      \#\#\#\#
    | ^[ \t]*A:                                             # the style of GSM8K's published model solutions
    | \banswer(?:[*_ \t]{0,4}:|[*_ \t]{0,4}\sis\b|\s=)      # "the answer is", "Answer:", "**Answer**:"
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_LEAD_IN = re.compile(
    r"(?:[\s*_`~:]|\\[(\[]|\$(?=[^0-9\s.])|(?:about|approximately|exactly|only|therefore|thus)\b)*"
)
_LEFT_SIDE = re.compile(r"[a-zA-Z][a-zA-Z ]{0,40}=\s*")  # "x = 17", "total = 17"
_LATEX_UNIT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[,;! ]")


def parse_number(text: str) -> Fraction | None:
    """The exact value of `text` if all of it is one number; currency, separators, %, final period allowed."""
    stripped = text.strip().removesuffix(".").strip("$ ").removesuffix("%").removesuffix("\\").rstrip()
    if len(stripped) > MAX_PARSED_LENGTH:
        return None
    match = _NUMBER.fullmatch(stripped)
    return _value(match) if match else None


def _value(match: re.Match[str]) -> Fraction | None:
    group = match.groupdict()
    if group["top"]:
        top, bottom = Fraction(int(group["top"])), int(group["bottom"])
    elif group["whole"]:
        bottom = int(group["mixed_bottom"])
        top = Fraction(int(group["whole"]) * bottom + int(group["mixed_top"]))
    else:
        digits = re.sub(r"[^0-9.]", "", group["decimal"])
        top = Fraction(digits) * Fraction(10) ** int(group["exponent"] or 0)
        bottom = int(group["divisor"] or 1)
    if bottom == 0:
        return None
    value = top / bottom * _SCALES.get(group["scale"] or "", 1)
    negative = (group["sign"] in {"-", "−", "–"}) != (group["sign_inside"] in {"-", "−"})
    return -value if negative else value


def format_number(value: Fraction) -> str:
    """The canonical text of `value`: an integer, a terminating decimal, or a reduced fraction."""
    denominator = value.denominator
    if denominator == 1:
        return str(value.numerator)
    twos = (denominator & -denominator).bit_length() - 1
    odd, fives = denominator >> twos, 0
    while odd % 5 == 0:
        odd, fives = odd // 5, fives + 1
    places = max(twos, fives)
    if odd != 1 or places > _MAX_PLACES:
        return f"{value.numerator}/{denominator}"
    digits = str(abs(value.numerator) * 10**places // denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


class NumberGrader(_ComparingGrader):
    """Exact rational numbers: "The answer is 17.", "#### 1,017", "A: $17.50", a boxed number.

    Extracted answers are in canonical form (`format_number`), so 17, 17.0 and $17 are one string.
    Percent signs and units after the number are dropped.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def extract(self, text: str, *, truncated: bool = False) -> str | None:
        """The number of the last completed statement of an answer, in canonical form."""
        for line, at_end in _number_statements(text):
            value = _stated_number(line, truncated and at_end)
            if value is not None:
                return format_number(value)
        return None

    def equivalent(self, first: str, second: str) -> bool | None:
        """Equal as exact numbers; as strings where one of them is not a number."""
        if first == second:
            return True
        value = _cached_number(first)
        return value is not None and value == _cached_number(second)

    def reference_fault(self, answer: str) -> str | None:
        """A reference must be a number."""
        return (
            None if _cached_number(answer) is not None else 'it is not a number (grader "math" reads LaTeX)'
        )


_cached_number = lru_cache(maxsize=65536)(parse_number)


def _number_statements(text: str) -> Iterator[tuple[str, bool]]:
    """What is stated, from the last statement to the first: its line, and whether the text ends with it."""
    statements = [(start, _LATEX_UNIT.sub(" ", inside), False) for start, inside in boxed(text)]
    for match in _STATEMENT.finditer(text):
        lead_in = _LEAD_IN.match(text, match.end(), match.end() + MAX_PARSED_LENGTH)
        start = lead_in.end() if lead_in else match.end()
        line = text[start : start + MAX_PARSED_LENGTH].split("\n", 1)[0]
        statements.append((match.start(), line, start + len(line) == len(text)))
    statements.sort(key=lambda statement: statement[0], reverse=True)
    for _, line, at_end in statements:
        yield line, at_end


def _stated_number(line: str, cut_off: bool) -> Fraction | None:
    """The number that `line` starts with, or the result of the calculation that it starts with."""
    left_side = _LEFT_SIDE.match(line)
    match = _NUMBER.match(line, left_side.end() if left_side else 0)
    if match and _CALCULATION.match(line, match.end()):
        sentence = _SENTENCE_END.split(line, maxsplit=1)[0]
        result = re.compile(r"\s*").match(line, sentence.rfind("=") + 1)
        match = _NUMBER.match(line, result.end()) if result and "=" in sentence else None
        if match and _CALCULATION.match(line, match.end()):
            return None
    if match is None or _GOES_ON.match(line, match.end()):
        return None
    # "17" or "17," where the text was cut off may have been the start of 175 or 17,000.
    if cut_off and line[match.end() :] in {"", ","}:
        return None
    return _value(match)


# --- LaTeX -----------------------------------------------------------------------------------------

_BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\boxed\s+([0-9a-zA-Z]+)(?![{\\])")
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))


def boxed(text: str) -> list[tuple[int, str]]:
    r"""Position and content of every closed \boxed{...} or \fbox{...}, in the order in which they open.

    One pass over the text, so hostile nesting costs no more than its length.
    """
    if "\\boxed" not in text and "\\fbox" not in text:
        return []
    found = [(match.start(), match[1]) for match in _BARE_BOX.finditer(text)]
    opened: list[tuple[int, int] | None] = []  # where a box and its content start; None for another brace
    for match in _BOX_OR_BRACE.finditer(text):
        token = match[0]
        if token == "{":
            opened.append(None)
        elif token == "}":
            start = opened.pop() if opened else None
            if start is not None:
                found.append((start[0], text[start[1] : match.start()]))
        elif token.endswith("{") and len(token) > 2:
            opened.append((match.start(), match.end()))
    return sorted(found)


def _stated_latex(text: str, truncated: bool) -> Iterator[str]:
    """What follows "the answer is", from the last statement to the first."""
    for match in reversed(list(_STATEMENT.finditer(text))):
        rest = text[match.end() : match.end() + MAX_PARSED_LENGTH].lstrip(" \t\n:*")
        for opening, closing in _DELIMITERS:
            if rest.startswith(opening):
                inside, closed, _ = rest[len(opening) :].partition(closing)
                if closed:
                    yield inside
                break
        else:
            stated = _SENTENCE_END.split(rest, maxsplit=1)[0]
            if not (truncated and len(stated) == len(rest)):
                yield stated


def normal_form(answer: str) -> str:
    """`answer` without what changes only its looks: spacing, left/right, the size of fractions.

    Commas stay: they separate coordinates.
    """
    text = re.sub(r"\\(?:left|right)(?![a-zA-Z])", "", answer)
    text = re.sub(r"\\[dt]frac(?![a-zA-Z])", r"\\frac", text)
    # A double backslash ends a row of a matrix; what follows it is not a spacing command.
    text = re.sub(r"(\\\\)|\\[,;:! ]|~", lambda match: match[1] or " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"(?<![0-9a-zA-Z]) | (?![0-9a-zA-Z])", "", text)


class MathGrader(_ComparingGrader):
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
        verdict = _verdict_without_parsing(first, second)
        if verdict is not None or self._unparsable & {first, second}:
            return verdict
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


def _verdict_without_parsing(first: str, second: str) -> bool | None:
    """The verdict on two normal forms where strings or exact numbers settle it, else None."""
    if first == second:
        return True
    if max(len(first), len(second)) > MAX_PARSED_LENGTH or not (_balanced(first) and _balanced(second)):
        return False
    if not (_PLAIN.fullmatch(first) and _PLAIN.fullmatch(second)):
        return None
    one, other = _cached_number(first), _cached_number(second)
    if one is None or other is None:  # a division by zero
        return None
    if one == other:
        return True
    # Integers differ, and so does what is apart beyond the six decimals that math-verify compares.
    both_integers = one.denominator == other.denominator == 1
    return False if both_integers or abs(one - other) > Fraction(1, 10**5) else None


# Plain decimals and fractions only: no percent, currency or words of scale.
_PLAIN = re.compile(rf"-?(?:{_DECIMAL}|[0-9]+/[0-9]+|\\frac\{{[0-9]+\}}\{{[0-9]+\}})")

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
