"""How texts write what they look up: percentages, points with their interval, factors, lists, tables."""

import math
import re
from collections.abc import Callable, Iterable

from isoflop.errors import UserError
from isoflop.estimate import scientific
from isoflop.prose.tables import Number, Row

NOT_REACHED = "not reached"
VERDICTS = ("supported", "contradicted", "mixed", "undecided", "not tested")


def in_percent(value: object, digits: int = 1) -> str:
    """A fraction in percent, without the sign: 41.5."""
    return _signs(f"{100 * _checked(value):.{digits}f}")


def in_percent_ci(value: object, digits: int = 1) -> str:
    """A fraction in percent with its interval, without the sign: 41.5 (38.4 to 44.6)."""
    return _with_interval(value, lambda part: in_percent(part, digits))


def percent(value: object, digits: int = 1) -> str:
    """A fraction in percent: 41.5%."""
    return f"{in_percent(value, digits)}%"


def percent_ci(value: object, digits: int = 1) -> str:
    """A fraction in percent with its interval: 41.5% (38.4 to 44.6)."""
    return f"{percent(value, digits)} {_interval(value, lambda part: in_percent(part, digits))}"


def points(value: object, digits: int = 1) -> str:
    """A difference of fractions in percentage points, with its sign, which exactly 0 has not: +4.5."""
    plain = 100 * _checked(value)
    return _signs(f"{plain:+.{digits}f}" if plain else f"{0:.{digits}f}")


def points_ci(value: object, digits: int = 1) -> str:
    """A difference in percentage points with its interval: +4.5 (0.2 to 8.7)."""
    return f"{points(value, digits)} {_interval(value, lambda part: in_percent(part, digits))}"


def factor(value: object, digits: int = 2) -> str:
    """A factor, to so many significant digits: 5.9×; 0 and `not reached` are "not reached"."""
    if value == NOT_REACHED or _checked(value) == 0:
        return NOT_REACHED
    return f"{number(value, digits)}×"


def factor_ci(value: object, digits: int = 2) -> str:
    """A factor with its interval: 5.9× (not reached to 12)."""
    return f"{factor(value, digits)} {_interval(value, lambda part: factor(part, digits).rstrip('×'))}"


def number(value: object, digits: int = 3) -> str:
    """A number to so many significant digits, written out: 1.24, 0.876, 1,240."""
    plain = _checked(value)
    if plain == 0 or math.isinf(plain):
        return _signs(f"{plain:g}")
    rounded = float(f"{plain:.{digits - 1}e}")
    decimals = max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)
    return _signs(f"{rounded:,.{decimals}f}")


def number_ci(value: object, digits: int = 3) -> str:
    """A number with its interval: 1.24 (1.11 to 1.45)."""
    return _with_interval(value, lambda part: number(part, digits))


def count(value: object) -> str:
    """A whole number: 39,097."""
    plain = _checked(value)
    if not plain.is_integer():
        raise UserError(f"{value} is no whole number")
    return _signs(f"{plain:,.0f}")


def flops(value: object) -> str:
    """A count with a power of ten: 1.1e9."""
    return scientific(_checked(value))


def verdict(value: object) -> str:
    """A verdict as the tables have it; raises UserError for any other word."""
    if value not in VERDICTS:
        raise UserError(f"{value!r} is no verdict; those are {', '.join(VERDICTS)}")
    return str(value)


def above(value: object) -> bool:
    """Whether an interval lies above 0."""
    return _bounds(value)[0] > 0


def below(value: object) -> bool:
    """Whether an interval lies below 0."""
    return _bounds(value)[1] < 0


def undecided(value: object) -> bool:
    """Whether an interval holds 0."""
    return not above(value) and not below(value)


def must(condition: object, sentence: str) -> str:
    """Nothing, or UserError where `condition` fails: the tables no longer say what `sentence` says."""
    if not condition:
        raise UserError(f"the tables do not say (any more): {sentence}")
    return ""


FORMATS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        in_percent, in_percent_ci, percent, percent_ci, points, points_ci, factor, factor_ci, number,
        number_ci, count, flops, verdict,
    )
}  # fmt: skip


def formatted(value: object, name: str | None) -> str:
    """A value in a format that is named, as `percent` or `percent(0)`; as it stands where `name` is None."""
    if name is None:
        return str(value)
    found = re.fullmatch(r"(\w+)(?:\((\d+)\))?", name.strip())
    if found is None or found[1] not in FORMATS:
        raise UserError(f"no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[found[1]](value, *(int(digits) for digits in found.groups()[1:] if digits))


def listed(values: Iterable[object], name: str | None = None) -> str:
    """Values in a sentence, each in a format: 17, 29, 55 and 60."""
    texts = [formatted(value, name) for value in values]
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def markdown(rows: Iterable[Row], *columns: str) -> str:
    """A Markdown table of rows: each column as `Title = column` or `Title = column | format`.

    Columns with a format are aligned to the right.
    """
    titles, names, formats = zip(*map(_column, columns), strict=True)
    lines = [titles, tuple(":--" if name is None else "--:" for name in formats)]
    lines += [
        tuple(formatted(row[name], form) for name, form in zip(names, formats, strict=True)) for row in rows
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _column(text: str) -> tuple[str, str, str | None]:
    title, equals, rest = text.partition("=")
    if not equals:
        raise UserError(f"column {text!r} of a table is not `Title = column` or `Title = column | format`")
    name, _, form = rest.partition("|")
    return title.strip(), name.strip(), form.strip() or None


def _checked(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise UserError(f"{str(value)!r} is no number")
    return float(value)


def _bounds(value: object) -> tuple[float, float]:
    if not isinstance(value, Number) or math.isnan(value.low) or math.isnan(value.high):
        raise UserError(f"{value} has no interval: no `..._low` and `..._high` stand after its column")
    return value.low, value.high


def _interval(value: object, text: Callable[[float], str]) -> str:
    low, high = _bounds(value)
    return f"({text(low)} to {text(high)})"


def _with_interval(value: object, text: Callable[[object], str]) -> str:
    return f"{text(value)} {_interval(value, text)}"


def _signs(text: str) -> str:
    """With minus signs instead of hyphens."""
    return text.replace("-", "−")
