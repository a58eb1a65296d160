"""Grader `number`: word problems and GSM8K, answered by exact rational numbers."""

import re
from collections.abc import Iterator
from fractions import Fraction

from isoflop.grading.equivalence import ComparingGrader
from isoflop.grading.grader import GraderKind
from isoflop.grading.numbers import NUMBER, cached_number, format_number, parse_number, value_of
from isoflop.grading.statements import (
    MAX_STATEMENT_LENGTH,
    SENTENCE_END,
    STATEMENT,
    answering,
    boxed,
    is_heading,
    until_next_question,
)

# Where a number goes on in a way that was not read: more digits, a list, a time of day, an exponent,
# a factor, a power, a root, a fraction, or another number that it may be instead.
_GOES_ON = re.compile(
    r"""[\ ]?[0-9]|[.,:][0-9]|[eE][-+]?[0-9]
      | \s*(?:\^(?!\{?\s*(?:\\circ|st|nd|rd|th|\\text\{(?:st|nd|rd|th)))|\*\*\s*[0-9(]|[π√∞½⅓⅔¼¾⁰¹²³⁴⁵⁶⁷⁸⁹]
             |\\(?:pi|sqrt|[dt]?frac|cdot|times|pm|infty|ln|log|sin|cos|tan|theta|alpha)(?![a-zA-Z]))
      | \s*(?:or|to|through|and)\s+[$]?[0-9]
      | ,\s+(?:and\s+)?[$]?-?[0-9.,]*[0-9]\s*(?:[.,;)$}]|$)
      | \s+[a-z]+,?\s+and\s+[$]?[0-9]
      | \s+(?:hours?|minutes?|days?|weeks?|years?|feet|pounds?|dollars?|kilograms?|meters?),?\s+[0-9]
      | [xyzn](?![a-zA-Z])
    """,
    re.VERBOSE,
)
# Where it is the first term of a calculation, its unit perhaps between: "3 apples + 2 apples = 5 apples".
_CALCULATION = re.compile(r"\s*(?:=|(?:[a-zA-Z%]+\s+)?(?:\\times|\\cdot|[-+*/×÷^−–x])\s*[$(]?[0-9])")
_LEAD_IN = re.compile(
    r"(?:[\s*_`~:≈]|\\(?:approx|sim|boldsymbol|mathbf)\b|\\[(\[]|\$(?=[^0-9\s.])"
    r"|(?:about|approximately|exactly|only|therefore|thus|the\s+number|the(?=\s+[$]?[0-9]))\b)*"
)
_LEFT_SIDE = re.compile(r"[a-zA-Z][a-zA-Z ]{0,40}(?:=|\\approx|≈)\s*")  # "x = 17", "total = 17"
_NEGATED = re.compile(r"(?:minus|negative)\s+(?=[$]?[0-9.])", re.IGNORECASE)
_BRACKETED = re.compile(r"[(\[]([^()\[\]]{1,60})[)\]]")
_FONT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|boldsymbol|bm)\s*\{\s*([-$0-9.,/\\]+)\s*\}")
_RAISED = re.compile(r"\^(?:\{\\text\{(?:st|nd|rd|th)\}\}|\\text\{(?:st|nd|rd|th)\}|\{(?:st|nd|rd|th)\})")
_LATEX_UNIT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[,;! ](?![0-9]{3})")


class NumberGrader(ComparingGrader):
    """Exact rational numbers: "The answer is 17.", "#### 1,017", "A: $17.50", a boxed number.

    Extracted answers are in canonical form (`format_number`), so 17, 17.0 and $17 are one string.
    Percent signs and units after the number are dropped.
    """

    def extract(self, text: str, *, truncated: bool = False) -> str | None:
        """The number of the last completed statement of an answer, in canonical form."""
        for line, at_end in _number_statements(answering(text)):
            value = _stated_number(line, truncated and at_end)
            if value is not None:
                return format_number(value)
        return None

    def equivalent(self, first: str, second: str) -> bool | None:
        """Equal as exact numbers; as strings where one of them is not a number."""
        if first == second:
            return True
        value = cached_number(first)
        return value is not None and value == cached_number(second)

    def reference_fault(self, answer: str) -> str | None:
        """A reference must be a number."""
        return None if cached_number(answer) is not None else 'it is not a number (grader "math" reads LaTeX)'


def _number_statements(text: str) -> Iterator[tuple[str, bool]]:
    """What is stated, from the last statement to the first: its line, and whether the text ends with it."""
    # A factorial in a box is no number of this grader; in a sentence it is an exclamation.
    statements = [
        (start, _LATEX_UNIT.sub(" ", _FONT.sub(r"\1", _RAISED.sub("", inside))), False)
        for start, inside in boxed(text)
        if not inside.rstrip().endswith("!")
    ]
    for match in STATEMENT.finditer(text):
        lead_in = _LEAD_IN.match(text, match.end(), match.end() + MAX_STATEMENT_LENGTH)
        start = lead_in.end() if lead_in else match.end()
        line = text[start : start + MAX_STATEMENT_LENGTH].split("\n", 1)[0]
        if is_heading(match[0], text[match.end() : start + len(line) + 1]):
            continue
        statements.append((match.start(), line, start + len(line) == len(text)))
    statements.sort(key=lambda statement: statement[0])
    known = until_next_question(text, statements[0][0]) if statements else text
    for position, line, at_end in reversed(statements):
        if position < len(known):
            yield line, at_end


def _stated_number(line: str, cut_off: bool) -> Fraction | None:
    """The number that `line` starts with, or the result of the calculation that it starts with."""
    if negated := _NEGATED.match(line):
        value = _stated_number(line[negated.end() :], cut_off)
        return None if value is None else -value
    if bracketed := _BRACKETED.match(line):
        return parse_number(bracketed[1])
    left_side = _LEFT_SIDE.match(line)
    match = NUMBER.match(line, left_side.end() if left_side else 0)
    if match and _CALCULATION.match(line, match.end()):
        sentence = SENTENCE_END.split(line, maxsplit=1)[0]
        result = re.compile(r"\s*").match(line, sentence.rfind("=") + 1)
        match = NUMBER.match(line, result.end()) if result and "=" in sentence else None
        if match and _CALCULATION.match(line, match.end()):
            return None
    if match is None or _GOES_ON.match(line, match.end()):
        return None
    # "17" or "17," where the text was cut off may have been the start of 175 or 17,000.
    if cut_off and line[match.end() :] in {"", ","}:
        return None
    return value_of(match)


GRADER = GraderKind(name="number", order=1, make=lambda _: NumberGrader())
