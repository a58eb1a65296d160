"""Records of compute-optimal-tts: a row per problem, its trajectories with their reward histories.

The authors' code writes a text of its own where a search ran out of time, and a lone reward of 0.0 for every
trajectory where the verifier failed: both are refused rather than counted as wrong or worthless.
"""

from collections.abc import Iterable, Iterator, Mapping

from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import (
    Solution,
    filled_list,
    mapping,
    optional_text,
    step_scores,
    text_field,
    token_count,
)
from isoflop.errors import UserError

STEP_SEPARATORS = ("\n\n", "\n")
# What the authors' searches put after every step, for the verifier; the model did not write it.
STEP_MARK = " ки\n"


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """Every trajectory of every row; raises UserError naming the row and the trajectory at fault."""
    for place, values in rows:
        paths = [
            (f"{place}, output {number}", mapping(path, f"{place}, output {number}"))
            for number, path in enumerate(filled_list(values, "output", place), start=1)
        ]
        unscored = all(fields.get("reward_history") == [0.0] for _, fields in paths)
        for where, fields in paths:
            text = text_field(fields, "text", where)
            if text.startswith("[TIMEOUT]"):
                raise UserError(f"{where}: holds the mark of a search that ran out of time; leave it out")
            if unscored:
                raise UserError(
                    f"{place}: every reward is a lone 0.0: its verifier failed; leave the row out"
                )
            scores = step_scores(fields.get("reward_history"), where)
            yield Solution(
                place=where,
                problem=None,
                prompt=text_field(values, "question", place),
                reference=optional_text(values, "groundtruth", place),
                steps=_steps(text, len(scores) if scores else 1, where),
                scores=scores or None,
                tokens=_tokens(fields, where),
            )


def _steps(text: str, wanted: int, where: str) -> tuple[str, ...]:
    """The steps of `text`: whole for one score, else split as gives as many as there are scores."""
    if STEP_MARK in text:
        *marked, last = text.split(STEP_MARK)
        marked += [last] if last.strip() else []
        if wanted not in (1, len(marked)):
            raise UserError(
                f"{where}: {len(marked)} steps end in '{STEP_MARK.strip()}', but {wanted} rewards"
            )
        steps = [f"{step}\n" for step in marked]
        return ("".join(steps),) if wanted == 1 else tuple(steps)
    if wanted == 1:
        return (text,)
    body = text.rstrip("\n")
    for separator in STEP_SEPARATORS:
        parts = [part for part in body.split(separator) if part.strip()]
        if len(parts) == wanted:
            pieces = [part + separator for part in parts]
            pieces[-1] = parts[-1] + text[len(body) :]
            return tuple(pieces)
    raise UserError(
        f"{where}: the text does not split into as many steps as there are rewards ({wanted}); "
        "which reward belongs to which step is lost"
    )


def _tokens(fields: Mapping[str, object], where: str) -> int | None:
    """The tokens of this trajectory's own steps; `completion_tokens` may be the whole tree's."""
    history = fields.get("token_history")
    if isinstance(history, list) and history:
        counts = [token_count(one, where) for one in history]
        return None if None in counts else sum(count or 0 for count in counts)
    return None


FORMAT = ImportFormat(
    name="optimal-tts",
    order=4,
    read=read,
    reads=(("question",), ("groundtruth",), ("output",)),
    knows=("result",),
)
