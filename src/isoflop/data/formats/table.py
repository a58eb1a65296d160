"""The generic table: a row per solution, as JSONL or Parquet.

| field | |
|---|---|
| problem_id or problem | the problem's identifier in the data set, or its text |
| steps, text or answer | a list of steps; or the text, one step; or only the answer, boxed on import |
| step_scores, or score | a number per step; or one for the whole |
| tokens | generated tokens, thoughts included |
| thinking_tokens | how many of them are thoughts, where that is known |
| reference | the reference answer, checked against the data set's |
| finish | `stop` or `length` |
"""

from collections.abc import Iterable, Iterator, Mapping

from isoflop.data.format import ImportFormat
from isoflop.data.problems import Row
from isoflop.data.solutions import (
    Solution,
    optional_text,
    step_scores,
    texts,
    thinking_count,
    token_count,
)
from isoflop.errors import UserError


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """The solution of every row; raises UserError naming the row at fault."""
    for place, values in rows:
        problem, prompt = (optional_text(values, name, place) for name in ("problem_id", "problem"))
        if problem is None and prompt is None:
            raise UserError(f"{place}: neither problem_id nor problem says what it solves")
        steps = _steps(values, place)
        given = values.get("step_scores")
        scores = step_scores(values.get("score") if given is None else given, place)
        if scores is not None and len(scores) != len(steps):
            raise UserError(
                f"{place}: {len(steps)} steps but {len(scores)} step scores; give one per step, in `steps`"
            )
        finish = optional_text(values, "finish", place) or "stop"
        if finish not in {"stop", "length"}:
            raise UserError(f"{place}: finish is '{finish}'; it is stop or length")
        tokens = token_count(values.get("tokens"), place)
        yield Solution(
            place=place,
            problem=problem,
            prompt=prompt,
            reference=optional_text(values, "reference", place),
            steps=steps,
            scores=scores,
            tokens=tokens,
            truncated=finish == "length",
            thinking=thinking_count(values.get("thinking_tokens"), tokens, place),
        )


def _steps(values: Mapping[str, object], place: str) -> tuple[str, ...]:
    if values.get("steps") is not None:
        steps = texts(values, "steps", place)
        if not steps:
            raise UserError(f"{place}: steps is an empty list; a solution has at least one step")
        return tuple(steps)
    text = optional_text(values, "text", place)
    if text is not None:
        return (text,)
    answer = optional_text(values, "answer", place)
    if answer is None:
        raise UserError(f"{place}: none of steps, text and answer is given")
    return (f"\\boxed{{{answer}}}",)


FORMAT = ImportFormat(name="table", order=5, read=read)
