"""The generic table: a row per solution, or per problem with a list of solutions in each of its columns.

| field | |
|---|---|
| problem_id or problem | the problem's identifier in the data set, or its text |
| steps, text or answer | a list of steps; or the text, one step; or only the answer, boxed on import |
| step_scores, or score | a number per step; or one for the whole |
| tokens | generated tokens, thoughts included |
| thinking_tokens | how many of them are thoughts, where that is known |
| reference | the reference answer, checked against the data set's |
| finish | `stop` or `length` |
| budget, run | of a published search: what it was given, and which repetition it is |
"""

from collections.abc import Iterable, Iterator, Mapping

from isoflop.data.columns import STEP_SEPARATOR, VERIFIERS
from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import (
    Solution,
    json_list,
    mapping,
    optional_text,
    split_scored,
    step_scores,
    texts,
    thinking_count,
    token_count,
    whole_number,
)
from isoflop.errors import UserError

_BODIES = ("steps", "text", "answer")
_SCORES = ("step_scores", "score")
# Of every solution its own, in a row of several; the others may be the same for all.
_OWN = (*_SCORES, "tokens", "thinking_tokens")
_SHARED = ("finish", "budget", "run")
_FINISHES = {
    "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "length": "length", "max_tokens": "length",
}  # fmt: skip
# An answer alone is short and on one line; what is longer is a response.
_LONGEST_ANSWER = 400


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """The solutions of every row; raises UserError naming the row, and the solution in it, at fault."""
    for place, values in rows:
        for where, one in _solutions(values, place):
            yield _solution(one, where)


def _solutions(values: Mapping[str, object], place: str) -> Iterator[Row]:
    """Each solution of a row under the names of a row of one."""
    _one_of(values, _BODIES, place)
    _one_of(values, _SCORES, place)
    body = next((name for name in _BODIES if values.get(name) is not None), None)
    many = None if body is None else values[body]
    if body == "steps":
        many = json_list(many)
        if not (isinstance(many, list) and many and all(isinstance(one, list) for one in many)):
            many = None
    elif _is_all_text(values):
        listed = json_list(many)
        if isinstance(listed, list) and listed and all(isinstance(one, str) for one in listed):
            many = listed
    if body is None or not isinstance(many, list):
        yield place, values
        return
    if not many:
        raise UserError(f"{place}: {body} is an empty list; leave the row out, or write its solutions")
    scored = mapping(values.get(VERIFIERS) or {}, place)
    for number, one in enumerate(many):
        where = f"{place}, solution {number + 1}"
        own = {name: _nth(values.get(name), name, number, len(many), place, own=True) for name in _OWN}
        shared = {name: _nth(values.get(name), name, number, len(many), place, own=False) for name in _SHARED}
        by_verifier = {
            name: _nth(value, f"verifiers.{name}", number, len(many), place, own=True)
            for name, value in scored.items()
        }
        yield where, {**values, **own, **shared, body: one, VERIFIERS: by_verifier}


def _is_all_text(values: Mapping[str, object]) -> bool:
    """Whether a row is as a CSV has it, where a list is text too; elsewhere a text that looks so is one."""
    return all(isinstance(value, str) for name, value in values.items() if name != VERIFIERS)


def _nth(value: object, name: str, number: int, count: int, place: str, *, own: bool) -> object:
    """What a row of `count` solutions has for one of them."""
    if value is None:
        return None
    value = json_list(value)
    if isinstance(value, list):
        if len(value) != count:
            raise UserError(
                f"{place}: {count} solutions but {len(value)} in {name}; which belongs to which is lost"
            )
        return value[number]
    if own and count > 1:
        raise UserError(f"{place}: {count} solutions but one {name}; a list with one for each is needed")
    return value


def _one_of(values: Mapping[str, object], names: tuple[str, ...], place: str) -> None:
    given = [name for name in names if values.get(name) is not None]
    if len(given) > 1:
        raise UserError(
            f"{place}: has {' and '.join(given)}, of which only {given[0]} would be read; leave the other "
            f"unread with `ignore: [{', '.join(given[1:])}]`, or say in `columns` what it is"
        )


def _solution(values: Mapping[str, object], place: str) -> Solution:
    problem, prompt = (optional_text(values, name, place) for name in ("problem_id", "problem"))
    if problem is None and prompt is None:
        raise UserError(f"{place}: neither problem_id nor problem says what it solves")
    given = next((values[name] for name in _SCORES if values.get(name) is not None), None)
    finish = optional_text(values, "finish", place) or "stop"
    if finish not in _FINISHES:
        raise UserError(f"{place}: finish is '{finish:.60}'; it is stop or length")
    parts = mapping(values.get(VERIFIERS) or {}, place)
    scores = {name: step_scores(value, f"{place}, {name}") for name, value in parts.items()}
    steps, own = _steps(values, place), step_scores(given, place)
    separator = values.get(STEP_SEPARATOR)
    if isinstance(separator, str) and values.get("steps") is None:
        scores = {name: _split(steps[0], separator, one, place)[1] for name, one in scores.items()}
        steps, own = _split(steps[0], separator, own, place)
    # One for all is what a verifier of whole solutions gives.
    if own is not None and len(own) not in (1, len(steps)):
        raise UserError(
            f"{place}: {len(steps)} steps but {len(own)} step scores; give one per step, in `steps`, or say "
            "by `step_separator` where steps end"
        )
    tokens = token_count(values.get("tokens"), place)
    return Solution(
        place=place,
        problem=problem,
        prompt=prompt,
        reference=optional_text(values, "reference", place),
        steps=steps,
        scores=own,
        tokens=tokens,
        truncated=_FINISHES[finish] == "length",
        budget=whole_number(values.get("budget"), "a budget", place),
        run=whole_number(values.get("run"), "the number of a run", place),
        named_scores=scores,
        thinking=thinking_count(values.get("thinking_tokens"), tokens, place),
    )


def _split(
    text: str, separator: str, scores: tuple[float, ...] | None, place: str
) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
    """The steps of a text and their scores; one score stays one."""
    single = scores is not None and len(scores) == 1
    steps, kept = split_scored(text, separator, None if single else scores, place)
    return steps, scores if single else kept


def _steps(values: Mapping[str, object], place: str) -> tuple[str, ...]:
    if values.get("steps") is not None:
        steps = texts({"steps": json_list(values["steps"])}, "steps", place)
        if not steps:
            raise UserError(f"{place}: steps is an empty list; a solution has at least one step")
        return tuple(steps)
    if "text" in values and values["text"] is not None:
        text = values["text"]
        if not isinstance(text, str):
            raise UserError(f"{place}: field 'text' is {type(text).__name__} ({text!s:.40}); text is needed")
        return (text,)
    answer = optional_text(values, "answer", place)
    if answer is None:
        null = next((f"{name} is null; " for name in _BODIES if name in values), "")
        raise UserError(
            f"{place}: none of steps, text and answer is given"
            f" ({null}write an empty text where the model said nothing)"
        )
    if not answer.strip():
        return ("",)
    if "\n" in answer.strip() or len(answer) > _LONGEST_ANSWER or "\\boxed" in answer:
        raise UserError(
            f"{place}: answer is a whole response ('{answer.strip():.60}'), not an answer alone; "
            "map it as `columns: {text: answer}`"
        )
    return (f"\\boxed{{{answer}}}",)


FORMAT = ImportFormat(
    name="table",
    order=5,
    read=read,
    reads=(
        ("problem_id", "problem"), _BODIES, _SCORES, ("tokens",), ("thinking_tokens",), ("reference",),
        ("finish",), ("budget",), ("run",),
    ),
    maps_rows=True,
)  # fmt: skip
