"""Problems: one form for every data set, built from rows by a field mapping and checked row by row."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import islice
from pathlib import PurePath
from string import Formatter

import pyarrow as pa
import pyarrow.parquet as pq

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
    whose lines, one field after the other, test a program; not all of them may be empty.
    """

    prompt: str
    answer: str | None
    tests: tuple[str, ...] | None = None
    id: str | None = None
    level: str | None = None
    subject: str | None = None
    solution: str | None = None
    answer_pattern: str | None = None


Row = tuple[str, Mapping[str, object]]  # where it stands ("test.jsonl, line 3"), its fields


def _after_hashes(text: str) -> str | None:
    _, mark, answer = text.rpartition("####")
    return answer if mark else None


def _last_boxed(text: str) -> str | None:
    contents = boxed(text)
    return contents[-1][1] if contents else None


ANSWER_EXTRACTORS: Mapping[str, Callable[[str], str | None]] = {"gsm8k": _after_hashes, "boxed": _last_boxed}


def read_rows(name: str, data: bytes) -> Iterator[Row]:
    """The rows of a file's content, with where each stands.

    `name` decides the format by its ending: .jsonl, .json (a list), .csv or .parquet. Values of a CSV stay
    strings, so that "007" or "None" are read as written. Raises UserError naming the file and
    the line or row.
    """
    ending = PurePath(name).suffix.lower()
    if ending not in _READERS:
        raise UserError(f"{name}: cannot read '{ending}' files; give one of {', '.join(_READERS)}")
    return _READERS[ending](name, data)


def _read_jsonl(name: str, data: bytes) -> Iterator[Row]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            values = _parsed_json(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:  # also of the decoding
            raise UserError(f"{place}: not valid JSON ({error}); write one JSON object per line") from error
        yield place, _named_fields(values, place)


def _read_json(name: str, data: bytes) -> Iterator[Row]:
    try:
        rows = _parsed_json(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also of the decoding
        raise UserError(f"{name}: not valid JSON ({error})") from error
    if not isinstance(rows, list):
        raise UserError(f"{name}: holds {type(rows).__name__}, not a list of objects")
    for number, values in enumerate(rows, start=1):
        place = f"{name}, entry {number}"
        yield place, _named_fields(values, place)


def _parsed_json(text: str) -> object:
    """The value, with halves of surrogate pairs, which no table holds, replaced by U+FFFD."""
    value: object = json.loads(text)
    if "\\ud" in text or "\\uD" in text:
        whole = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
        value = json.loads(whole.decode("utf-16-le", "replace"))
    return value


def _named_fields(values: object, place: str) -> dict[str, object]:
    if not isinstance(values, dict):
        raise UserError(f"{place}: holds {type(values).__name__}, not a JSON object with named fields")
    return values


def _read_csv(name: str, data: bytes) -> Iterator[Row]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 ({error}); save it as UTF-8") from error
    # The limit is the whole process's: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for values in reader:
            place = f"{name}, line {reader.line_num}"
            if None in values:
                raise UserError(f"{place}: more values than the header has names; quote values with commas")
            # A short line leaves its last fields out; they are missing, not empty.
            yield place, {key: value for key, value in values.items() if value is not None}
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num + 1}: not valid CSV ({error})") from error


def _read_parquet(name: str, data: bytes) -> Iterator[Row]:
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{name}: cannot be read as Parquet ({error})") from error
    for number, values in enumerate(table.to_pylist(), start=1):
        yield f"{name}, row {number}", values


_READERS: dict[str, Callable[[str, bytes], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def rows_where(rows: Iterable[Row], where: Mapping[str, Sequence[str]] | None) -> Iterator[Row]:
    """The rows whose fields have one of the values given for them; raises UserError for one without a field.

    Numbers are compared as they are written.
    """
    for place, values in rows:
        wanted = (where or {}).items()
        for field, _ in wanted:
            _value(values, "where", field, place)
        if all(str(values[field]) in allowed for field, allowed in wanted):
            yield place, values


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
                solution=_text(values, "solution", mapping.solution, place) if mapping.solution else None,
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
