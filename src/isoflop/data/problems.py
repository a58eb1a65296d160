"""Problems: one form for every data set, built from rows by a field mapping and checked row by row."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import islice
from string import Formatter

from isoflop.data.rows import Row
from isoflop.errors import UserError
from isoflop.grading.statements import boxed


@dataclass(frozen=True)
class Problem:
    """A prompt and its reference answer.

    Attributes:
        problem_id: unique within its data set.
        prompt: the question as the policy is asked it.
        answer: the reference answer alone, not its derivation.
        level: difficulty, 1 being the easiest; None where unknown.
        subject: field of mathematics or the like; None where unknown.
        solution: a worked solution; None where there is none.
    """

    problem_id: str
    prompt: str
    answer: str
    level: int | None = None
    subject: str | None = None
    solution: str | None = None


@dataclass(frozen=True)
class FieldMapping:
    """Which field of a row holds what; None where a data set does not have it.

    `prompt` is a field, or a template with fields in braces. `answer_pattern` cuts the answer out of its
    field: a name in `ANSWER_EXTRACTORS`, or a regular expression whose last match counts (its first group, if
    it has one). None takes the field as it is. Instead of an answer, `tests` names the fields
    whose lines, one field after the other, test a program; not all of them may be empty. What matches
    `solution_without`, a regular expression, is left out of solutions.
    """

    prompt: str
    answer: str | None
    tests: tuple[str, ...] | None = None
    id: str | None = None
    level: str | None = None
    subject: str | None = None
    solution: str | None = None
    solution_without: str | None = None
    answer_pattern: str | None = None


def _after_hashes(text: str) -> str | None:
    _, mark, answer = text.rpartition("####")
    return answer if mark else None


def _last_boxed(text: str) -> str | None:
    contents = boxed(text)
    return contents[-1][1] if contents else None


ANSWER_EXTRACTORS: Mapping[str, Callable[[str], str | None]] = {"gsm8k": _after_hashes, "boxed": _last_boxed}


def build_problems(
    rows: Iterable[Row], mapping: FieldMapping, id_prefix: str, limit: int | None = None, skip: int = 0
) -> list[Problem]:
    """The first `limit` rows (all, if None) after the first `skip` as problems, in their order.

    Without an id field, a problem is called by `id_prefix` and its row's number from 0: "test-00017". Raises
    UserError naming the row: a missing or empty field, a level that is no number, an answer pattern
    that does not match, an id that was there before. No rows at all are an error too.
    """
    problems: list[Problem] = []
    places: dict[str, str] = {}
    last = None if limit is None else skip + limit
    for index, (place, values) in enumerate(islice(rows, skip, last), start=skip):
        answer = _tests(values, mapping.tests, place) if mapping.tests else _answer(values, mapping, place)
        identifier = _text(values, "id", mapping.id, place) if mapping.id else f"{id_prefix}-{index:05d}"
        if identifier in places:
            raise UserError(
                f"{place}: id '{identifier}' is that of {places[identifier]} too; ids must be unique"
            )
        places[identifier] = place
        problems.append(
            Problem(
                problem_id=identifier,
                prompt=_prompt(values, mapping.prompt, place),
                answer=answer,
                level=_level(values, mapping.level, place) if mapping.level else None,
                subject=_text(values, "subject", mapping.subject, place) if mapping.subject else None,
                solution=_solution(values, mapping, place),
            )
        )
    if not problems:
        raise UserError(
            f"data set '{id_prefix}' has no problems; its files hold no rows, or `where` and `skip` keep none"
        )
    return problems


def problem_columns(problems: Iterable[Problem]) -> dict[str, list[object]]:
    """The problems as the columns of `isoflop.tables.PROBLEMS`."""
    rows = [asdict(problem) for problem in problems]
    return {field.name: [row[field.name] for row in rows] for field in fields(Problem)}


def _prompt(values: Mapping[str, object], prompt: str, place: str) -> str:
    pieces = list(Formatter().parse(prompt))
    if all(field is None for _, field, _, _ in pieces):
        return _text(values, "prompt", prompt, place)
    return "".join(
        literal + ("" if field is None else _lines(values, "prompt", field, place))
        for literal, field, _, _ in pieces
    )


def _answer(values: Mapping[str, object], mapping: FieldMapping, place: str) -> str:
    assert mapping.answer is not None
    answer = _answer_extractor(mapping.answer_pattern)(_text(values, "answer", mapping.answer, place))
    if answer is None or not answer.strip():
        raise UserError(
            f"{place}: answer_pattern '{mapping.answer_pattern}' finds no answer in field '{mapping.answer}'"
        )
    return answer.strip()


def _solution(values: Mapping[str, object], mapping: FieldMapping, place: str) -> str | None:
    if mapping.solution is None:
        return None
    text = _text(values, "solution", mapping.solution, place)
    if mapping.solution_without is None:
        return text
    left = re.sub(mapping.solution_without, "", text)
    if not left.strip():
        raise UserError(f"{place}: solution_without '{mapping.solution_without}' leaves nothing of solution")
    return left


def _tests(values: Mapping[str, object], fields: tuple[str, ...], place: str) -> str:
    tests = "\n".join(part for field in fields if (part := _lines(values, "tests", field, place).strip()))
    if not tests:
        raise UserError(f"{place}: there are no tests in {', '.join(fields)} (mapped as tests)")
    return tests


def _lines(values: Mapping[str, object], role: str, field: str, place: str) -> str:
    """Text, or the lines of a list; a missing value has none."""
    value = _value(values, role, field, place)
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if isinstance(value, str):
        return value
    raise UserError(f"{place}: field '{field}' (mapped as {role}) is neither text nor a list of lines")


@cache
def _answer_extractor(pattern: str | None) -> Callable[[str], str | None]:
    if pattern is None:
        return lambda text: text
    if pattern in ANSWER_EXTRACTORS:
        return ANSWER_EXTRACTORS[pattern]
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"answer_pattern '{pattern}' is neither one of {', '.join(ANSWER_EXTRACTORS)} "
            f"nor a regular expression ({error})"
        ) from error

    def last_match(text: str) -> str | None:
        matches = list(compiled.finditer(text))
        return matches[-1][1 if compiled.groups else 0] if matches else None

    return last_match


def _value(values: Mapping[str, object], role: str, field: str, place: str) -> object:
    if field not in values:
        raise UserError(f"{place}: no field '{field}' (mapped as {role}); it has {', '.join(values)}")
    return values[field]


def _text(values: Mapping[str, object], role: str, field: str, place: str) -> str:
    value = _value(values, role, field, place)
    if isinstance(value, list) and value and all(isinstance(member, str | int | float) for member in value):
        # Several answers in a list, as OlympiadBench has them; most often it is one.
        value = ", ".join(map(str, value))
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        kind = "empty" if value is None else type(value).__name__
        raise UserError(f"{place}: field '{field}' (mapped as {role}) is {kind}; text or a number is needed")
    text = str(value)
    if not text.strip():
        raise UserError(f"{place}: field '{field}' (mapped as {role}) is empty")
    return text


def _level(values: Mapping[str, object], field: str, place: str) -> int | None:
    return level_of(_value(values, "level", field, place), field, place)


def level_of(value: object, field: str, place: str) -> int | None:
    """The level as a number: 3, "3" and "Level 3" are 3; null and MATH's "Level ?" are unknown.

    Raises UserError naming the row at `place` for anything else.
    """
    text = "" if value is None else str(value).strip()
    if text in {"", "?", "Level ?"}:
        return None
    match = re.fullmatch(r"(?:level\s*)?([0-9]{1,4})(?:\.0)?", text, re.IGNORECASE)
    if match is None:
        raise UserError(f"{place}: level '{text}' in field '{field}' is not a number such as 3 or 'Level 3'")
    return int(match[1])
