"""Exact rational numbers, read strictly, and written in one way."""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from isoflop.grading.statements import MAX_STATEMENT_LENGTH

_GROUP = r"(?:,\\?!?|\{,\})"  # a thousands separator: , or LaTeX's ,\! and {,}
DECIMAL = rf"(?:[1-9][0-9]{{0,2}}(?:{_GROUP}[0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
# In sentences a space (ordinary, thin or of LaTeX) and an apostrophe separate thousands too.
_GAPS = "['’\u00a0\u2009\u202f ]|\\\\[,;: ]"
_SPACED = rf"[1-9][0-9]{{0,2}}(?:(?:{_GAPS})[0-9]{{3}}(?![0-9]))+(?:\.[0-9]+)?"
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
    "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_CURRENCY = r"(?:(?:US|USD|EUR|GBP|INR|Rs\.?)?\s?\\?[$€£¥₹]\s?|(?:USD|EUR|GBP|INR|Rs\.?)\s?)"
_FRACTION = r"\\[dt]?frac\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))"
NUMBER = re.compile(
    rf"""
    (?P<sign>[-+−–]?)\s?{_CURRENCY}?(?P<sign_inside>[-+−]?)
    (?:
        (?P<latex_whole>[0-9]*)\s*(?P<latex>{_FRACTION.replace("(", "(?:").replace("(?:?:", "(?:")})
      | (?P<vulgar_whole>[0-9]*)\s?(?P<vulgar>[{"".join(_VULGAR)}])
      | (?P<whole>[0-9]+)\s+(?P<mixed_top>[0-9]+)/(?P<mixed_bottom>[0-9]+)
      | (?P<spaced>{_SPACED})
      | (?P<decimal>{DECIMAL})
        (?:\s?/\s?(?P<divisor>[0-9]+(?![.,]?[0-9])) | [eE](?P<exponent>[-+]?[0-9]{{1,3}})(?![0-9])
          | \s?(?:\\times|\\cdot|[x×·*])\s?10\s?\^
            (?:(?P<power>[-+−]?[0-9]{{1,3}})(?![0-9])|\{{(?P<braced>[-+−]?[0-9]{{1,3}})\}}))?
    )
    (?:\s(?P<scale>thousand|million|billion|trillion)\b)?
    """,
    re.VERBOSE,
)
_MAX_PLACES = 300  # decimals written out; beyond that, a fraction
_MAX_DIGITS = 2000  # beyond that, no answer: Python refuses to read 4,300
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def parse_number(text: str) -> Fraction | None:
    """The exact value of `text` if all of it is one number; currency, separators, %, final period allowed."""
    stripped = text.strip().removesuffix(".").strip("$ ").removesuffix("%").removesuffix("\\").rstrip()
    if len(stripped) > MAX_STATEMENT_LENGTH:
        return None
    match = NUMBER.fullmatch(stripped)
    return value_of(match) if match else None


def value_of(match: re.Match[str]) -> Fraction | None:
    """The value of a match of `NUMBER`; None where it has none, or too many digits."""
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
        exponent = group["exponent"] or group["power"] or group["braced"] or "0"
        top = Fraction(digits) * Fraction(10) ** int(exponent.replace("−", "-"))
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


cached_number = lru_cache(maxsize=65536)(parse_number)
