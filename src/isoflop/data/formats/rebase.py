"""The REBASE authors' answers.json: per problem the finished leaves of its tree, a score per step.

A leaf's text begins with the question; a step begins with "Step n" and may end in the reward model's tag.
`total_tokens` is the whole tree's, which is no single solution's, so token counts are unknown.
"""

import re
from collections.abc import Iterable, Iterator

from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import (
    Solution,
    check_step_count,
    filled_list,
    mapping,
    optional_text,
    step_scores,
    text_field,
)

_STEP = re.compile(r"(?<![^\s])(?=Step [0-9]+)")


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """Every leaf of every row; raises UserError naming the row and the leaf at fault."""
    for place, values in rows:
        question = text_field(values, "question", place)
        for number, leaf in enumerate(filled_list(values, "model_answer", place), start=1):
            where = f"{place}, answer {number}"
            fields = mapping(leaf, where)
            text = text_field(fields, "text", where).removeprefix(question)
            scores = step_scores(fields.get("step_scores"), where)
            yield Solution(
                place=where,
                problem=None,
                prompt=question,
                reference=optional_text(values, "ground_truth_answer", place),
                steps=_steps(text, len(scores) if scores is not None else None, where),
                scores=scores,
                tokens=None,
            )


def _steps(text: str, wanted: int | None, where: str) -> tuple[str, ...]:
    """The steps of a leaf; white space before the first "Step" belongs to it."""
    parts = _STEP.split(text)
    if len(parts) > 1 and not parts[0].strip():
        parts[1] = parts[0] + parts[1]
        del parts[0]
    if wanted is not None:
        check_step_count(len(parts), wanted, where)
    return tuple(parts)


FORMAT = ImportFormat(
    name="rebase",
    order=1,
    read=read,
    reads=(("question",), ("model_answer",), ("ground_truth_answer",)),
    knows=("id", "total_tokens", "level", "type"),
)
