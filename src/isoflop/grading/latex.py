r"""What an answer in LaTeX says, before it goes to a parser: its normal form, and what needs no parser.

math-verify and the grammar behind it take a bare word for a product of letters, drop letters that name a unit
("2m" is 2), stop at a mixed number's space ("1 1/2" is 1) and leave out the base of a number. `readable`
writes such answers in a way that they take for what is meant.
"""

import re
from fractions import Fraction

from isoflop.grading.arithmetic import exact_value
from isoflop.grading.numbers import DECIMAL, cached_number

_CURRENCY = r"\\?[$€£¥₹]"
_PERCENT = re.compile(r"\\?%$|(?<=[0-9]) ?(?:percent|\\text\{ ?percent ?\})$")
# Plain decimals, fractions and mixed numbers; no words of scale.
_PLAIN = re.compile(
    rf"-?(?:{_CURRENCY})?(?:{DECIMAL}|[0-9]+/[0-9]+|[0-9]+ [0-9]+/[0-9]+|\\frac\{{[0-9]+\}}\{{[0-9]+\}})"
)
_REPEATING = re.compile(r"(-?)([0-9]*)\.([0-9]*)\\(?:overline|bar)\{([0-9]+)\}")
_DOTTED = re.compile(r"\\dot\{?([0-9])\}?(?:([0-9]*)\\dot\{?([0-9])\}?)?$")
_MIXED_LATEX = re.compile(r"(?<![0-9.])([0-9]+)\\frac\{([0-9]+)\}\{([0-9]+)\}")
_BASED = re.compile(r"([0-9a-zA-Z]+)_(?:\{([0-9]+)\}|([0-9]))")
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|mbox|mathrm|mathbf|operatorname)\{([^{}]*)\}")
_CLOCK = re.compile(r"([0-9]{1,2}:[0-9]{2})(?: ?([ap])\.?m\.?)?")
_WORDS = re.compile(r"[a-z][a-z' -]*[a-z]")

# A letter in upright or bold type is that letter: 3\\mathbf{i}, \\mathrm{e}^3.
_FONT = re.compile(r"\\(?:mathbf|mathrm|mathit|boldsymbol|vec|hat)\{([a-zA-Z])\}")
_LIST_COMMA = r"(?<=[0-9]), (?=[0-9]{3}(?![0-9]))"
_ROOT = re.compile(r"√(?:\(([^()]*)\)|([0-9]+|[a-zA-Z]))")
_SUPERSCRIPTS = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_SIGNS = str.maketrans(
    {
        "∞": "\\infty ", "°": "^\\circ ", "π": "\\pi ", "θ": "\\theta ", "·": "\\cdot ", "×": "\\times ",
        "÷": "/", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "±": "\\pm ", "∪": "\\cup ", "∩": "\\cap ",
        "∈": "\\in ", "∅": "\\emptyset ", "−": "-", "–": "-", "′": "'",
        "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}",
        "¾": "\\frac{3}{4}",
    }
)  # fmt: skip

# "12th", "12^{\text{th}}", "2\text{nd}"; 2st is a product.
_ORDINAL = re.compile(
    r"(?<![0-9.])([0-9]+)(\^\{\\(?:text|mathrm)\{[a-z]{2}\}\}|\^?\\(?:text|mathrm)\{ ?[a-z]{2}\}"
    r"|\^\{[a-z]{2}\}|[a-z]{2}(?![a-zA-Z]))"
)
_SCIENTIFIC = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]{1,3}")
# Of an angle in degrees; without them, radians.
_DEGREES = re.compile(r"\\(sin|cos|tan|cot|sec|csc) ?\(?(-?[0-9.]+)\^(?:\\circ|\{\\circ\})\)?")
_RELATIONS = {
    ">=": "\\ge ", "<=": "\\le ", "!=": "\\ne ", "\\geq": "\\ge", "\\leq": "\\le", "\\neq": "\\ne",
    "\\geqslant": "\\ge", "\\leqslant": "\\le", "\\gt": ">", "\\lt": "<",
}  # fmt: skip
_RELATION = re.compile(r"[<>!]=|\\(?:geqslant|leqslant|geq|leq|neq|gt|lt)(?![a-zA-Z])")
_SPACED = re.compile(r"-?[1-9][0-9]{0,2}(?: [0-9]{3})+(?:\.[0-9]+)?")
_THIN_GROUP = re.compile(r"(?<=[0-9])\\,(?=[0-9]{3}(?![0-9]))")
_MIXED = re.compile(r"(?<![0-9./])([0-9]+) ([0-9]+)/([0-9]+)(?![0-9./])")
_SCALED = re.compile(r"(?<=[0-9])(?: |\\text\{ ?)(thousand|million|billion|trillion)(?![a-z])", re.IGNORECASE)
_TOLERANCE = Fraction(1, 10**5)
_ZEROS = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_UNITS = "am|cm|cl|deg|dm|dl|ft|hrs?|kg|km|kw|lbs?|mg|mi|min|ml|mm|mph|oz|pm|rad|sec|sq|yd"
# A unit in words, of which the first is no product of a few variables.
_NUMBER_WITH_WORDS = re.compile(
    r"([-0-9.,/]*[0-9](?:\\cdot10\^\{[0-9]+\}|\\frac\{[0-9]+\}\{[0-9]+\})?) ?"
    rf"((?:[A-Za-z]{{4,}}|{_UNITS})(?: [A-Za-z]+)*)"
)
# Letters that follow a number at once: a unit, or variables; not the constants e and i.
_GLUED = re.compile(rf"(?<=[0-9}}])(?<!\\circ\}})(?!(?:[ei]|{_UNITS})$)([A-Za-z]{{1,3}})$")


def normal_form(answer: str) -> str:
    """`answer` without what changes only its looks: spacing, left/right, fractions' size and missing braces.

    A final period goes. Commas stay: they separate coordinates.
    """
    text = re.sub(r",\\!\s*", ",", _in_latex(answer))
    if text.replace("\\$", "").count("$") in (2, 4, 6):
        text = re.sub(r"(?<!\\)\$", "", text)  # delimiters; a single one is money
    text = _RELATION.sub(lambda match: _RELATIONS[match[0]], text)
    text = re.sub(r"\\(?:left|right)(?![a-zA-Z])", "", text)
    text = re.sub(r"\\langle(?![a-zA-Z])(.*?,.*?)\\rangle(?![a-zA-Z])", r"(\1)", text)
    text = _FONT.sub(r"\1", text)
    text = re.sub(r"\\[dt]?frac(?![a-zA-Z]) ?", r"\\frac", text)
    text = re.sub(r"\\frac([0-9])(?=[0-9{])", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\{[0-9]+\})([0-9])", r"\1{\2}", text)
    text = _THIN_GROUP.sub("", text)
    text = _ORDINAL.sub(_cardinal, text)
    # A double backslash ends a row of a matrix; what follows it is not a spacing command.
    text = re.sub(r"(\\\\)|\\[,;:! ]|~", lambda match: match[1] or " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"(?<=[^.\s])\s?\.$", "", text)
    return re.sub(rf"{_LIST_COMMA}|(?<![0-9a-zA-Z]) | (?![0-9a-zA-Z])", _kept_in_a_list, text)


def _in_latex(text: str) -> str:
    """Signs of mathematics that are single characters, as commands."""
    if text.isascii():
        return text
    text = _ROOT.sub(lambda match: f"\\sqrt{{{match[1] or match[2]}}}", text)
    text = _SUPERSCRIPTS.sub(lambda match: f"^{{{match[0].translate(_DIGITS)}}}", text)
    return text.translate(_SIGNS)


def _kept_in_a_list(match: re.Match[str]) -> str:
    """A space between thousands, outside of brackets, is what makes two numbers of them."""
    if match[0] != " " and _depth(match.string[: match.start()]) == 0:
        return match[0]
    return match[0].replace(" ", "")


def _depth(text: str) -> int:
    return sum(text.count(opening) for opening in "([{") - sum(text.count(closing) for closing in ")]}")


def _cardinal(match: re.Match[str]) -> str:
    """The number of an ordinal, and anything else as it is."""
    number, suffix = match[1], re.sub(r"\\[a-z]+|[^a-z]", "", match[2])
    usual = "th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    return number if suffix == usual else match[0]


def exact_verdict(first: str, second: str) -> bool | None:
    """The verdict on two normal forms where exact numbers or plain words settle it, else None.

    A percentage is its number as well as its value (50% is 50 and 0.5), unless both are percentages.
    """
    one, other = _exact(first), _exact(second)
    if one is None or other is None:
        verdict = _verdict_on_bases(first, second)
        return _verdict_on_words(first, second) if verdict is None else verdict
    (value, percent), (target, other_percent) = one, other
    if percent != other_percent:
        number, share = (target, value) if percent else (value, target)
        return number in {share, share / 100} or _far_apart(number, share, share / 100)
    return value == target or _far_apart(value, target)


def _far_apart(value: Fraction, *targets: Fraction) -> bool | None:
    """False where the numbers certainly differ, else None: math-verify compares six decimals.

    By more than 1e-5, or by more than that share of them: tiny numbers are not all one.
    """
    apart = all(
        value.denominator == target.denominator == 1
        or abs(value - target) > _TOLERANCE * min(Fraction(1), max(abs(value), abs(target)))
        for target in targets
        if value != target
    )
    return False if apart else None


def _exact(text: str) -> tuple[Fraction, bool] | None:
    """The number that all of `text` is, and whether it is a percentage."""
    without_percent = _PERCENT.sub("", text)
    number = _MIXED_LATEX.sub(r"\1 \2/\3", without_percent)
    if _SPACED.fullmatch(number):
        number = number.replace(" ", "")
    value = _repeating(number)
    if value is None and _PLAIN.fullmatch(number):
        value = cached_number(number)
    if value is None and _SCIENTIFIC.fullmatch(number):
        value = Fraction(number)
    if value is None:
        value = exact_value(number)
    return None if value is None else (value, without_percent != text)


def _repeating(text: str) -> Fraction | None:
    text = _DOTTED.sub(lambda dots: f"\\overline{{{dots[1]}{dots[2] or ''}{dots[3] or ''}}}", text)
    match = _REPEATING.fullmatch(text)
    if match is None:
        return None
    sign, whole, start, period = match.groups()
    digits = int(f"{whole}{start}{period}") - int(f"{whole}{start}" or 0)
    value = Fraction(digits, 10 ** len(start) * (10 ** len(period) - 1))
    return -value if sign else value


def _verdict_on_bases(first: str, second: str) -> bool | None:
    """Numbers in a stated base are alike if digits and base are; without one, the digits decide."""
    one, other = _BASED.fullmatch(first), _BASED.fullmatch(second)
    if one is None or other is None:
        return None
    return (one[1].lower(), int(one[2] or one[3])) == (other[1].lower(), int(other[2] or other[3]))


def _verdict_on_words(first: str, second: str) -> bool | None:
    """Times of day; True where both are the same words, upper case, fonts and parentheses aside."""
    one, other = (_WRAPPER.sub(r"\1", text).strip("() ").casefold() for text in (first, second))
    times = _CLOCK.fullmatch(one), _CLOCK.fullmatch(other)
    if times[0] and times[1]:
        halves = {time[2] for time in times if time and time[2]}  # a.m., p.m., where they are said
        return times[0][1] == times[1][1] and len(halves) < 2
    return True if one == other and _WORDS.fullmatch(one) else None


def readable(text: str) -> str:
    """A normal form as math-verify reads it rightly."""
    text = _DEGREES.sub(r"\\\1(\\frac{\2\\pi}{180})", text)
    text = text.replace("\\varnothing", "\\emptyset")
    text = re.sub(rf"{_CURRENCY}(?=[0-9.])", "", text)
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    text = _SCALED.sub(_times_power, text)
    words = _NUMBER_WITH_WORDS.fullmatch(text)
    if words:
        return f"{words[1]}\\text{{ {words[2]}}}"
    return _GLUED.sub(lambda match: "".join(f"{{{letter}}}" for letter in match[1]), text)


def _times_power(match: re.Match[str]) -> str:
    closing = "\\text{" if match[0].startswith("\\") else ""
    return f"\\cdot10^{{{_ZEROS[match[1].lower()]}}}{closing}"
