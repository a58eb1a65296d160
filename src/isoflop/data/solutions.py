"""Solutions that exist: one form for every format, and the checks that published files have needed."""

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from isoflop.data.rows import WrittenNumber
from isoflop.engines.steps import step_end
from isoflop.errors import UserError

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,5})?", re.ASCII
)
_EXACT = 2**53  # whole numbers from here on are rounded as floats


@dataclass(frozen=True)
class Solution:
    """One solution as a file has it; None where the file does not say.

    Attributes:
        place: where it stands, for messages.
        problem: the problem's identifier; `prompt`: its text; `reference`: its answer.
        steps: the solution; their concatenation is its text.
        scores: one per step, or a single one for the whole, which is then one step.
        tokens: generated tokens.
        truncated: whether it was cut off.
        budget, run: of the search that it is of, where a file holds several.
        named_scores: scores by verifier, where there are several; as `scores`.
        correct: whether the file itself calls it right.
        thinking: how many of the tokens were thoughts, written before the solution; `prompt_tokens`: read;
            `seconds`: how long it took.
        partial: whether the file has only a part of its text, so that its answer is not known.
        identity: what it is called wherever it is published; its text if left out.
    """

    place: str
    problem: str | None
    prompt: str | None
    reference: str | None
    steps: tuple[str, ...]
    scores: tuple[float, ...] | None
    tokens: int | None
    truncated: bool = False
    budget: int | None = None
    run: int | None = None
    named_scores: Mapping[str, tuple[float, ...] | None] = dataclasses.field(default_factory=dict)
    correct: bool | None = None
    thinking: int | None = None
    prompt_tokens: int | None = None
    seconds: float | None = None
    partial: bool = False
    identity: str | None = None

    @property
    def text(self) -> str:
        """The whole solution."""
        return "".join(self.steps)


def field(values: Mapping[str, object], name: str, place: str) -> object:
    """The field `name`; raises UserError where the row has none."""
    if name not in values:
        raise UserError(
            f"{place}: no field '{name}'; it has {', '.join(values)}: is the file of another format?"
        )
    return values[name]


def text_field(values: Mapping[str, object], name: str, place: str) -> str:
    """A field that is text; raises UserError for anything else."""
    value = field(values, name, place)
    if not isinstance(value, str):
        raise UserError(f"{place}: field '{name}' is {_kind(value)}; text is needed")
    return value


def optional_text(values: Mapping[str, object], name: str, place: str) -> str | None:
    """A field that is text or a number, as text; None where it is missing or null.

    A number is taken as it was written. Raises UserError for one that a file holds rounded: a whole number
    beyond 2^53 in a column of floats.
    """
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise UserError(f"{place}: field '{name}' is {_kind(value)}; text is needed")
    if isinstance(value, float) and not isinstance(value, WrittenNumber):
        if not math.isfinite(value):
            raise UserError(f"{place}: field '{name}' is {value}; text is needed")
        if value.is_integer():
            if abs(value) >= _EXACT:
                raise UserError(
                    f"{place}: field '{name}' is {value:.0f} in a column of floats, which round such "
                    "numbers; write the column as text"
                )
            return str(int(value))
    return str(value)


def list_field(values: Mapping[str, object], name: str, place: str) -> list[object]:
    """A field that is a list; raises UserError for anything else."""
    value = field(values, name, place)
    if not isinstance(value, list):
        raise UserError(f"{place}: field '{name}' is {_kind(value)}; a list is needed")
    return value


def filled_list(values: Mapping[str, object], name: str, place: str) -> list[object]:
    """A field that is a list of at least one; raises UserError for anything else."""
    found = list_field(values, name, place)
    if not found:
        raise UserError(f"{place}: '{name}' is an empty list; leave the row out, or write its solutions")
    return found


def mapping(value: object, place: str) -> Mapping[str, object]:
    """An object with named fields; raises UserError for anything else."""
    if not isinstance(value, dict):
        raise UserError(f"{place}: holds {_kind(value)}; an object with named fields is needed")
    return value


def texts(values: Mapping[str, object], name: str, place: str) -> list[str]:
    """A field that is a list of texts; raises UserError naming the entry that is not."""
    found = list_field(values, name, place)
    for number, one in enumerate(found, start=1):
        if not isinstance(one, str):
            raise UserError(f"{place}: entry {number} of '{name}' is {_kind(one)}; text is needed")
    return [str(one) for one in found]


def step_scores(value: object, place: str) -> tuple[float, ...] | None:
    """A list of finite numbers, or a single one; None for null. A missing score is an error, never 0.

    Numbers may be written as text, as a CSV has them, a list as JSON.
    """
    if value is None or value == "":
        return None
    value = json_list(value)
    scores = []
    for number, one in enumerate(value if isinstance(value, list) else [value], start=1):
        score = _number(one)
        if score is None or not math.isfinite(score):
            raise UserError(
                f"{place}: score {number} is {one!r:.60}; every score must be a finite number "
                "(leave the solution out of the file if its score is lost)"
            )
        scores.append(score)
    return tuple(scores)


def token_count(value: object, place: str) -> int | None:
    """A number of tokens; None for null, 0 and -1, which mean that nobody counted."""
    count = whole_number(value, "a number of tokens", place)
    if count is not None and count < -1:
        raise UserError(f"{place}: {value!r:.60} is not a number of tokens")
    return count if count is not None and count > 0 else None


def whole_number(value: object, what: str, place: str) -> int | None:
    """A whole number, which may be written as text; None where it is missing."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    number = _number(value)
    if number is None or not math.isfinite(number) or number != int(number) or abs(number) >= _EXACT:
        raise UserError(f"{place}: {value!r:.60} is not {what}")
    return int(number)


def json_list(value: object) -> object:
    """A list that is written as JSON, as in a CSV; any other value as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def thinking_count(value: object, tokens: int | None, place: str) -> int | None:
    """How many of `tokens` are thoughts, which may be 0; None for null and -1."""
    if value in (0, 0.0) and not isinstance(value, bool):
        return 0
    found = token_count(value, place)
    if found is None:
        return None
    if tokens is None:
        raise UserError(
            f"{place}: {found} thinking tokens but no `tokens`; give all that were generated, thoughts "
            "included"
        )
    if found > tokens:
        raise UserError(
            f"{place}: {found} thinking tokens of {tokens}; `tokens` are all that were generated, thoughts "
            "included"
        )
    return found


def aligned(values: Mapping[str, object], names: Sequence[str], place: str) -> Iterator[tuple[object, ...]]:
    """Entries side by side of the lists `names`; raises UserError where their lengths differ."""
    lists = [filled_list(values, name, place) for name in names]
    for name, one in zip(names[1:], lists[1:], strict=True):
        if len(one) != len(lists[0]):
            raise UserError(
                f"{place}: {len(lists[0])} {names[0]} but {len(one)} {name}; "
                "which score or count belongs to which solution is lost"
            )
    yield from zip(*lists, strict=True)


def check_step_count(steps: int, scores: int, place: str) -> None:
    """Raises UserError where steps and scores are not as many."""
    if steps != scores:
        raise UserError(
            f"{place}: {steps} steps but {scores} step scores; which score belongs to which step is lost"
        )


def split_scored(
    text: str, separator: str, scores: tuple[float, ...] | None, place: str
) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
    """The steps of `text`, which end in `separator`, and their scores.

    Steps without text join the one before, and their score goes with them: what a verifier thinks of nothing
    says nothing. Raises UserError where steps and scores are not as many.
    """
    found = re.split(f"({step_end(separator).pattern})", text)
    parts = [part + end for part, end in zip(found[::2], [*found[1::2], ""], strict=True)]
    if scores is not None:
        check_step_count(len(parts), len(scores), place)
    steps: list[str] = []
    kept: list[float] = []
    for number, part in enumerate(parts):
        if steps and not part.strip():
            steps[-1] += part
            continue
        if steps and not steps[-1].strip():
            steps[-1] += part
            if scores is not None:
                kept[-1] = scores[number]
            continue
        steps.append(part)
        if scores is not None:
            kept.append(scores[number])
    return tuple(steps), tuple(kept) if scores is not None else None


def _kind(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} ({value!s:.40})"
