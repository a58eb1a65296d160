"""Evaluation files of Qwen2.5-Math: a row per problem, its solutions with one reward score each.

The texts are in `code` or `response`; `pred_score` is an outcome reward model's and not a probability.
"""

from collections.abc import Iterable, Iterator

from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import Solution, aligned, optional_text, step_scores, text_field
from isoflop.errors import UserError


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """Every solution of every row; raises UserError naming the row and the solution at fault."""
    for place, values in rows:
        text = next((name for name in ("code", "response") if name in values), "response")
        names = [text, *(["pred_score"] if "pred_score" in values else [])]
        for number, entries in enumerate(aligned(values, names, place), start=1):
            where = f"{place}, solution {number}"
            if not isinstance(entries[0], str):
                raise UserError(f"{where}: '{text}' is {type(entries[0]).__name__}; text is needed")
            yield Solution(
                place=where,
                problem=None,
                prompt=text_field(values, "question", place),
                reference=optional_text(values, "gt", place) or optional_text(values, "answer", place),
                steps=(entries[0],),
                scores=step_scores(entries[1], where) if len(names) > 1 else None,
                tokens=None,
            )


FORMAT = ImportFormat(
    name="qwen-math",
    order=2,
    read=read,
    reads=(("question",), ("code", "response"), ("pred_score",), ("gt", "answer")),
    knows=(
        "idx",
        "gt_cot",
        "level",
        "type",
        "solution",
        "pred",
        "report",
        "score",
        "subject",
        "unique_id",
        "system",
        "query",
        "history",
    ),
)
