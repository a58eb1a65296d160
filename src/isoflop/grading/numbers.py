"""Answers that are numbers: word problems, GSM8K. Exact rational numbers, read strictly."""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Self

from isoflop.grading.equivalence import ComparingGrader
from isoflop.grading.statements import (
    MAX_STATEMENT_LENGTH,
    SENTENCE_END,
    STATEMENT,
    answering,
    boxed,
    is_heading,
    until_next_question,
)

_GROUP = r"(?:,\\?!?|\{,\})"  # a thousands separator: , or LaTeX's ,\! and {,}
DECIMAL = rf"(?:[1-9][0-9]{{0,2}}(?:{_GROUP}[0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
# In sentences a space (ordinary, thin or of LaTeX) and an apostrophe separate thousands too.
_GAPS = "['’\u00a0\u2009\u202f ]|\\\\[,;: ]"
_SPACED = rf"[1-9][0-9]{{0,2}}(?:(?:{_GAPS})[0-9]{{3}}(?![0-9]))+(?:\.[0-9]+)?"
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
    "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_CURRENCY = r"(?:\\?[$€£¥₹]\s?)"
_FRACTION = r"\\[dt]?frac\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))"
_NUMBER = re.compile(
    rf"""
    (?P<sign>[-+−–]?)\s?{_CURRENCY}?(?P<sign_inside>[-+−]?)
    (?:
        (?P<latex_whole>[0-9]*)\s*(?P<latex>{_FRACTION.replace("(", "(?:").replace("(?:?:", "(?:")})
      | (?P<vulgar_whole>[0-9]*)\s?(?P<vulgar>[{"".join(_VULGAR)}])
      | (?P<whole>[0-9]+)\s+(?P<mixed_top>[0-9]+)/(?P<mixed_bottom>[0-9]+)
      | (?P<spaced>{_SPACED})
      | (?P<decimal>{DECIMAL})
        (?:\s?/\s?(?P<divisor>[0-9]+(?![.,]?[0-9])) | [eE](?P<exponent>[-+]?[0-9]{{1,3}})(?![0-9]))?
    )
    (?:\s(?P<scale>thousand|million|billion|trillion)\b)?
    """,
    re.VERBOSE,
)
_MAX_PLACES = 300  # decimals written out; beyond that, a fraction
_MAX_DIGITS = 2000  # beyond that, no answer: Python refuses to read 4,300
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
# Where a number goes on in a way that was not read: more digits, a list, a time of day, an exponent,
# a factor, a power, a root, a fraction, or another number that it may be instead.
_GOES_ON = re.compile(
    r"""[\ ]?[0-9]|[.,:][0-9]|[eE][-+]?[0-9]
      | \s*(?:\^|\*\*\s*[0-9(]|[π√∞½⅓⅔¼¾⁰¹²³⁴⁵⁶⁷⁸⁹]
             |\\(?:pi|sqrt|[dt]?frac|cdot|times|pm|infty|ln|log|sin|cos|tan|theta|alpha)(?![a-zA-Z]))
      | \s*(?:or|to|through|and)\s+[$]?[0-9]
    """,
    re.VERBOSE,
)
# Where it is the first term of a calculation, its unit perhaps between: "3 apples + 2 apples = 5 apples".
_CALCULATION = re.compile(r"\s*(?:=|(?:[a-zA-Z%]+\s+)?(?:\\times|\\cdot|[-+*/×÷^−–x])\s*[$(]?[0-9])")
_LEAD_IN = re.compile(
    r"(?:[\s*_`~:≈]|\\(?:approx|sim|boldsymbol|mathbf)\b|\\[(\[]|\$(?=[^0-9\s.])"
    r"|(?:about|approximately|exactly|only|therefore|thus)\b)*"
)
_LEFT_SIDE = re.compile(r"[a-zA-Z][a-zA-Z ]{0,40}(?:=|\\approx|≈)\s*")  # "x = 17", "total = 17"
_LATEX_UNIT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[,;! ](?![0-9]{3})")


def parse_number(text: str) -> Fraction | None:
    """The exact value of `text` if all of it is one number; currency, separators, %, final period allowed."""
    stripped = text.strip().removesuffix(".").strip("$ ").removesuffix("%").removesuffix("\\").rstrip()
    if len(stripped) > MAX_STATEMENT_LENGTH:
        return None
    match = _NUMBER.fullmatch(stripped)
    return _value(match) if match else None


def _value(match: re.Match[str]) -> Fraction | None:
    if sum(map(str.isdigit, match[0])) > _MAX_DIGITS:
        return None
    group = match.groupdict()
    if group["latex"] or group["vulgar"]:
        top, bottom = _parts_of_fraction(group)
    elif group["whole"]:
        bottom = int(group["mixed_bottom"])
        top = Fraction(int(group["whole"]) * bottom + int(group["mixed_top"]))
    else:
        digits = re.sub(r"[^0-9.]", "", group["spaced"] or group["decimal"])
        top = Fraction(digits) * Fraction(10) ** int(group["exponent"] or 0)
        bottom = int(group["divisor"] or 1)
    if bottom == 0:
        return None
    value = top / bottom * _SCALES.get(group["scale"] or "", 1)
    negative = (group["sign"] in {"-", "−", "–"}) != (group["sign_inside"] in {"-", "−"})
    return -value if negative else value


def _parts_of_fraction(group: Mapping[str, str | None]) -> tuple[Fraction, int]:
    """Numerator, the whole before it counted in, and denominator of a LaTeX or one-character fraction."""
    if group["vulgar"]:
        top, bottom = map(int, _VULGAR[group["vulgar"]].split("/"))
        whole = group["vulgar_whole"]
    else:
        found = re.fullmatch(_FRACTION, group["latex"] or "")
        assert found is not None  # it is part of the pattern that matched
        top, bottom = int(found[1] or found[2]), int(found[3] or found[4])
        whole = group["latex_whole"]
    return Fraction(int(whole or 0) * bottom + top), bottom


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


class NumberGrader(ComparingGrader):
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


cached_number = lru_cache(maxsize=65536)(parse_number)


def _number_statements(text: str) -> Iterator[tuple[str, bool]]:
    """What is stated, from the last statement to the first: its line, and whether the text ends with it."""
    # A factorial in a box is no number of this grader; in a sentence it is an exclamation.
    statements = [
        (start, _LATEX_UNIT.sub(" ", inside), False)
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
    left_side = _LEFT_SIDE.match(line)
    match = _NUMBER.match(line, left_side.end() if left_side else 0)
    if match and _CALCULATION.match(line, match.end()):
        sentence = SENTENCE_END.split(line, maxsplit=1)[0]
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
