"""Counts: a row per problem (and model) with the number of samples and of right ones, without texts.

| column | |
|---|---|
| problem | the problem's identifier |
| samples | how many samples it has |
| correct | how many of them are right |
| tokens | generated per sample, mean; optional |
| level | the problem's difficulty: 3, or "Level 3"; optional |

`columns` of the config says what a file calls them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from isoflop.data.counts import ProblemCount, whole_number
from isoflop.data.format import CountFormat
from isoflop.data.problems import level_of
from isoflop.data.rows import Row
from isoflop.data.solutions import field
from isoflop.errors import UserError


def read(rows: Iterable[Row]) -> Iterator[ProblemCount]:
    """The count of every row; raises UserError naming the row at fault."""
    for place, values in rows:
        samples, correct = (
            whole_number(field(values, name, place), name, place) for name in ("samples", "correct")
        )
        if samples == 0:
            raise UserError(f"{place}: 0 samples; leave the row out, for it says nothing")
        tokens = _tokens(values["tokens"], place) if "tokens" in values else None
        level = level_of(values["level"], "level", place) if "level" in values else None
        yield ProblemCount(place, _problem(values, place), samples, correct, tokens, level)


def _problem(values: Mapping[str, object], place: str) -> str:
    """An identifier as it is written; 12.0 is 12, for tables with a gap anywhere hold floats."""
    value = field(values, "problem", place)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise UserError(f"{place}: column 'problem' is {value!r:.40}; a problem's identifier is needed")
    return str(value)


def _tokens(value: object, place: str) -> float:
    """Tokens per sample."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 < number < 1e9:
        raise UserError(f"{place}: column 'tokens' is {value!r:.40}; a number of tokens above 0 is needed")
    return number


FORMAT = CountFormat(
    name="counts",
    order=6,
    read=read,
    reads=(("problem",), ("samples",), ("correct",), ("tokens",), ("level",)),
)
