"""Which numbers a template types instead of looking them up."""

import re
from collections.abc import Iterator

# What a comment beside a number that no table holds must begin with.
REASONS = ("measured by hand", "setting", "from the paper")

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_CODE = re.compile(
    r"^```.*?^```|`[^`\n]*`|<!--.*?-->|(?<=\])\([^)\s]*\)|https?://\S+", re.DOTALL | re.MULTILINE
)
_COMMENT = re.compile(r"\{#-?(.*?)-?#\}", re.DOTALL)
_DIGITS = r"[+−-]?\d[\d,]*(?:\.\d+)?(?:e\d+)?"
_UNITS = (
    r"%|percent\b|(?:percentage )?points?\b|times\b|[x×](?!\w)|-fold\b|FLOPs\b|(?:core |GPU-?)?hours?\b|"
    r"minutes?\b|seconds?\b|days?\b|[kMGT]i?B\b"
)
_CLAIMS = re.compile(
    rf"(?<![\w.]){_DIGITS}(?:\s*(?:{_UNITS}))"  # 12%, 16 times, 8 minutes
    rf"|\(\s*{_DIGITS}\s*(?:to|–|-|,)\s*{_DIGITS}\s*\)"  # (0.2 to 8.7)
    r"|(?<![\w.])(?<!\w-)[+−-]?\d+\.\d+(?![\w.]*\w)"  # 0.87, but not 0.1M or Apache-2.0
)
_TYPED = re.compile(
    r"\{\{-?\s*['\"]?[+−-]?\.?\d.*?\}\}"  # {{ 4.5 | points }}, {{ '4.5' }}
    r"|\{%-?\s*set\s+\w+\s*=\s*['\"]?[+-]?\d*\.\d.*?%\}",  # {% set gain = 0.045 %}
    re.DOTALL,
)


def typed_numbers(template: str) -> Iterator[str]:
    """Every result that a template has as text, where it should look it up, as `line 3: 12%`.

    Results are numbers with a unit, intervals and decimals, outside code and the targets of links. A line
    may hold such where a comment says why: `{# measured by hand: COMMAND #}`, `{# setting: KEY #}` or
    `{# from the paper: TABLE #}`. A number or text that is itself the expression is found too.
    """
    excused = {
        template.count("\n", 0, comment.end())
        for comment in _COMMENT.finditer(template)
        if re.match(rf"\s*(?:{'|'.join(REASONS)}): *\S", comment[1])
    }
    typed = [(one.start(), one[0]) for one in _TYPED.finditer(_blank(_COMMENT, template))]
    text = template
    for pattern in (_COMMENT, _JINJA, _CODE):
        text = _blank(pattern, text)
    typed += [(one.start(), one[0]) for one in _CLAIMS.finditer(text)]
    for start, found in sorted(typed):
        line = template.count("\n", 0, start)
        if line not in excused:
            yield f"line {line + 1}: {found}"


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """The text with what matches replaced by marks that are in no number; places and lines stay."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", "\N{REPLACEMENT CHARACTER}", found[0]), text)
